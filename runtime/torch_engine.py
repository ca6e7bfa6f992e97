"""transformers as an engine: the full-precision baseline and the reference for parity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from convert.artifact import Artifact
from convert.checkpoint import read_checkpoint
from convert.ends import end_ids
from convert.refusal import Refusal
from convert.thoughts import thought_rows
from runtime import devices
from runtime.branching import BranchEngine
from runtime.engine import CacheFull, Output
from runtime.hf_tokenizer import HfTokenizer
from runtime.options import EngineOptions
from runtime.probe import FINAL, Probe
from runtime.torch_decoder import load_decoder

FULL, SLIDING = "full_attention", "sliding_attention"  # kinds of layers
FIRST_TOKENS = 256  # of cache a slot starts with


class TorchEngine(BranchEngine):
    """A checkpoint in float32 on the CPU, or bfloat16 on CUDA. Forks copy their prefix."""

    padded = True

    def __init__(
        self, artifact: Artifact, options: EngineOptions, probe: Probe | None = None
    ) -> None:
        super().__init__(options.max_branches, probe, options.threads or devices.threads())
        self.context, self.on_card = options.context, _choose_cuda(options)
        self._device = torch.device("cuda" if self.on_card else "cpu")
        dtype = torch.bfloat16 if self.on_card else torch.float32
        self.artifact = replace(artifact, level="bf16" if self.on_card else "f32")  # as it runs
        self.weight_bits, self.kv_value_bytes = 8.0 * dtype.itemsize, float(dtype.itemsize)
        if self.on_card:
            self.device = f"{torch.cuda.get_device_name()}, all layers, bfloat16"
        else:
            torch.set_num_threads(self.threads)
            self.device = f"{devices.describe_cpu(self.threads)}, float32"
        self._load(dtype)
        config = self._backbone.config
        self._window: int | None = getattr(config, "sliding_window", None)
        self._kinds = set(getattr(config, "layer_types", None) or ())  # of attention, where told
        vocab = artifact.shape.vocab
        self.tokenizer = HfTokenizer(artifact.path, end_ids(artifact.path, vocab), vocab)
        self._cache = SlotCache(artifact, dtype, self._device)

    def _load(self, dtype: torch.dtype) -> None:
        """The backbone, and the output projection: its own, or the embeddings where it has none."""
        reward = self.artifact.reward
        headless = reward is not None and not reward.reads_logits
        checkpoint = read_checkpoint(self.artifact.path)
        model = load_decoder(checkpoint, dtype, headless=headless)
        self._embed_thoughts(model.get_input_embeddings().weight)
        model = model.eval().to(self._device)
        self._backbone = model if headless else model.model
        output = model.get_input_embeddings() if headless else model.get_output_embeddings()
        self._head: torch.Tensor = output.weight

    @torch.no_grad()
    def _embed_thoughts(self, embeddings: torch.Tensor) -> None:
        """Put a thinker's START and END into its embeddings (V, D), in place."""
        thought = self.artifact.thought
        if thought is not None:
            checkpoint = read_checkpoint(self.artifact.path)
            rows = torch.from_numpy(thought_rows(checkpoint, thought.embedding))
            embeddings[[thought.start_id, thought.end_id]] = rows.to(embeddings)

    @property
    def kv_bytes(self) -> int:
        """Bytes the cache has grown to."""
        return self._cache.size_bytes

    @torch.inference_mode()
    def evaluate(
        self,
        slots: Sequence[int],
        starts: Sequence[int],
        tokens: Sequence[Sequence[int]],
        *,
        hidden: bool,
        tails: Sequence[int],
    ) -> tuple[Output, int]:
        sizes = [len(t) for t in tokens]
        if max(map(sum, zip(starts, sizes, strict=True))) > self.context:
            raise CacheFull(
                f"the KV cache of {self.context} tokens is full; raise --context or lower --width"
            )
        width = max(sizes)
        padded = [[*t, *[t[-1]] * (width - len(t))] for t in tokens]
        ids = torch.tensor(padded, device=self._device)  # (B, S)
        begin = torch.tensor(starts, device=self._device)
        positions = begin[:, None] + torch.arange(width, device=self._device)  # (B, S)
        self._cache.aim(slots, positions, max(starts) + width)
        found = self._backbone(
            input_ids=ids,
            position_ids=positions,
            attention_mask=self._masks(positions, max(starts) + width),
            past_key_values=self._cache,
            use_cache=True,
            output_hidden_states=bool(self.probe and self.probe.layers),
        )
        states = found.last_hidden_state
        last = [end - back for end, n in zip(sizes, tails, strict=True) for back in range(n, 0, -1)]
        which = [row for row, n in enumerate(tails) for _ in range(n)]
        rows = states[which, last]  # (sum of tails, D)
        logits = torch.nn.functional.linear(rows, self._head).float().cpu().numpy()
        readings = None
        if self.probe is not None and self.probe.layers:
            inside = found.hidden_states  # the first have passed no layer
            passed = [states if n == FINAL else inside[n] for n in self.probe.layers]
            readings = self.probe([layer[which, last].float().cpu().numpy() for layer in passed])
        return Output(logits, rows.float().cpu().numpy() if hidden else None, readings), len(rows)

    def _masks(
        self, positions: torch.Tensor, length: int
    ) -> torch.Tensor | dict[str, torch.Tensor]:
        """(B, 1, S, T): True where a query may look; later and out-of-window keys are hidden.

        By kind of layer where some have a window and others none.
        """
        distance = positions[:, :, None] - torch.arange(length, device=self._device)
        full = (distance >= 0)[:, None]
        if self._window is None or self._kinds == {FULL}:
            return full
        near = full & (distance < self._window)[:, None]
        return {FULL: full, SLIDING: near} if len(self._kinds) > 1 else near

    @torch.inference_mode()  # a cache that grew did so within it
    def share(self, source: int, target: int, length: int) -> None:
        self._cache.copy(source, target, length)

    def cut(self, slot: int, length: int) -> None:
        """Nothing to do: what lies beyond a slot's length is masked, then overwritten."""

    def close(self) -> None:
        del self._backbone, self._head, self._cache


class SlotCache:
    """Keys and values of all slots, (slots, kv heads, tokens, head dim) per layer; grows as needed.

    It stands in for transformers' cache: attention calls `update` once a layer.
    """

    def __init__(self, artifact: Artifact, dtype: torch.dtype, device: torch.device) -> None:
        shape = artifact.shape
        self._options: dict[str, Any] = {"dtype": dtype, "device": device}
        self._heads, self._head_dim = shape.kv_heads, shape.head_dim
        self._layers = [[self._empty(1), self._empty(1)] for _ in range(shape.layers)]
        self._slots: torch.Tensor | slice = slice(0, 0)
        self._index = self._positions = torch.zeros(0)
        self._length = 0

    @property
    def size_bytes(self) -> int:
        return sum(t.nbytes for pair in self._layers for t in pair)

    def aim(self, slots: Sequence[int], positions: torch.Tensor, length: int) -> None:
        """Direct the next forward pass: rows to slots, new tokens to positions, `length` keys."""
        self._reserve(max(slots) + 1, length)
        contiguous = list(slots) == list(range(slots[0], slots[0] + len(slots)))
        rows = torch.tensor(slots, device=positions.device)
        self._slots = slice(slots[0], slots[0] + len(slots)) if contiguous else rows
        self._index, self._positions, self._length = rows[:, None], positions, length

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer: int, *_args: Any, **_kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store (B, heads, S, head dim) and return all keys and values of those rows."""
        for store, new in zip(self._layers[layer], (keys, values), strict=True):
            store[self._index, :, self._positions] = new.transpose(1, 2)
        stored_keys, stored_values = self._layers[layer]
        return (
            stored_keys[self._slots, :, : self._length],
            stored_values[self._slots, :, : self._length],
        )

    def get_seq_length(self, _layer: int = 0) -> int:
        return 0

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` tokens of one slot to another."""
        self._reserve(max(source, target) + 1, length)
        for pair in self._layers:
            for store in pair:
                store[target, :, :length] = store[source, :, :length]

    def _empty(self, slots: int, tokens: int = FIRST_TOKENS) -> torch.Tensor:
        return torch.zeros((slots, self._heads, tokens, self._head_dim), **self._options)

    def _reserve(self, slots: int, tokens: int) -> None:
        have_slots, _, have_tokens, _ = self._layers[0][0].shape
        if slots <= have_slots and tokens <= have_tokens:
            return
        slots = max(have_slots, 1 << (slots - 1).bit_length())
        tokens = max(have_tokens, 1 << (tokens - 1).bit_length())
        for pair in self._layers:
            for which, store in enumerate(pair):
                pair[which] = self._empty(slots, tokens)
                pair[which][:have_slots, :, :have_tokens] = store


def _choose_cuda(options: EngineOptions) -> bool:
    if options.device == "vulkan":
        raise Refusal("--device vulkan is for .gguf files; torch takes auto, cuda or cpu")
    if options.device == "cuda" and not torch.cuda.is_available():
        raise Refusal("--device cuda: torch sees no CUDA card; choose auto or cpu")
    return options.device != "cpu" and torch.cuda.is_available()
