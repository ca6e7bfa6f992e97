"""Models to plan for: their tensors and sizes, with nothing loaded and nothing downloaded."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from convert.artifact import Role, Shape
from convert.levels import LEVELS
from convert.mixes import TensorShape, tensor_types

KNOWN: dict[str, tuple[Shape, str]] = {  # published configurations, and what they tie or add
    "mistral-7b": (Shape(32, 4096, 32, 8, 128, 14336, 32000, 32768), ""),
    "mistral-nemo-12b": (Shape(40, 5120, 32, 8, 128, 14336, 131072, 131072), ""),
    "llama-2-7b": (Shape(32, 4096, 32, 32, 128, 11008, 32000, 4096), ""),
    "llama-3-8b": (Shape(32, 4096, 32, 8, 128, 14336, 128256, 8192), ""),
    "llama-3.2-1b": (Shape(16, 2048, 32, 8, 64, 8192, 128256, 131072), "tied"),
    "llama-3.2-3b": (Shape(28, 3072, 24, 8, 128, 8192, 128256, 131072), "tied"),
    "tinyllama-1.1b": (Shape(22, 2048, 32, 4, 64, 5632, 32000, 2048), ""),
    "qwen2.5-0.5b": (Shape(24, 896, 14, 2, 64, 4864, 151936, 32768), "tied bias"),
    "qwen2.5-1.5b": (Shape(28, 1536, 12, 2, 128, 8960, 151936, 32768), "tied bias"),
    "qwen2.5-3b": (Shape(36, 2048, 16, 2, 128, 11008, 151936, 32768), "tied bias"),
    "qwen2.5-7b": (Shape(28, 3584, 28, 4, 128, 18944, 152064, 32768), "bias"),
    "qwen2.5-14b": (Shape(48, 5120, 40, 8, 128, 13824, 152064, 32768), "bias"),
    "qwen3-0.6b": (Shape(28, 1024, 16, 8, 128, 3072, 151936, 40960), "tied norms"),
    "qwen3-1.7b": (Shape(28, 2048, 16, 8, 128, 6144, 151936, 40960), "tied norms"),
    "qwen3-4b": (Shape(36, 2560, 32, 8, 128, 9728, 151936, 40960), "tied norms"),
    "qwen3-8b": (Shape(36, 4096, 32, 8, 128, 12288, 151936, 40960), "norms"),
    "qwen3-14b": (Shape(40, 5120, 40, 8, 128, 17408, 151936, 40960), "norms"),
    "smollm2-135m": (Shape(30, 576, 9, 3, 64, 1536, 49152, 8192), "tied"),
    "smollm2-360m": (Shape(32, 960, 15, 5, 64, 2560, 49152, 8192), "tied"),
    "smollm2-1.7b": (Shape(24, 2048, 32, 32, 64, 8192, 49152, 8192), "tied"),
}
HUB = {  # hub ids whose shapes are known without their files
    "mistralai/Mistral-7B-v0.1": "mistral-7b",
    "peiyi9979/math-shepherd-mistral-7b-prm": "mistral-7b",
    "ezelikman/quietstar-8-ahead": "mistral-7b",
}


@dataclass(frozen=True, slots=True)
class ModelTensors:
    """A model as far as memory goes. `types` are those of a file that is quantized already."""

    name: str
    shape: Shape
    tensors: tuple[TensorShape, ...]
    origin: str  # how it is known, for people
    level: str | None = None  # of a .gguf as it stands
    types: Mapping[str, int] | None = None
    hidden: bool = False  # a reward model that reads hidden states instead of logits
    role: Role | None = None  # None where the origin does not tell

    @property
    def weights(self) -> int:
        return sum(math.prod(tensor.sides) for tensor in self.tensors)

    def types_at(self, level: str) -> Mapping[str, int]:
        """The ggml type of every tensor at a level, by name."""
        if self.types is not None and level == self.level:
            return self.types
        return tensor_types(self.tensors, LEVELS[level], self.shape)


def model_tensors(model: str) -> ModelTensors:
    """The outline of a .gguf, a checkpoint folder, reference:NAME, a cached hub id, a known shape.

    Raises:
        FileNotFoundError: if there is no such model here; lists the shapes known by name.
        Refusal: if what is there is no model that can be opened.
    """
    path = Path(model).expanduser()
    if path.is_file() and path.suffix.lower() == ".gguf":
        return _of_gguf(path)
    if not path.exists() and model.lower() in KNOWN:
        return of_shape(model.lower(), *KNOWN[model.lower()], "published shape")
    from convert.sources import resolve

    try:
        source = resolve(model, offline=True)
    except FileNotFoundError as error:
        if model in HUB:
            name = HUB[model]
            return of_shape(name, *KNOWN[name], f"published shape of {model}, which is not here")
        raise FileNotFoundError(
            f"{model} is neither here nor in the hub's local cache; give a .gguf file, a "
            f"checkpoint folder, or a shape by name: {', '.join(KNOWN)}"
        ) from error
    return _of_checkpoint(source.path, source.name)


def _of_gguf(path: Path) -> ModelTensors:
    from convert.gguf_header import read_header
    from convert.gguf_level import level_of
    from runtime.load import describe_model

    header, artifact = read_header(path), describe_model(path)
    tensors = tuple(TensorShape(entry.name, entry.shape) for entry in header.tensors)
    return ModelTensors(
        path.name,
        artifact.shape,
        tensors,
        "the file",
        level_of(header),
        {entry.name: entry.type for entry in header.tensors},
        artifact.reward is not None and not artifact.reward.reads_logits,
        artifact.role,
    )


def _of_checkpoint(folder: Path, name: str) -> ModelTensors:
    from convert.checkpoint import read_checkpoint
    from convert.identity import identify
    from convert.mapping import tensor_map

    checkpoint = read_checkpoint(folder)
    identity = identify(checkpoint)
    tensors = tuple(TensorShape(mapped.name, mapped.shape) for mapped in tensor_map(checkpoint))
    return ModelTensors(
        name,
        checkpoint.shape,
        tensors,
        "the checkpoint",
        hidden=not identity.reads_logits,
        role=identity.role,
    )


def of_shape(name: str, shape: Shape, traits: str, origin: str) -> ModelTensors:
    """The outline of a dense decoder; `traits` as in `KNOWN`."""
    return ModelTensors(name, shape, tuple(_tensors(shape, traits)), origin)


def _tensors(shape: Shape, traits: str) -> Iterator[TensorShape]:
    """The tensors of a dense decoder, in llama.cpp's names."""
    hidden, wide = shape.hidden, shape.feed_forward
    query, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    yield TensorShape("token_embd.weight", (shape.vocab, hidden))
    for layer in range(shape.layers):
        parts: dict[str, tuple[int, ...]] = {
            "attn_norm.weight": (hidden,),
            "attn_q.weight": (query, hidden),
            "attn_k.weight": (keys, hidden),
            "attn_v.weight": (keys, hidden),
            "attn_output.weight": (hidden, query),
            "ffn_norm.weight": (hidden,),
            "ffn_gate.weight": (wide, hidden),
            "ffn_up.weight": (wide, hidden),
            "ffn_down.weight": (hidden, wide),
        }
        if "bias" in traits:
            parts |= {"attn_q.bias": (query,), "attn_k.bias": (keys,), "attn_v.bias": (keys,)}
        if "norms" in traits:
            heads = ("attn_q_norm.weight", "attn_k_norm.weight")
            parts |= dict.fromkeys(heads, (shape.head_dim,))
        for part, sides in parts.items():
            yield TensorShape(f"blk.{layer}.{part}", sides)
    yield TensorShape("output_norm.weight", (hidden,))
    if "tied" not in traits:
        yield TensorShape("output.weight", (shape.vocab, hidden))
