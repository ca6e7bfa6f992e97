"""Rows from hand-made records: intervals, pairing, and who pays for the reward model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from profiles.records.configuration import Configuration
from profiles.records.record import Record
from profiles.records.worker_facts import WorkerFacts
from profiles.report.accuracy import pair, row
from profiles.report.columns import columns
from profiles.report.rows import flat_lines
from runtime.flops import flops

Configurations = Callable[..., Configuration]
Processes = Callable[..., WorkerFacts]
Records = Callable[..., Record]


@pytest.fixture
def greedy(configuration: Configurations) -> Configuration:
    return configuration("greedy")


def test_rows_pair_by_question_not_by_place(
    greedy: Configuration, process: Processes, record: Records
) -> None:
    before = [record(n, greedy, {"greedy": n < 8}) for n in range(10)]
    after = [record(n, greedy, {"greedy": n % 2 == 0}) for n in range(10)]
    made = row(greedy, process(), after[::-1], "greedy", before)
    # right before: 0-7; right now: 0 2 4 6 8; lost 1 3 5 7, won 8
    assert made.change is not None
    assert (made.accuracy.value, made.change.delta_accuracy) == (0.5, pytest.approx(-0.3))
    assert made.change is not None
    assert (made.change.flips_lost, made.change.flips_won, made.change.paired_n) == (4, 1, 10)
    assert made.change is not None
    assert made.change.mcnemar_p == pytest.approx(2 * (1 + 5) / 32)
    assert made.accuracy.low < 0.5 < made.accuracy.high


def test_only_common_questions_pair(greedy: Configuration, record: Records) -> None:
    before = [record(n, greedy, {"greedy": True}) for n in range(4)]
    after = [record(n, greedy, {"greedy": False}) for n in range(2, 9)]
    found = pair(before, after, "greedy")
    assert found is not None
    assert (found.n, found.lost) == (2, 2)
    assert pair([], after, "greedy") is None


def test_the_baseline_is_not_compared_with_itself(
    configuration: Configurations, process: Processes, record: Records
) -> None:
    base = configuration("greedy", "f32")
    records = [record(n, base, {"greedy": True}) for n in range(3)]
    made = row(base, process("f32"), records, "greedy", records)
    assert made.setup.baseline
    assert made.change is None


def test_a_majority_vote_does_not_pay_for_the_reward_model(
    configuration: Configurations, process: Processes, record: Records
) -> None:
    made = configuration("sample")
    right = dict.fromkeys(made.selections, True)
    records = [record(n, made, right, latency_s=1.0, scorer_s=0.25) for n in range(4)]
    free = row(made, process(), records, "majority")
    paid = row(made, process(), records, "weighted")
    assert (free.cost.latency_p50_s, paid.cost.latency_p50_s) == (0.75, 1.0)
    assert free.cost.reward_tokens_per_question == free.cost.reward_flops_per_question == 0
    assert (free.memory.reward_model_bytes, free.setup.reward_level) == (0, None)
    assert free.memory.kv_bytes * 2 == paid.memory.kv_bytes
    reward = process().reward
    assert reward is not None
    assert paid.cost.reward_flops_per_question == flops(records[0].reward, reward.shape)
    assert paid.cost.flops_per_question == pytest.approx(
        (paid.cost.policy_flops_per_question or 0) + (paid.cost.reward_flops_per_question or 0)
    )


def test_every_selection_of_a_tree_pays(
    configuration: Configurations, process: Processes, record: Records
) -> None:
    made = configuration("rebase")
    records = [record(0, made, dict.fromkeys(made.selections, True))]
    rows = {s: row(made, process(), records, s) for s in made.selections}
    assert {r.setup.method for r in rows.values()} == {"rebase", "rebase-majority", "rebase-best"}
    assert len({r.cost.latency_p50_s for r in rows.values()}) == 1
    assert rows["majority"].memory.reward_model_bytes > 0


def test_a_failed_question_is_wrong_but_costs_nothing(
    greedy: Configuration, process: Processes, record: Records
) -> None:
    good = [record(n, greedy, {"greedy": True}, latency_s=2.0) for n in range(3)]
    bad = record(3, greedy, {"greedy": True}, verdicts={}, failed="full", latency_s=0.0)
    made = row(greedy, process(), [*good, bad], "greedy")
    assert (made.n, made.accuracy.value, made.counts.failed, made.counts.unanswered) == (
        4,
        0.75,
        1,
        1,
    )
    assert made.cost.latency_p50_s == made.cost.latency_mean_s == 2.0
    assert made.cost.decode_tokens_per_question == 60


def test_what_was_spent_beyond_a_budget_is_told(
    greedy: Configuration, process: Processes, record: Records
) -> None:
    spent = [record(n, greedy, {"greedy": True}, overshoot=over) for n, over in enumerate((0, 0.3))]
    kept = row(greedy, process(), spent, "greedy")
    free = row(greedy, process(), [record(0, greedy, {"greedy": True})], "greedy")
    assert kept.cost.overshoot == pytest.approx(0.15)
    (told,) = [c for c in columns([kept]) if c.title == "over budget %"]
    assert told.cell(kept) == "15.0"
    assert "over budget %" not in [c.title for c in columns([free])]
    assert "overshoot" in flat_lines([kept])[0]
    assert "overshoot" not in flat_lines([free])[0]


def test_nothing_ran_leaves_costs_open(
    greedy: Configuration, process: Processes, record: Records
) -> None:
    bad = record(0, greedy, {"greedy": True}, verdicts={}, failed="full")
    made = row(greedy, process(), [bad], "greedy")
    assert made.accuracy.value == 0.0
    assert (
        made.cost.latency_p50_s
        is made.cost.flops_per_question
        is made.cost.decode_tok_per_s
        is None
    )


def test_rates_are_of_the_engine(
    greedy: Configuration, process: Processes, record: Records
) -> None:
    records = [record(n, greedy, {"greedy": True}) for n in range(2)]
    used = records[0].policy
    made = row(greedy, process(), records, "greedy")
    assert made.cost.decode_tok_per_s == pytest.approx(used.decode_tokens / used.decode_s)
    assert made.cost.prefill_tok_per_s == pytest.approx(used.prefill_tokens / used.prefill_s)


def test_strict_and_flexible_are_counted_apart(
    greedy: Configuration, process: Processes, record: Records
) -> None:
    whole = record(0, greedy, {"greedy": True})
    loose = replace(whole.verdict("greedy"), answer_strict=None, correct_strict=False)
    made = row(
        greedy, process(), [whole, replace(whole, id="1", verdicts={"greedy": loose})], "greedy"
    )
    assert (made.accuracy.value, made.accuracy_strict, made.counts.unanswered) == (1.0, 0.5, 0)
