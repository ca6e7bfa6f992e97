"""The grid of configurations that a request makes, with models that only have names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convert.artifact import PromptFormat
from convert.prompt_presets import PRESETS
from convert.refusal import Refusal
from methods.build import MethodSpec
from methods.catalog import ProtocolName
from profiles.lineup import ModelSources
from profiles.records.configuration import Configuration
from profiles.run.grid import configurations
from profiles.run.request import Request
from runtime.options import EngineOptions
from runtime.prompt_changes import PromptChanges
from tests.profiles.run.shelf import SCORES, Shelf, ThinkingShelf


def test_full_precision_first_then_each_level_with_each_search(
    request_: Request, shelf: Shelf
) -> None:
    made = configurations(request_, shelf.models())
    assert [c.slug for c in made[:5]] == [
        "reference_policy-torch-f32-greedy-1",
        "reference_policy-torch-f32-sample-4",
        "reference_policy-torch-f32-sample-8",
        "reference_policy-torch-f32-rebase-4",
        "reference_policy-torch-f32-rebase-8",
    ]
    assert len(made) == 3 * 5
    assert [c.baseline for c in made] == [True] * 5 + [False] * 10
    assert shelf.converted == [
        ("reference:policy", ("q8_0", "q4_k_m")),
        ("reference:reward", ("q8_0", "q4_k_m")),
    ]


def test_one_method_may_be_wider_than_the_others(request_: Request, shelf: Shelf) -> None:
    asked = replace(request_, widths=(4,), more_widths=(("majority", 12), ("rebase", 4)))
    made = configurations(replace(asked, levels=("q8_0",), baseline=False), shelf.models())
    assert [(c.spec.search, c.spec.width) for c in made] == [
        ("greedy", 1),
        ("sample", 4),
        ("sample", 12),
        ("rebase", 4),
    ]
    assert [c.reward is not None for c in made] == [False, True, False, True]


def test_the_reward_model_follows_the_policys_level_or_keeps_its_own(
    request_: Request, shelf: Shelf
) -> None:
    same = configurations(request_, shelf.models())
    assert {c.level: c.reward_level for c in same if c.reward} == {
        "f32": "f32",
        "q8_0": "q8_0",
        "q4_k_m": "q4_k_m",
    }
    fixed = configurations(replace(request_, reward_level="q6_k"), shelf.models())
    assert {c.level: c.reward_level for c in fixed if c.reward and not c.baseline} == {
        "q8_0": "q6_k",
        "q4_k_m": "q6_k",
    }


def test_methods_without_a_judge_open_no_reward_model(request_: Request, shelf: Shelf) -> None:
    made = configurations(replace(request_, methods=("greedy", "majority")), shelf.models())
    assert all(c.reward is None for c in made)
    assert {c.spec.selection for c in made} == {"greedy", "majority"}
    assert [source for source, _ in shelf.converted] == ["reference:policy"]


def test_a_vote_beside_rebase_is_not_scored_for_nothing(request_: Request, shelf: Shelf) -> None:
    made = configurations(replace(request_, methods=("majority", "rebase")), shelf.models())
    assert all((c.reward is None) == (c.spec.search == "sample") for c in made)


def test_files_are_taken_as_they_are_and_the_first_is_the_baseline(
    request_: Request, shelf: Shelf
) -> None:
    files = tuple(str(shelf.file(f"m-{level}")) for level in ("q8_0", "q2_k"))
    asked = replace(request_, policies=files, methods=("greedy",))
    made = configurations(asked, shelf.models())
    assert [(c.level, c.baseline) for c in made] == [("q8_0", True), ("q2_k", False)]
    assert shelf.converted == []


def test_without_full_precision_the_first_level_is_the_baseline(
    request_: Request, shelf: Shelf
) -> None:
    made = configurations(replace(request_, baseline=False, widths=(8,)), shelf.models())
    assert {c.level for c in made if c.baseline} == {"q8_0"}


def test_a_foreign_policy_needs_its_own_reward_model(request_: Request, shelf: Shelf) -> None:
    asked = replace(request_, policies=(str(shelf.file("m-q8_0")),))
    with pytest.raises(ValueError, match=r"best-of-n, weighted, rebase: .*give --reward"):
        configurations(asked, shelf.models())


def test_a_policy_that_judges_itself_opens_no_reward_model(request_: Request, shelf: Shelf) -> None:
    asked = replace(
        request_, reward="logprob", methods=("rebase", "majority"), widths=(8,), baseline=False
    )
    tree, vote = configurations(asked, shelf.models())[:2]
    assert all("reward" not in source for source, _ in shelf.converted)
    assert (tree.judge, tree.reward, tree.spec.aggregation) == ("logprob", None, "prod")
    assert tree.judged
    assert tree.selections == ("weighted", "majority", "best-of-n")
    assert "logprob" in tree.slug
    assert (vote.judge, vote.selections) == (None, ("majority",))


def test_a_product_opens_the_model_that_it_names(request_: Request, shelf: Shelf) -> None:
    reward = shelf.file("reward-q8_0")
    asked = replace(request_, reward=f"logprob*{reward}", methods=("rebase",), baseline=False)
    (tree, *_) = configurations(asked, shelf.models())
    assert (tree.judge, tree.reward) == ("logprob", reward)


def test_two_files_of_one_name_are_refused(request_: Request, shelf: Shelf) -> None:
    file = str(shelf.file("m-q8_0"))
    asked = replace(request_, policies=(file, file), methods=("greedy",))
    with pytest.raises(ValueError, match="rename one"):
        configurations(asked, shelf.models())


def test_the_kv_cache_grows_with_the_width(request_: Request, shelf: Shelf) -> None:
    made = configurations(replace(request_, widths=(64,)), shelf.models())
    wide = next(c for c in made if c.spec.width == 64)
    assert wide.options.context >= 64 * 256 + 1024
    assert wide.options.max_branches >= 2 * 64
    assert wide.options.device == "cpu"
    longer = replace(
        request_, widths=(64,), task="math", spec=replace(request_.spec, think_budget=64)
    )
    made = configurations(longer, shelf.models())
    room = next(c for c in made if c.spec.width == 64)
    assert room.options.context >= wide.options.context + 64 * (48 + 5)  # formula and `</think>`


@pytest.mark.parametrize(
    ("policy", "reward", "message"),
    [
        ("reward-q8_0", "reward-q8_0", r"reward-q8_0.gguf is a reward model: .* as --reward"),
        ("m-q8_0", "other-q8_0", r"other-q8_0.gguf is a policy, not .* or say .*--protocol FILE"),
    ],
)
def test_models_in_each_others_place(
    request_: Request, shelf: Shelf, policy: str, reward: str, message: str
) -> None:
    asked = replace(request_, policies=(str(shelf.file(policy)),), reward=str(shelf.file(reward)))
    with pytest.raises(Refusal, match=message):
        configurations(asked, shelf.models())


def test_a_model_may_judge_itself_by_a_stated_protocol(request_: Request, shelf: Shelf) -> None:
    file = str(shelf.file("m-q8_0"))
    asked = replace(request_, policies=(file,), reward=file, reward_protocol=SCORES)
    made = configurations(asked, shelf.models())
    judged = [c for c in made if c.reward is not None]
    assert judged
    assert all(c.reward_protocol == SCORES and c.policy == c.reward for c in judged)
    assert all(c.reward_protocol is None for c in made if c.reward is None)


def test_the_papers_suite(request_: Request, tmp_path: Path) -> None:
    asked = replace(
        request_,
        suite=True,
        methods=("majority", "rebase"),
        think=("off", "on"),
        levels=("f16",),
        baseline=False,
    )
    made = configurations(asked, ThinkingShelf(tmp_path).models())
    assert len(made) == 12
    assert len({c.slug for c in made}) == 12
    assert sum(c.protocol is ProtocolName.PAPER for c in made) == 6
    votes = [c for c in made if c.spec.search == "sample"]
    assert len(votes) == 4
    assert all(c.reward is None for c in votes)


@pytest.mark.parametrize(("device", "level"), [("auto", "bf16"), ("cpu", "f32")])
def test_full_precision_is_named_for_what_runs(
    request_: Request, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, device: Any, level: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    asked = replace(request_, options=EngineOptions(device=device))
    first = configurations(asked, shelf.models())[0]
    assert (first.level, first.reward_level) == (level, None)  # greedy
    assert configurations(asked, shelf.models())[1].reward_level == level


def test_a_prompt_is_stored_only_where_the_model_does_not_say_it(
    request_: Request, shelf: Shelf
) -> None:
    def prompts(own: PromptFormat | None, request: Request) -> set[PromptFormat | None]:
        models = shelf.models()
        asked = ModelSources(
            models.describe,
            models.folder,
            lambda *a: [replace(m, prompt=own) for m in models.convert(*a)],
        )
        return {c.prompt for c in configurations(request, asked) if not c.baseline}

    own, shots = PromptFormat("{question}"), PRESETS["few-shot"]
    for silent in (None, own, PRESETS["chat"]):
        assert prompts(silent, request_) == {None}
    assert prompts(shots, request_) == {shots}
    changed = replace(request_, prompt=PromptChanges(step_stop="\n"))
    assert prompts(own, changed) == {replace(own, step_stop="\n")}
    paper = replace(
        changed, methods=("majority",), spec=MethodSpec("greedy", protocol=ProtocolName.PAPER)
    )
    assert prompts(own, paper) == {None}


def test_chat_models_get_more_tokens_where_nobody_says(request_: Request, shelf: Shelf) -> None:
    def made(form: PromptFormat | None, most: int | None) -> Configuration:
        models = shelf.models()
        chat = ModelSources(
            lambda path: replace(models.describe(path), prompt=form), models.folder, models.convert
        )
        asked = replace(request_, methods=("greedy",), max_tokens=most, baseline=True)
        return configurations(asked, chat)[0]

    assert (made(None, None).spec.max_tokens, made(None, None).options.context) == (256, 4096)
    found = made(PRESETS["chat"], None)
    assert (found.spec.max_tokens, found.spec.step_tokens) == (1024, 256)
    assert made(PRESETS["chat"], 99).spec.max_tokens == 99


def test_kv_types_are_an_axis_of_gguf_files_alone(shelf: Shelf, request_: Request) -> None:
    asked = replace(request_, kv_types=("f16", "q8_0"), methods=("greedy",))
    made = configurations(asked, shelf.models())
    assert [(c.format, c.level, c.options.kv_type, c.baseline) for c in made] == [
        (c.format, c.level, kv_type, c.baseline)
        for c in configurations(replace(asked, kv_types=("f16",)), shelf.models())
        for kv_type in (("f16", "q8_0") if c.format == "gguf" else ("f16",))
    ]
    assert len({c.slug for c in made}) == len(made)
    assert any("-kv-q8_0-greedy" in c.slug for c in made)


def test_without_full_precision_only_the_first_kv_type_is_the_baseline(
    shelf: Shelf, request_: Request
) -> None:
    asked = replace(request_, kv_types=("q8_0", "q4_0"), methods=("greedy",), baseline=False)
    bases = [c for c in configurations(asked, shelf.models()) if c.baseline]
    assert [c.options.kv_type for c in bases] == ["q8_0"]
