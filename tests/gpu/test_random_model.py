"""A random model is at the level that it was asked for, and says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.load import describe_model
from tests.gpu.random_model import REHEARSAL, write


@pytest.mark.parametrize("level", ["q4_k_m", "q8_0"])
def test_it_names_its_level(
    reference: Callable[[str, str], Path], tmp_path: Path, level: str
) -> None:
    write(tmp_path / "random.gguf", REHEARSAL, level, reference("policy", "f16"))
    assert describe_model(tmp_path / "random.gguf").level == level
