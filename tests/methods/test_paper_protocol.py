"""The paper's protocol, worked by hand on scripted models."""

from __future__ import annotations

from dataclasses import replace

import pytest

from convert.artifact import RewardProtocol
from methods.build import MethodSpec, build, paper_spec
from methods.catalog import ProtocolName
from methods.paper_rebase import last_integer, looks_complete
from methods.paper_vote import ELICITATION, first_integer, trim
from methods.problem import Problem
from methods.scorers import ProcessRewardScorer
from runtime.engine import Engine
from runtime.scripted_engine import ScriptedEngine

PROBLEM = Problem("0", "What is 2 plus 2?", "4")
CUE = "step by step."


def _judge() -> ProcessRewardScorer:
    """Prefers texts that end with `good`, and drops those that end with `awful`."""
    engine: Engine = ScriptedEngine(
        {
            "good ки": {"+": 9, "-": 1},
            "poor ки": {"+": 2, "-": 8},
            "awful ки": {"+": 1, "-": 99},
            "ки": {"+": 1, "-": 1},
        }
    )
    protocol = RewardProtocol("token_logits", " ки", good_id=ord("+"), bad_id=ord("-"))
    engine.artifact = replace(engine.artifact, role="reward", reward=protocol)
    return ProcessRewardScorer(engine, "\n\n")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (" 2 and 2 is 4. Q: What", " 2 and 2 is 4. "),
        ("a\n\n\nb\n\n\nc", "a\n\n\nb"),
        ("a\n\n\nb", "a\n\n\nb"),
        ("a\n\n\n\nb", "a\n\n\n\nb"),  # four line ends are one break
    ],
)
def test_completions_are_cut_where_they_repeat(text: str, kept: str) -> None:
    assert trim(text) == kept


@pytest.mark.parametrize(
    ("text", "answer"),
    [(" 1,080 dollars", "1080"), (" -4", "4"), (" 3.5", "3"), (" none", None), (" $7 or 8", "7")],
)
def test_the_vote_is_the_first_integer(text: str, answer: str | None) -> None:
    assert first_integer(text).answer == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("He has 3. Then 5 and 6. So be it.", "6"),
        ("It costs 3.5 dollars.", "5"),  # the point ends a sentence
        ("#### 12 and 13", "12"),
        ("nothing", None),
    ],
)
def test_the_trees_answer_is_the_last_integer(text: str, answer: str | None) -> None:
    assert last_integer(text).answer == answer


def test_nearly_every_text_looks_complete() -> None:
    assert looks_complete("Ann has pens. She buys 2 more. How many? I do not know")
    assert not looks_complete("Ann has 2 pens. She buys some. How many? I do not know")


def test_a_vote_is_cut_elicited_and_counted() -> None:
    engine = ScriptedEngine(
        {CUE: {" It is 9. Q: more": 1}, f" It is 9. {ELICITATION}": {" 4, not 9": 1}}
    )
    answer = build(paper_spec("sample", 3), engine, None).solve(PROBLEM, seed=1)
    assert answer.text == "4"
    (first, *_) = answer.candidates
    assert first.text == f" It is 9. {ELICITATION} 4, not 9"
    assert [c.reading.answer for c in answer.candidates] == ["4"] * 3
    assert engine.batches[1] == 3  # the votes are sampled together
    assert answer.usage.decode_tokens == 3 * (len(" It is 9. Q:") + len(" 4, not 9"))


def test_a_completion_is_limited_to_384_tokens_and_its_answer_to_12() -> None:
    script = {"step by step.": {"x" * 500: 1}, ELICITATION: {" 1234567890123456": 1}}
    answer = build(paper_spec("sample", 1), ScriptedEngine(script), None).solve(PROBLEM, seed=1)
    completion, elicited = answer.candidates[0].steps
    assert (len(completion.token_ids), len(elicited.token_ids)) == (384, 12)
    assert answer.text == "12345678901"


def test_a_tree_is_one_step_and_its_best_leaf_wins_without_a_vote() -> None:
    script = {CUE: {" So 5 is good": 1, " So 6 is poor": 3, " So 7 is awful": 1}}
    engine = ScriptedEngine(script)
    answer = build(paper_spec("rebase", 12), engine, _judge()).solve(PROBLEM, seed=0)
    texts = [c.text for c in answer.candidates]
    assert len(answer.stages[0].candidates) == 12
    assert texts.count(" So 6 is poor") > texts.count(" So 5 is good") > 0
    assert answer.text == "5"  # a vote would say 6
    assert not any("awful" in text for text in texts)
    awful = sum("awful" in c.text for c in answer.stages[0].candidates)
    assert awful > 0
    assert len(answer.stages) == 1  # the budget of the dropped ones is lost
    assert answer.dropped == awful


def test_a_deeper_node_is_prompted_without_the_cue_and_charged_again() -> None:
    question = Problem("0", "How many? He has some. She too. They as well.", "4")
    script = {
        CUE: {" Let us see.Step 2": 1},
        "well. Let us see.\nStep 2:": {" It is 4. good": 1},
    }
    answer = build(paper_spec("rebase", 2), ScriptedEngine(script), _judge()).solve(question, 0)
    assert answer.text == "4"
    assert [c.text for c in answer.candidates] == [" Let us see. It is 4. good"] * 2
    assert answer.booked_tokens == 96 * 2 * 1 + 96 * 2 * 2  # cumulative: depth two counts twice


def test_scores_are_the_mean_over_all_tags_of_a_text() -> None:
    judge = _judge()
    (score,) = judge.score_texts("Q", [" good ки and poor"])
    assert score == pytest.approx((0.9 + 0.2) / 2)


def test_the_seed_protocol_has_no_greedy() -> None:
    with pytest.raises(ValueError, match="no greedy"):
        paper_spec("greedy", 1)
    with pytest.raises(ValueError, match="needs a reward model"):
        build(paper_spec("rebase", 3), ScriptedEngine({}), None)


def test_the_papers_settings() -> None:
    assert paper_spec("rebase", 16) == MethodSpec(
        "rebase",
        16,
        temperature=1.0,
        max_tokens=384,
        step_tokens=96,
        balance=0.2,
        allocation="ceil_fp32",
        selection="best-of-n",
        protocol=ProtocolName.PAPER,
    )
