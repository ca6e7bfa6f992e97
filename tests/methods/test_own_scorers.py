"""Scores that the policy gives itself, worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from convert.refusal import Refusal
from methods.build import MethodSpec, build
from methods.candidate import Candidate
from methods.judges import Judges, judges, scorer_of
from methods.own_scorers import LogprobScorer, Product
from methods.problem import Problem
from runtime.engine import Branch, Step, Usage
from runtime.scripted_engine import SHAPE, ScriptedEngine

ROOT = Branch(0)
UNSURE = Step("a b", (1, 2), (-0.1, -0.5), "stop")
SURE = Step("c", (3,), (-0.2,), "stop")
EMPTY = Step("", (), (), "eos")


class Half(LogprobScorer):
    """A reward model that finds everything half good, and notes what it was asked."""

    def __init__(self) -> None:
        super().__init__(SHAPE, "last")
        self.usage = Usage(prefill_tokens=7)

    def score(self, candidates: Sequence[Candidate], steps: Sequence[Step]) -> list[float]:
        assert len(candidates) == len(steps)
        return [0.5 for _ in steps]


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("logprob", [math.exp(-0.6), math.exp(-0.2), 1.0]),
        ("logprob-mean", [math.exp(-0.3), math.exp(-0.2), 1.0]),
        ("logprob-min", [math.exp(-0.5), math.exp(-0.2), 1.0]),
    ],
)
def test_a_step_is_scored_by_its_tokens(named: str, expected: list[float]) -> None:
    scorer = scorer_of(judges(named).own, ScriptedEngine({}), None)
    assert scorer is not None
    with scorer.open(Problem("0", "?"), ROOT):
        found = scorer.score([Candidate(ROOT)] * 3, [UNSURE, SURE, EMPTY])
    assert found == pytest.approx(expected)
    assert scorer.usage == Usage()


def test_an_empty_step_keeps_the_score_before_it() -> None:
    before = Candidate(ROOT).grown(SURE, 0.25, finished=False)
    assert LogprobScorer(SHAPE, "prod").score([before], [EMPTY]) == [0.25]


def test_a_product_is_of_both_and_charged_for_the_model() -> None:
    product = Product(LogprobScorer(SHAPE, "prod"), Half())
    before = Candidate(ROOT).grown(SURE, 0.25, finished=False)
    with product.open(Problem("0", "?"), ROOT):
        found = product.score([before, before], [UNSURE, EMPTY])
    assert found == pytest.approx([0.5 * math.exp(-0.6), 0.25])
    assert product.usage.prefill_tokens == 7
    assert product.aggregation == "last"


def test_what_reward_names() -> None:
    assert judges(None) == Judges()
    assert judges("logprob") == Judges("logprob")
    assert judges("logprob-min*models/r.gguf") == Judges("logprob-min", "models/r.gguf")
    assert judges("models/logprob.gguf") == Judges(None, "models/logprob.gguf")
    assert [judges(r).alone for r in ("logprob", "logprob*r.gguf", "r.gguf", None)] == [
        True,
        False,
        False,
        False,
    ]
    with pytest.raises(Refusal, match=r"names no model; choose logprob, or logprob\*MODEL"):
        judges("logprob*")


def test_a_tree_grows_where_the_policy_is_sure_and_costs_no_second_model() -> None:
    begun = {f" {step}\n\n": 1.0 for step in ("a1", "a2", "a3")} | {" sure\n\n": 7.0}
    script = {
        "step by step.": begun,
        "sure\n\n": {"The answer is: 6\n\n": 1},
        **{f"a{n}\n\n": {"The answer is: 9\n\n": 1} for n in (1, 2, 3)},
    }
    engine = ScriptedEngine(script)
    scorer = scorer_of("logprob", engine, None)
    answer = build(MethodSpec("rebase", 8), engine, scorer).solve(Problem("0", "3 + 3", "6"), 1)
    first, second = answer.stages
    shares = dict(zip((c.text.strip() for c in first.candidates), second.shares, strict=True))
    assert shares.pop("sure") > max(shares.values(), default=0)
    assert (answer.text, answer.scorer_usage, answer.aggregation) == ("6", Usage(), "prod")
