"""The reward grid: hand-worked measures, and the same solutions under every reward model."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.artifact import RewardProtocol
from methods.baseline import SampleVote
from methods.candidate import Candidate
from methods.problem import Problem
from methods.scorers import ProcessRewardScorer
from profiles.cli import main
from profiles.flat_rows import flat
from profiles.intervals import Estimate
from profiles.opened_model import OpenedModel
from profiles.records.record import question_seed
from profiles.reward_grid.candidate_pool import Pool, Solution, sample, score
from profiles.reward_grid.cells import RewardCell, RewardChange, cell
from profiles.reward_grid.document import answer, document
from profiles.reward_grid.reward_changes import (
    AllocationChange,
    OrderChange,
    Scored,
    StepAuc,
    VoteAccuracies,
    VoteChanges,
    auc,
    resampled,
)
from runtime.engine import Branch, Engine, Sampling, Step
from runtime.scripted_engine import ScriptedEngine

REFERENCE = Path(__file__).parents[3] / "convert" / "reference"
BENCHMARK = REFERENCE / "benchmark.jsonl"
POLICY = {
    "step by step.": {" One.\n\n": 2, " Two.\n\n": 1},
    " One.\n\n": {" The answer is 5.": 2, " The answer is 6.": 1},
    " Two.\n\n": {" Three.\n\n": 1},
    " Three.\n\n": {" The answer is 6.": 1, " Nothing": 1},
}
REWARD = {
    "One. ки": {"+": 3, "-": 1},
    "Two. ки": {"+": 1, "-": 1},
    "5. ки": {"+": 9, "-": 1},
    "ки": {"+": 1, "-": 3},
}


def reward() -> Engine:
    engine = ScriptedEngine(REWARD)
    protocol = RewardProtocol("token_logits", " ки", good_id=ord("+"), bad_id=ord("-"))
    engine.artifact = replace(engine.artifact, role="reward", reward=protocol)
    return engine


def model(process: Callable[..., Any], level: str) -> OpenedModel:
    found: OpenedModel = process(level).policy
    return found


def scored(
    process: Callable[..., Any], level: str, table: list[list[tuple[str, list[float]]]]
) -> Scored:
    """Problems of gold answer 5, each with solutions of an answer and its step scores."""
    pools, candidates = [], []
    for number, solutions in enumerate(table):
        made, seen = [], []
        for i, (text, scores) in enumerate(solutions):
            steps = [Step(f"S{k}. ", (1,), (0.0,), "stop") for k in range(len(scores) - 1)]
            steps.append(Step(f"The answer is {text}.", (1,), (0.0,), "eos"))
            made.append(Solution(tuple(steps), None, True))
            seen.append(Candidate(Branch(i + 1, 0), tuple(steps), tuple(scores), True))
        pools.append(Pool(Problem(str(number), "?", "5"), tuple(made)))
        candidates.append(seen)
    return Scored(model(process, "q8_0"), model(process, level), pools, candidates)


def test_a_pool_is_scored_as_a_vote_scores_its_own_samples() -> None:
    sampling = Sampling(temperature=1, max_tokens=30)
    for number in range(8):
        problem = Problem(str(number), "Why?", "5")
        policy, judge = ScriptedEngine(POLICY), reward()
        pool = sample(policy, problem, 5, sampling, seed=1)
        ours = score(ProcessRewardScorer(judge, "\n\n"), pool)
        scorer = ProcessRewardScorer(reward(), "\n\n")
        vote = SampleVote(ScriptedEngine(POLICY), scorer, 5, sampling, "weighted")
        theirs = vote.solve(problem, question_seed(1, problem.id)).candidates
        assert [c.text for c in ours] == [c.text for c in theirs]
        assert [c.scores for c in ours] == [c.scores for c in theirs]
        assert [c.finished for c in ours] == [c.finished for c in theirs]
        assert not judge._slots  # type: ignore[attr-defined]  # nothing stays live


def test_measures_worked_by_hand(process: Callable[..., Any]) -> None:
    base = scored(
        process,
        "f32",
        [
            [("5", [0.9, 0.8]), ("6", [0.5, 0.3]), ("6", [0.1, 0.4])],
            [("5", [0.9, 0.6]), ("7", [0.2, 0.5]), ("7", [0.3, 0.05])],
            [("5", [0.9]), ("7", [0.2])],
        ],
    )
    ours = scored(
        process,
        "q2_k",
        [
            [("5", [0.9, 0.8]), ("6", [0.5, 0.3]), ("6", [0.1, 0.4])],
            [("5", [0.5, 0.2]), ("7", [0.6, 0.9]), ("7", [0.3, 0.05])],
            [("5", [0.9]), ("7", [0.2])],
        ],
    )
    found = flat(cell(ours, base, {}, "last", 0.1))
    assert found["score_error"] == pytest.approx((0.4 + 0.4 + 0.4 + 0.4) / 14)
    # the first problem keeps its order; in the second one pair of three turns round
    assert found["kendall_tau"] == pytest.approx((1 + 1 / 3 + 1) / 3)
    assert found["kendall_problems"] == 3
    # one level of two problems has three unfinished paths; the second one allocates otherwise:
    # the first path takes all 3 there; here the second does, its 3 * 0.705 rounded up
    assert found["widths_changed"] == 0.5
    assert found["children_moved"] == 3 / 6
    assert found["answers_changed_weighted"] == 1 / 3
    assert found["answers_changed_best"] == 1 / 3
    assert (found["accuracy_weighted"], found["accuracy_best"]) == (2 / 3, 2 / 3)
    assert (found["delta_weighted"], found["delta_best"]) == (-1 / 3, -1 / 3)
    assert found["weighted_mcnemar_p"] == 1.0
    own = flat(cell(base, base, {}, "last", 0.1))
    assert own["baseline"]
    assert own["accuracy_weighted"] == own["accuracy_best"] == 1.0
    assert own["accuracy_majority"] == 1 / 3
    assert own["score_error"] is None


def test_copies_that_rounding_tells_apart_are_ties(process: Callable[..., Any]) -> None:
    base = scored(process, "f32", [[("5", [0.9, 0.8]), ("5", [0.9, 0.8]), ("6", [0.9, 0.2])]])
    near = [("5", [0.900001, 0.8]), ("5", [0.900002, 0.800003]), ("6", [0.899999, 0.2])]
    found = flat(cell(scored(process, "f16", [near]), base, {}, "last", 0.1))
    assert found["kendall_tau"] == pytest.approx(1.0)
    assert found["widths_changed"] == found["children_moved"] == 0.0
    assert found["score_error"] is not None
    assert found["score_error"] > 0


def test_auc_counts_pairs() -> None:
    draws = np.random.default_rng(0)
    scores, labels = np.round(draws.random(60), 1), draws.integers(0, 2, 60).astype(float)
    pairs = [
        1.0 if a > b else 0.5 if a == b else 0.0
        for (a, x), (b, y) in itertools.product(zip(scores, labels, strict=True), repeat=2)
        if x > y
    ]
    assert auc(scores, labels) == pytest.approx(np.mean(pairs))
    assert auc(scores, np.ones(60)) is None


def test_step_auc_and_its_change(process: Callable[..., Any]) -> None:
    texts = [["x = 3 ки", "y = 5 The answer is: 5 ки"], ["x = 4 ки", "y = 5 The answer is: 5 ки"]]
    pool = Pool(
        Problem("0", "?", "5"),
        tuple(Solution(tuple(Step(t, (), (), "stop") for t in s), None, True) for s in texts),
    )

    def seen(level: str, values: list[tuple[float, ...]]) -> Scored:
        steps = [s.steps for s in pool.solutions]
        paths = [
            Candidate(Branch(i + 1, 0), s, v, True)
            for i, (s, v) in enumerate(zip(steps, values, strict=True))
        ]
        judge = model(process, level)
        return Scored(judge, judge, [pool, pool], [paths, paths])

    base = seen("f32", [(0.9, 0.8), (0.2, 0.1)])
    ours = seen("q2_k", [(0.9, 0.3), (0.5, 0.1)])
    found = flat(cell(ours, base, {"0": (3, 5)}, "last", 0.1))
    assert found["labelled_steps"] == 8
    assert cell(base, base, {"0": (3, 5)}, "last", 0.1).labels.step_auc == 1.0
    assert found["step_auc"] == 0.75
    assert found["step_auc_change"] == found["step_auc_change_low"] == -0.25


def test_resampled_intervals_cover_at_about_the_nominal_rate() -> None:
    draws = np.random.default_rng(3)
    covered = 0
    for _ in range(200):
        values = draws.exponential(1, 60)
        low, high = resampled(60, lambda draw, values=values: float(values[draw].mean()))  # type: ignore[misc]
        covered += low <= 1 <= high
    assert 0.88 <= covered / 200 <= 0.98


def made(level: str, bits: float, best: tuple[float, float, float] | None) -> RewardCell:
    accuracy = VoteAccuracies(0.7, Estimate(0.8, 0.7, 0.9), Estimate(0.8, 0.7, 0.9))
    change = None
    if best is not None:
        votes = VoteChanges(0, 0, Estimate(0.0, -0.02, 0.02), 1.0, Estimate(*best), 0.01)
        change = RewardChange(None, OrderChange(None, 0), AllocationChange(None, None), votes)
    return RewardCell(
        *("p", "q4_k_m", "r", level, "gguf", bits, 1, best is None, 100, 800, 2400),
        *(accuracy, StepAuc(0), change),
    )


def test_the_answer_stops_at_the_first_level_that_loses() -> None:
    full = made("f32", 16, None)
    good, bad = made("q8_0", 8.5, (-0.01, -0.04, 0.02)), made("q4_0", 4.5, (-0.1, -0.17, -0.03))
    again = made("q2_k", 3.1, (-0.02, -0.06, 0.01))
    said = answer([full, again, bad, good])
    assert said.startswith("Policy q4_k_m: down to q8_0 (8.5 bits per weight) no drop detected")
    assert "drops above 2.0 points in the weighted vote and 4.0 points in the best-of-n" in said
    assert "q4_0 (4.5 bits per weight) loses 10.0 points [−17.0, −3.0], p = 0.010" in said
    assert "q2_k" not in said
    assert "no level of the reward model keeps up with f32" in answer([full, bad])
    assert "4 comparisons" in document([full, good, bad], {}).markdown


def test_the_command_measures_the_reference_pair(
    reference: Callable[[str, str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--policy", str(reference("policy", "q8_0")), "--reward"]
    given += [str(reference("reward", level)) for level in ("f16", "q2_k")]
    given += ["-n", "3", "--limit", "4", "--device", "cpu", "--threads", "1"]
    out = [tmp_path / name for name in ("g.json", "g.csv", "g.md")]
    assert main(["reward-grid", *given, "-o", *map(str, out)]) == 0
    assert capsys.readouterr().out == out[2].read_text()
    rows = json.loads(out[0].read_text())["rows"]
    assert [(r["reward_level"], r["baseline"]) for r in rows] == [("f16", True), ("q2_k", False)]
    assert rows[0]["solutions"] == rows[1]["solutions"] == 12
    assert rows[0]["labelled_steps"] == rows[1]["labelled_steps"] > 12
    assert 0 < rows[1]["score_error"] < 0.3
    assert str(tmp_path) not in out[0].read_text()
    assert main(["reward-grid", *given, "-o", str(out[0])]) == 1
    assert "give --force to overwrite" in capsys.readouterr().err


def test_a_protocol_says_how_the_reward_model_scores(
    reference: Callable[[str, str], Path], tmp_path: Path
) -> None:
    """Good and bad exchanged: what told right from wrong steps tells wrong from right."""
    stated = json.loads((REFERENCE / "reward" / "protocol.json").read_text())
    reward = stated["reward"]
    reward["good_id"], reward["bad_id"] = reward["bad_id"], reward["good_id"]
    exchanged, out = tmp_path / "p.json", tmp_path / "g.json"
    exchanged.write_text(json.dumps(stated))
    given = ["--policy", str(reference("policy", "q8_0")), "-n", "2", "--limit", "3", "--force"]
    given += ["--reward", str(reference("reward", "q2_k")), "--device", "cpu", "-o", str(out)]
    found = []
    for protocol in ([], ["--protocol", str(exchanged)]):
        assert main(["reward-grid", *given, *protocol]) == 0
        found.append(json.loads(out.read_text())["rows"][0]["step_auc"])
    assert found[0] > 0.6
    assert found[0] + found[1] == pytest.approx(1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--policy", "a.gguf"], "reads the reference policy's steps only; give --reward"),
        (["--data", "none.jsonl"], "none.jsonl"),
        (["--policy", "reference:reward"], "is a reward model: it scores steps and writes none"),
        (["--reward", "reference:policy"], "is a policy, not a reward model"),
    ],
)
def test_what_does_not_fit_together_is_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--levels", "q8_0", "--reward-levels", "q8_0", "--limit", "1", "-n", "1"]
    assert main(["reward-grid", "--device", "cpu", *given, *arguments]) == 1
    error = capsys.readouterr().err.splitlines()
    assert said in error[-1]
