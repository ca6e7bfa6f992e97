"""Recommendations: the pick, the reasons, and honesty about what was not told apart."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convert.typed import typed
from convert.units import GIB
from methods.budget import parse
from profiles.cli import main
from profiles.flat_rows import flat, nested
from profiles.intervals import Paired
from profiles.recommend.document import text
from profiles.recommend.measure import RowLimits, card_bytes, read_rows, recommend
from profiles.report.row_comparison import RowComparison, by_intervals, by_questions
from profiles.report.rows import Cost, Row
from runtime.footprint import ASSUMED_COMPUTE_BYTES, MARGIN_BYTES

PLAIN: dict[str, Any] = {
    "format": "gguf",
    "method": "rebase",
    "search": "rebase",
    "thinking": "off",
    "protocol": "fair",
    "width": 8,
    "seed": 0,
    "baseline": False,
    "n": 100,
    "model": "m",
    "accuracy_strict": 0.5,
    "model_bytes": 4 * GIB,
    "reward_model_bytes": 4 * GIB,
    "bits_per_weight": 4.5,
    "kv_bytes": GIB,
    "peak_rss_bytes": 10 * GIB,
    "load_s": 1.0,
    **dict.fromkeys(("unanswered", "failed", "truncated", "candidates", "dropped"), 0),
    "device": "CPU",
}


def of(table: dict[str, Any]) -> Row:
    blank = dict.fromkeys(Cost.__dataclass_fields__) | {"peak_vram_bytes": None}
    return typed(Row, json.dumps(nested(Row, blank | table)).encode(), "no row")


def changed(row: Row, **changes: Any) -> Row:
    return of(flat(row) | changes)


def row(level: str, accuracy: float, p95: float | None, **changes: Any) -> Row:
    own = {
        "level": level,
        "reward_level": level,
        "accuracy": accuracy,
        "accuracy_low": accuracy - 0.09,
        "accuracy_high": accuracy + 0.09,
        "latency_p50_s": None if p95 is None else p95 / 2,
        "latency_p95_s": p95,
    }
    return of(PLAIN | own | changes)


ROWS = [
    row("f16", 0.80, 9.0, model_bytes=14 * GIB, reward_model_bytes=14 * GIB),
    row("q8_0", 0.78, 6.0, peak_rss_bytes=16 * GIB),
    row("q4_k_m", 0.75, 4.0),
    row("q3_k_s", 0.72, 2.0),
    row("q2_k", 0.30, 1.0),
]


def test_the_most_accurate_row_within_the_limits_is_picked() -> None:
    assert recommend(ROWS, RowLimits()).pick.setup.level == "f16"
    assert recommend(ROWS, RowLimits(latency_s=6.0)).pick.setup.level == "q8_0"
    assert recommend(ROWS, RowLimits(latency_s=5.99)).pick.setup.level == "q4_k_m"
    assert recommend(ROWS, RowLimits(vram_bytes=11 * GIB)).pick.setup.level == "q8_0"
    assert (
        recommend(ROWS, RowLimits(vram_bytes=11 * GIB, ram_bytes=12 * GIB)).pick.setup.level
        == "q4_k_m"
    )
    shuffled = [ROWS[i] for i in (3, 0, 4, 2, 1)]
    assert recommend(shuffled, RowLimits(latency_s=5)) == recommend(ROWS, RowLimits(latency_s=5))


def test_a_budget_limits_what_a_question_takes_of_all_models() -> None:
    def costing(accuracy: float, gflop: float, seconds: float, reward: float) -> Row:
        own = {"flops_per_question": gflop * 1e9, "latency_mean_s": seconds}
        tokens = {"prompt_tokens_per_question": 50.0, "decode_tokens_per_question": 450.0}
        spent = own | tokens | {"reward_tokens_per_question": reward}
        return row("q4_k_m", accuracy, 1.0, **spent)

    cheap, dear = costing(0.7, 19.2, 0.3, 100.0), costing(0.8, 38.4, 0.2, 500.0)
    for budget, picked in (
        ("20G", cheap),
        ("0.0384T", dear),
        ("600tok", cheap),
        ("1000tok", dear),
        ("0.25s", dear),
    ):
        limits = RowLimits(budget=parse(budget))
        assert recommend([cheap, dear], limits).pick is picked
    found = recommend([cheap, dear], RowLimits(budget=parse("20G")))
    said = text(found, RowLimits(budget=parse("20G")))
    assert "  spends:   19.2 GFLOP a question, estimated, of 20 GFLOP" in said
    assert "38.4 GFLOP a question are above 20 GFLOP" in said
    with pytest.raises(ValueError, match=r"nearest: .*19\.2 GFLOP a question are above 1 "):
        recommend([cheap, dear], RowLimits(budget=parse("1G")))
    unknown = row("q4_k_m", 0.9, 1.0)
    assert recommend([cheap, unknown], RowLimits(budget=parse("5T"))).pick is cheap


def test_runner_up_and_what_was_ruled_out() -> None:
    found = recommend(ROWS, RowLimits(latency_s=5))
    assert found.runner_up is not None
    assert found.runner_up.setup.level == "q3_k_s"
    assert (found.qualified, found.measured) == (3, 5)
    assert [(j.row.setup.level, [b.text for b in j.breaches]) for j in found.better] == [
        ("f16", ["p95 9 s is above 5"]),
        ("q8_0", ["p95 6 s is above 5"]),
    ]
    said = text(found, RowLimits(latency_s=5))
    assert "recommended: gguf q4_k_m, REBASE w=8" in said
    assert "75.0 % [66.0, 84.0] of 100 questions" in said
    assert "p50 2 s, p95 4 s a question (limit: p95 5 s)" in said
    assert "runner-up: gguf q3_k_s, REBASE w=8" in said
    assert "gguf f16, REBASE w=8: 80.0 %, not surely better; p95 9 s is above 5" in said


def test_overlap_is_said_and_the_faster_equal_is_named() -> None:
    found = recommend(ROWS, RowLimits(latency_s=5))
    assert found.thrifty is not None
    assert found.thrifty.setup.level == "q3_k_s"
    said = text(found, RowLimits(latency_s=5))
    assert "the intervals overlap: 100 questions do not tell the two apart" in said
    assert "as good as 100 questions can tell, and faster: the runner-up" in said
    barely = changed(ROWS[3], latency_p50_s=1.7)
    assert recommend([ROWS[2], barely], RowLimits()).thrifty is None  # 15 % is not worth a word
    apart = recommend([ROWS[2], ROWS[4]], RowLimits())
    assert apart.thrifty is None
    assert "the intervals do not overlap: the difference is real" in text(apart, RowLimits())
    assert by_intervals(ROWS[0], ROWS[3]).same
    assert not by_intervals(ROWS[0], ROWS[4]).same
    touching = changed(ROWS[4], accuracy_high=ROWS[0].accuracy.low)
    assert by_intervals(ROWS[0], touching).same
    assert by_intervals(touching, ROWS[0]).same


def test_equal_rows_go_to_the_faster_then_the_smaller() -> None:
    slow, fast = row("q8_0", 0.7, 3.0), row("q6_k", 0.7, 2.0)
    assert recommend([slow, fast], RowLimits()).pick is fast
    small = changed(fast, model_bytes=GIB)
    assert recommend([fast, small], RowLimits()).pick is small


def test_a_single_row_has_no_runner_up() -> None:
    found = recommend(ROWS[:1], RowLimits())
    assert (found.runner_up, found.thrifty, found.better) == (None, None, ())
    assert "runner-up: none" in text(found, RowLimits())


def test_nothing_within_the_limits_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="none of 5 measured rows qualifies") as failed:
        recommend(ROWS, RowLimits(latency_s=0.9))
    assert "nearest: gguf q2_k, REBASE w=8, 30.0 % right, but p95 1 s is above 0.9" in str(
        failed.value
    )
    with pytest.raises(ValueError, match="nearest: gguf f16") as failed:
        recommend(ROWS, RowLimits(accuracy=0.85))
    assert "80.0 % right is below 85 %" in str(failed.value)


def test_an_accuracy_that_the_interval_does_not_settle_is_said() -> None:
    found = recommend(ROWS, RowLimits(latency_s=5, accuracy=0.74))
    assert found.pick.setup.level == "q4_k_m"
    assert "its interval reaches below the 74 % asked for" in text(found, RowLimits(accuracy=0.74))
    assert "reaches below" not in text(found, RowLimits(accuracy=0.6))


def test_memory_on_a_card_is_measured_or_marked_as_estimated() -> None:
    estimated = ROWS[2]
    assert card_bytes(estimated) == 9 * GIB + 2 * ASSUMED_COMPUTE_BYTES + MARGIN_BYTES
    foretold = changed(estimated, foretold_card_bytes=6 * GIB)
    assert card_bytes(foretold) == 7 * GIB
    assert "7.00 GiB, forecast" in text(recommend([foretold], RowLimits()), RowLimits())
    measured = changed(foretold, peak_vram_bytes=7 * GIB)
    assert card_bytes(measured) == 8 * GIB
    assert recommend([measured], RowLimits(vram_bytes=8 * GIB)).pick is measured
    assert "estimated from file sizes" in text(recommend([estimated], RowLimits()), RowLimits())
    assert "8.00 GiB, measured" in text(recommend([measured], RowLimits()), RowLimits())
    torch = changed(estimated, format="torch", level="f32")
    with pytest.raises(ValueError, match="needs GiB of card: not measured"):
        recommend([torch], RowLimits(vram_bytes=80 * GIB))


def test_what_was_not_timed_keeps_no_limit() -> None:
    never = row("q8_0", 0.9, None)
    assert recommend([never, ROWS[2]], RowLimits()).pick is never
    assert recommend([never, ROWS[2]], RowLimits(latency_s=5)).pick is ROWS[2]


def test_the_command_reads_a_run(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(run_folder)]) == 0
    capsys.readouterr()
    assert main(["recommend", str(run_folder), "--vram", "8", "--max-latency", "0.5"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("recommended: gguf ")
    assert "against the baseline:" in said
    assert main(["recommend", str(run_folder), "--vram", "8", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    stored = json.loads((run_folder / "summary.json").read_text())["rows"]
    fits = [r for r in stored if r["format"] == "gguf"]
    assert document["pick"]["accuracy"] == max(r["accuracy"] for r in fits)
    assert document["measured"] == len(stored)
    assert document["qualified"] == len(fits)
    assert main(["recommend", str(run_folder), "--max-latency", "0.0001"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "nearest: " in error


def test_the_verdict_of_a_pair_follows_its_interval() -> None:
    found = recommend(ROWS, RowLimits())
    sure = RowComparison(False, Paired(100, 1, 9, 0.08, 0.01, 0.15, 0.02))
    unsure = RowComparison(True, Paired(100, 4, 6, 0.02, -0.05, 0.09, 0.75))
    said = text(replace(found, against=sure), RowLimits())
    assert "paired by question: +8.0 points [+1.0, +15.0], a real difference" in said
    said = text(replace(found, against=unsure), RowLimits())
    assert "+2.0 points [−5.0, +9.0], no difference detected" in said


def test_rows_are_paired_by_question_where_the_records_are(run_folder: Path) -> None:
    assert main(["report", str(run_folder)]) == 0
    rows = read_rows(run_folder)
    judge = by_questions(run_folder)
    base = {(r.setup.method, r.setup.width): r for r in rows if r.setup.baseline}
    for r in rows:
        if r.setup.baseline:
            continue
        found = judge(
            r, base[r.setup.method, r.setup.width]
        ).paired  # what the report itself compares
        assert found is not None
        assert r.change is not None
        shown = (r.change.delta_accuracy, r.change.delta_low, r.change.delta_high)
        assert (found.difference, found.low, found.high) == shown
    best = recommend(rows, RowLimits(vram_bytes=8 * GIB), judge)
    assert "paired by question: " in text(best, RowLimits())
    for file in (run_folder / "records").glob("*.jsonl"):
        file.unlink()
    bare = by_questions(run_folder)(rows[0], rows[1])
    assert bare == by_intervals(rows[0], rows[1])


def test_rows_of_other_versions(run_folder: Path) -> None:
    assert main(["report", str(run_folder)]) == 0
    path = run_folder / "summary.json"
    document = json.loads(path.read_text())
    document["rows"][0]["a_field_to_come"] = 1
    path.write_text(json.dumps(document))
    assert len(read_rows(run_folder)) == len(document["rows"])
    del document["rows"][0]["accuracy"]
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match="render it again with profile report"):
        read_rows(run_folder)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nowhere"], 1, "nowhere/summary.json does not exist"),
        (["--vram", "0"], 2, "'0' is not a positive number"),
        (["--min-accuracy", "101"], 2, "'101' is not a percentage"),
        (["--max-latency", "soon"], 2, "'soon' is not a positive number"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if code == 2:
        with pytest.raises(SystemExit) as stopped:
            main(["recommend", *arguments])
        assert stopped.value.code == 2
    else:
        assert main(["recommend", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert said in error
