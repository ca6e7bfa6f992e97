"""An engine that thinks, with all that was fed to the one inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from convert.heads import read_talk_head
from runtime.engine import Branch, Engine, Output
from runtime.load import EngineOptions
from runtime.thinking_engine import ThinkingEngine

OPTIONS = EngineOptions(device="cpu", threads=1, context=2048, max_branches=16)
TEXT = (
    "Mia bakes 6 trays of 8 rolls and sells 20 of them. Then Tom gives Mia 36 more rolls. "
    "How many rolls does Mia have in the end?\nStep 1: Mia bakes 6 * 8 = 48 rolls. ки\n"
    "Step 2: There are 48 - 20 = 28 rolls left. ки\nStep 3: Mia has 28 + 36 = 64 rolls now."
)


class Recording:
    """An engine that notes the tokens of every feed."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.calls: list[list[list[int]]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def feed(
        self, branches: Sequence[Branch], tokens: Sequence[Sequence[int]], **options: Any
    ) -> Output:
        self.calls.append([list(t) for t in tokens])
        return self.engine.feed(branches, tokens, **options)


def recorded(engine: Engine, **options: Any) -> tuple[ThinkingEngine, Recording]:
    recording = Recording(engine)
    head = read_talk_head(engine.artifact)
    return ThinkingEngine(recording, head, **options), recording  # type: ignore[arg-type]


def or_skip(reference: Callable[[str, str], Path], level: str) -> Path:
    if level != "f16":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnx")
    return reference("thinker", level)
