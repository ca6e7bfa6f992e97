"""What quantization does to a thinker, on the reference thinker and by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from profiles.cli import main
from profiles.drift import measure as drift
from profiles.opened_model import OpenedModel
from profiles.reference_text import solved_problems
from runtime.load import EngineOptions, open_engine
from tests.conftest import REFERENCE

OPTIONS = EngineOptions(device="cpu", threads=1, context=4096, max_branches=4)


def test_levels_drift_in_order(reference: Callable[[str, str], Path]) -> None:
    paths = [REFERENCE / "thinker", *(reference("thinker", n) for n in ("f16", "q8_0", "q2_k"))]
    rows = drift.measure(paths, solved_problems(4), lambda path: open_engine(path, OPTIONS))
    base, f16, q8_0, q2_k = rows
    assert base.drift is None
    assert {row.positions for row in rows} == {base.positions}
    near, nearer, far = (row.drift for row in (f16, q8_0, q2_k))
    assert near is not None
    assert nearer is not None
    assert far is not None
    assert near.kl_mean_nats < 1e-5 < far.kl_mean_nats
    assert near.w_correlation == pytest.approx(1, abs=1e-4)
    changes = [found.w_change_rms for found in (near, nearer, far)]
    assert changes == sorted(changes)


def test_a_batch_thinks_the_noted_thoughts(reference: Callable[[str, str], Path]) -> None:
    texts = solved_problems(2)
    with open_engine(reference("thinker", "f16"), OPTIONS) as engine:
        first = drift.read(engine, texts)
        again = drift.read(engine, texts, first.thoughts)
        longest = max(len(engine.tokenizer.encode_more(solution)) for _, solution in texts)
        other = drift.read(engine, texts, [[5] * len(t) for t in first.thoughts])
    assert len(first.thoughts) == 5 * longest
    assert np.allclose(first.weights, again.weights, atol=1e-5)
    assert np.abs(first.weights - other.weights).max() > 1e-2


def test_a_row_by_hand() -> None:
    model = OpenedModel("m", "m", "gguf", "q4_0", "CPU", None, 1, 4.5)  # type: ignore[arg-type]
    p, q = np.log([[0.5, 0.5], [0.9, 0.1]]), np.log([[0.25, 0.75], [0.1, 0.9]])
    base = drift.Reading(model, np.array([0.2, -0.1]), p, [])
    row = drift.row(drift.Reading(model, np.array([0.1, 0.3]), q, []), base).drift
    assert row is not None
    first, second = 0.5 * np.log(2) + 0.5 * np.log(0.5 / 0.75), 0.8 * np.log(9)
    assert row.kl_mean_nats == pytest.approx((first + second) / 2)
    assert row.w_change_rms == pytest.approx(np.sqrt((0.01 + 0.16) / 2))
    assert row.w_correlation == pytest.approx(-1)
    assert (row.sign_changes, row.same_top) == (0.5, 0.0)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "drift.json"
    command = ["drift", "--levels", "q8_0", "--problems", "2", "--threads", "1", "-o", str(out)]
    assert main(command) == 0
    assert "| gguf q8_0 " in capsys.readouterr().out
    rows = json.loads(out.read_text())["rows"]
    assert [row["level"] for row in rows] == ["f32", "q8_0"]
    assert main(["drift", "--policy", "reference:policy", "--levels", "q8_0"]) == 1
    assert "no Quiet-STaR model" in capsys.readouterr().err
