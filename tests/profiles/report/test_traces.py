"""What was written on the way to the answers: lengths, loops, right answers in the trace."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from profiles.intervals import ratio
from profiles.recommend.measure import read_rows
from profiles.records.configuration import Configuration
from profiles.records.record import Record
from profiles.report.summary import summarize
from profiles.report.traces import do_answers_change, traces
from profiles.report.write import write
from runtime.engine import Usage
from tests.profiles.conftest import make_process, make_record


def records(
    made: Configuration, tokens: Callable[[int], int], *, looped: int | None = 0
) -> list[Record]:
    """Twenty greedy answers, every second right; of the wrong ones every fourth has a trace."""
    return [
        replace(
            make_record(n, made, {"greedy": n % 2 == 0}),
            policy=Usage(decode_tokens=tokens(n)),
            looped=looped,
            traced=n % 4 == 3,
        )
        for n in range(20)
    ]


@pytest.fixture
def folder(
    tmp_path: Path, stored: Callable[..., None], configuration: Callable[..., Configuration]
) -> Path:
    """Full precision, a level as long, and one that writes half as much again and loops."""
    lengths = {"f32": lambda n: 100 + n, "q8_0": lambda n: 100 + (n * 7) % 20}
    lengths |= {"q2_k": lambda n: 150 + n}
    measured = []
    for level, tokens in lengths.items():
        made = configuration("greedy", level)
        found = records(made, tokens, looped=int(level == "q2_k"))
        measured.append((made, make_process(level, judged=False), found))
    stored(tmp_path / "run", measured, methods=("greedy",))
    return tmp_path / "run"


def test_a_ratio_of_totals_has_an_interval_of_its_pairs() -> None:
    """Against the delta method by hand: residuals of 2 and -2 over means of 10 and 20."""
    found = ratio([8, 12], [18, 22])
    assert found is not None
    assert found.value == 2
    # residuals 18 - 2*8 = 2 and 22 - 2*12 = -2; standard error sqrt(8 / 2) / 10 = 0.2
    assert found.high / found.value == pytest.approx(2.718281828 ** (1.959963985 * 0.1), rel=1e-6)
    assert found.low * found.high == pytest.approx(found.value**2)
    same = ratio([5, 7, 9], [10, 14, 18])
    assert same is not None
    assert same.low == same.value == same.high == 2
    assert ratio([5], [5]) is None
    assert ratio([0, 0], [1, 1]) is None


def test_rows_count_what_was_written(folder: Path) -> None:
    full, mild, heavy = summarize(folder).rows
    assert full.traces is not None
    assert mild.traces is not None
    assert heavy.traces is not None
    assert full.traces.token_ratio is None
    assert (full.traces.looped, full.traces.wrong, full.traces.traced) == (0, 10, 5)
    assert mild.traces.token_ratio is not None
    assert mild.traces.token_ratio.low < 1 < mild.traces.token_ratio.high
    assert heavy.traces.token_ratio is not None
    assert heavy.traces.token_ratio.value == pytest.approx(3190 / 2190)
    assert heavy.traces.looped == 20


def test_the_answer_claims_only_what_is_sure(folder: Path) -> None:
    rows = summarize(folder).rows
    said = do_answers_change(rows)
    assert said.startswith("Yes, the tokens of full precision 1.46 [")
    assert "] times at q2_k (greedy); " in said
    assert "100.0 % of the paths of greedy at q2_k loop" in said
    assert do_answers_change(rows[:2]).startswith("Not that it shows")
    assert do_answers_change(rows[:2]).endswith("no path loops.")


def test_it_stands_in_every_form_of_the_report(folder: Path) -> None:
    rows = write(folder).rows
    assert read_rows(folder) == list(rows)
    line = json.loads((folder / "summary.json").read_text())["rows"][2]
    assert (line["looped"], line["wrong"], line["traced"]) == (20, 10, 5)
    assert line["token_ratio_low"] < line["token_ratio"] < line["token_ratio_high"]
    for name in ("index.html", "report.md"):
        text = (folder / name).read_text(encoding="utf-8")
        assert "go round in circles?" in text
        assert "1.46 [" in text


def test_runs_that_did_not_look_say_nothing(
    run_folder: Path, configuration: Callable[..., Configuration]
) -> None:
    made = configuration("greedy", "q8_0")
    found = records(made, lambda n: n + 1)
    assert traces(found, "greedy", ()) is not None
    assert traces([*found, replace(found[0], looped=None)], "greedy", ()) is None
    write(run_folder)
    assert "token_ratio" not in (run_folder / "summary.csv").read_text()
    assert "in circles" not in (run_folder / "report.md").read_text(encoding="utf-8")
