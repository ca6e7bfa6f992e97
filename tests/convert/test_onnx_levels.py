"""Names of ONNX levels, and what they take on disk."""

from __future__ import annotations

import pytest

from convert.formats import parse
from convert.levels import LEVELS as GGUF_LEVELS
from convert.levels import UnknownLevel
from convert.onnx_levels import LEVELS, parse_onnx_level


@pytest.mark.parametrize(
    ("written", "name", "bits"),
    [
        ("FP32", "fp32", 32),
        ("f16", "fp16", 16),
        ("int8", "int8", 8.5),
        ("INT8-B128", "int8_b128", 8.125),
        ("int4", "int4", 4.5),
        ("int4_b32", "int4", 4.5),
        ("int4_asym", "int4_asym", 4.625),
        ("int4_asym_b64", "int4_asym_b64", 4.3125),
    ],
)
def test_names_in_any_case_with_any_block(written: str, name: str, bits: float) -> None:
    level = parse_onnx_level(written)
    assert (level.name, level.bits) == (name, bits)


@pytest.mark.parametrize("name", ["q4_k_m", "int3", "int4_b48", "int4_b", "fp8", ""])
def test_an_unknown_level_names_the_choices(name: str) -> None:
    with pytest.raises(UnknownLevel, match=r"for onnx; choose fp32, fp16, int8"):
        parse_onnx_level(name)


def test_a_name_belongs_to_one_format() -> None:
    assert not LEVELS.keys() & GGUF_LEVELS.keys()
    for name in (*LEVELS, *GGUF_LEVELS):
        assert parse(name).name == name
    assert parse("fp16", ("gguf",)).name == "f16"
    assert parse("int4_b64").name == "int4_b64"
    with pytest.raises(UnknownLevel, match=r"'q4km'; choose for gguf: f32.*; for onnx: fp32"):
        parse("q4km")
