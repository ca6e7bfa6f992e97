"""The bytes of a card that a run records are those of the file and of llama.cpp's own buffers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from convert.units import MIB
from runtime.engine_footprint import whole_card_bytes
from runtime.footprint import Load
from runtime.load import describe_model
from runtime.options import EngineOptions
from tests.runtime.ghost import dry_context

gguf = pytest.importorskip("gguf")
Reference = Callable[[str, str], Path]


def test_a_whole_model_on_a_card_is_its_tensors_its_cache_and_what_is_reserved(
    reference: Reference,
) -> None:
    path = reference("policy", "q8_0")
    found = whole_card_bytes(describe_model(path), EngineOptions(context=1024, max_branches=34))
    assert found is not None
    sizes = {tensor.name: int(tensor.n_bytes) for tensor in gguf.GGUFReader(path).tensors}
    tied = "output.weight" not in sizes
    on_card = sum(sizes.values()) - (0 if tied else sizes["token_embd.weight"])
    compute, kv, _ = dry_context(path, Load(1024, 34, tokens=1, rows=34))
    assert found / MIB == pytest.approx(on_card / MIB + compute + kv, abs=0.03)


def test_other_formats_have_no_forecast(reference: Reference) -> None:
    described = replace(describe_model(reference("policy", "q8_0")), format="torch")
    assert whole_card_bytes(described, EngineOptions()) is None
