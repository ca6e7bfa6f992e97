"""The script in docs/onnx.md runs as it stands, and writes what the engine writes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from convert.artifact import read_artifact
from runtime.engine import Sampling
from runtime.load import EngineOptions, open_engine
from tests.conftest import ROOT

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")


def test_the_script_writes_what_the_engine_writes(
    reference: Callable[[str, str], Path], questions: list[str], tmp_path: Path
) -> None:
    page = (ROOT / "docs" / "onnx.md").read_text(encoding="utf-8")
    code = page.split("```python\n")[1].split("```")[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    (tmp_path / "greedy.py").write_text(code)
    model, question = reference("policy", "int4"), questions[0] + "\n"
    tokenizer = model.with_name(read_artifact(model).tokenizer or "")
    command = [sys.executable, "-I", "greedy.py", str(model), str(tokenizer), question]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    with (
        open_engine(model, EngineOptions(device="cpu", threads=1)) as engine,
        engine.open(engine.tokenizer.encode(question)) as root,
    ):
        (step,) = engine.extend([root], Sampling(temperature=0, max_tokens=150))
    assert done.stderr == ""
    assert step.finish == "eos"
    assert done.stdout.strip() == (question + step.text).strip()
