"""Sizes by level, against llama.cpp's own quantizer on models that are only a header."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from convert.gguf_header import read_header
from convert.levels import LEVELS
from convert.mixes import tensor_bytes, tensor_types
from convert.units import MIB
from profiles.plan.model_tensors import KNOWN, model_tensors
from tests.runtime.ghost import quantized_mib, write_ghost

LOGGED = 0.006  # MiB: the log has two decimals
UNDIVIDED = ("qwen2.5-0.5b", "smollm2-135m", "smollm2-360m")  # rows that 256 does not divide


@pytest.mark.parametrize("imatrix", [False, True])
@pytest.mark.parametrize("name", KNOWN)
def test_every_level_has_the_size_that_the_quantizer_states(
    name: str, imatrix: bool, tmp_path: Path
) -> None:
    model = model_tensors(name)
    ghost = write_ghost(tmp_path / "ghost.gguf", model)
    for level in LEVELS.values():
        if level.name == "q1_0" and name in UNDIVIDED:
            continue  # llama.cpp has no type to fall back to
        if level.needs_imatrix and not imatrix:
            continue
        types = tensor_types(model.tensors, level, model.shape, imatrix=imatrix)
        size = sum(tensor_bytes(t, types[t.name]) for t in model.tensors) / MIB
        stated = quantized_mib(ghost, level.ftype, imatrix=imatrix)
        assert size == pytest.approx(stated, abs=LOGGED), level.name


@pytest.mark.parametrize("level", ["q8_0", "q4_k_m", "q2_k"])
def test_a_written_file_has_the_types_foretold(
    reference: Callable[[str, str], Path], level: str
) -> None:
    model = model_tensors("reference:reward")
    header = read_header(reference("reward", level))
    types = model.types_at(level)
    assert {entry.name: entry.type for entry in header.tensors} == dict(types)
    sizes = {tensor.name: tensor_bytes(tensor, types[tensor.name]) for tensor in model.tensors}
    assert {entry.name: entry.size_bytes for entry in header.tensors} == sizes
