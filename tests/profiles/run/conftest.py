"""A request over models that only have names."""

from __future__ import annotations

from pathlib import Path

import pytest

from methods.build import MethodSpec
from profiles.run.request import Request
from runtime.options import EngineOptions
from tests.profiles.run.shelf import Shelf


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    data = tmp_path / "d.jsonl"
    data.write_text('{"question": "?", "answer": "#### 1"}\n')
    return Request(
        policies=("reference:policy",),
        reward=None,
        levels=("q8_0", "q4_k_m"),
        reward_level="same",
        methods=("greedy", "majority", "best-of-n", "weighted", "rebase"),
        widths=(4, 8),
        data=data,
        limit=10,
        seed=0,
        options=EngineOptions(device="cpu"),
        baseline=True,
        spec=MethodSpec("greedy", max_tokens=256),
    )
