"""Tensors of a checkpoint, read one at a time; headers are checked before anything is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from convert.bounds import file_name, shown
from convert.files import read_json, regular
from convert.refusal import Refusal
from convert.safetensors_file import open_safetensors
from convert.tensor import FLOAT8, NUMPY, Array, Tensor, widen

__all__ = ["Tensor", "open_tensors", "widen"]


def open_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder: safetensors, sharded or not, else pytorch .bin files.

    Raises:
        FileNotFoundError: if there are no weights, or a shard of the index is missing.
        Refusal: if a file is cut short or damaged, or two files hold a tensor of one name.
    """
    if files := _shards(folder, "model.safetensors", "model-*.safetensors", "*.safetensors"):
        return _collect(folder, ((file, open_safetensors(file)) for file in files))
    if files := _shards(folder, "pytorch_model.bin", "pytorch_model-*.bin"):
        return _collect(folder, ((file, _torch_file(file)) for file in files))
    raise FileNotFoundError(
        f"{folder} has no weights: expected *.safetensors or pytorch_model*.bin"
    )


def _collect(folder: Path, files: Iterable[tuple[Path, list[Tensor]]]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for path, tensors in files:
        for tensor in tensors:
            if tensor.name in found:
                raise Refusal(f"{path} holds tensor {tensor.name}, which another file holds too")
            found[tensor.name] = tensor
    if not found:
        raise Refusal(f"{folder} has files of weights without a tensor; download it again")
    return found


def _shards(folder: Path, single: str, *patterns: str) -> list[Path]:
    index = folder / f"{single}.index.json"
    if index.exists():
        table = read_json(index).get("weight_map")
        if not isinstance(table, dict) or not table:
            raise Refusal(f"{index} is not an index of weights: no weight_map; download it again")
        names = sorted({file_name(index, f"weight_map.{k}", name) for k, name in table.items()})
        missing = [name for name in names if not (folder / name).exists()]
        if missing:
            raise FileNotFoundError(f"{folder} lacks {', '.join(missing)}, named in {index.name}")
        return [folder / name for name in names]
    if (folder / single).exists():
        return [folder / single]
    found = (sorted(folder.glob(pattern)) for pattern in patterns)
    return next((files for files in found if files), [])


def _torch_file(path: Path) -> list[Tensor]:
    """Tensors of a .bin file. Only weights are unpickled, and they stay on disk until read."""
    import torch

    try:
        state = torch.load(regular(path), map_location="cpu", weights_only=True, mmap=True)
    except (Refusal, OSError, MemoryError):
        raise
    except Exception as error:  # a dozen types, and torch's own words advise to run the pickle
        raise Refusal(
            f"{path} cannot be read as weights: {type(error).__name__}; save it as safetensors"
        ) from error
    if not isinstance(state, Mapping):
        raise Refusal(f"{path} holds a {type(state).__name__}; expected tensors by name")
    return [_from_torch(path, name, value) for name, value in state.items()]


def _from_torch(path: Path, name: Any, value: Any) -> Tensor:
    import torch

    if not isinstance(name, str) or not isinstance(value, torch.Tensor):
        raise Refusal(f"{path} holds {shown(name)}, which is no tensor; give the weights alone")
    dtype = str(value.dtype).removeprefix("torch.")

    def read() -> Array:
        if dtype not in NUMPY or value.layout != torch.strided:
            raise Refusal(f"tensor {name} has dtype {dtype}; expected dense {', '.join(NUMPY)}")
        bits = {"bfloat16": torch.uint16} | dict.fromkeys(FLOAT8, torch.uint8)
        held = value.contiguous()
        return np.asarray((held.view(bits[dtype]) if dtype in bits else held).numpy())

    return Tensor(name, tuple(value.shape), dtype, read)
