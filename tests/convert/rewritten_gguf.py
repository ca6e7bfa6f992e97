"""A GGUF written anew: in several files, or as another architecture's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf


def rewrite(
    source: Path, out: Path, architecture: str, added: dict[str, int], tensors: list[Any]
) -> None:
    """Write some tensors with the keys of a source, its architecture's renamed, and a few more."""
    reader = gguf.GGUFReader(source)
    old = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(out, architecture)
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        name = field.name.replace(f"{old}.", f"{architecture}.", 1)
        inner = field.types[-1] if len(field.types) > 1 else None
        writer.add_key_value(name, field.contents(), field.types[0], inner)
    for key, value in added.items():
        add = writer.add_int32 if key == "split.tensors.count" else writer.add_uint16
        add(key, value)
    for tensor in tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def split(source: Path, folder: Path, count: int) -> list[Path]:
    """Write a GGUF in several files, named as llama-gguf-split names them."""
    tensors = gguf.GGUFReader(source).tensors
    size = -(-len(tensors) // count)
    paths = [folder / f"split-{n + 1:05d}-of-{count:05d}.gguf" for n in range(count)]
    for n, path in enumerate(paths):
        part = tensors[n * size : (n + 1) * size]
        added = {"split.no": n, "split.count": count, "split.tensors.count": len(tensors)}
        rewrite(source, path, "llama", added, part)
    return paths
