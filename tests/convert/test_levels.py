"""Levels agree with llama.cpp's own names and numbers."""

from __future__ import annotations

import llama_cpp.llama_cpp as llama
import pytest

from convert.levels import LEVELS, UnknownLevel, parse_level


@pytest.mark.parametrize("level", LEVELS.values(), ids=lambda level: level.name)
def test_numbers_are_llama_cpps(level):
    prefix = "ALL" if level.name == "f32" else "MOSTLY"
    constant = getattr(llama, f"LLAMA_FTYPE_{prefix}_{level.name.upper()}", None)
    if constant is None:  # newer than the binding's list
        assert level.name in ("q1_0", "q2_0")
    else:
        assert level.ftype == constant


@pytest.mark.parametrize(
    ("written", "meant"),
    [("Q4_K_M", "q4_k_m"), ("q4_k", "q4_k_m"), ("Q3-K-S", "q3_k_s"), ("FP16", "f16")],
)
def test_names_in_any_case_and_aliases(written, meant):
    assert parse_level(written).name == meant


def test_an_unknown_level_names_the_choices():
    with pytest.raises(UnknownLevel, match=r"'q4km'.*q8_0, q6_k.*iq1_s"):
        parse_level("q4km")
