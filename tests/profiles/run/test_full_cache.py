"""A question alone in a small KV cache: a prompt can be too long, branches are never too many."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from methods.opened import Models
from profiles.records.configuration import Configuration
from profiles.records.record import read_records
from profiles.run.models import Opener
from profiles.run.worker import measure
from runtime.prompt import prompt_tokens
from tests.profiles.run.scripted import policy, reward, scripted

Made = Callable[..., Configuration]


def asked(made: Made, search: str, width: int, folder: Path, questions: list[str]) -> Configuration:
    data = folder / "problems.jsonl"
    lines = [json.dumps({"question": text, "answer": "#### 5"}) for text in questions]
    data.write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = made(search, width=width, data=data)
    return replace(found, spec=replace(found.spec, max_tokens=40))


def within(cells: int) -> Opener:
    @contextmanager
    def opener(_: Configuration) -> Iterator[Models]:
        yield Models(policy(context=cells), reward())

    return opener


def test_a_prompt_that_does_not_fit_is_recorded_as_failed(
    configuration: Made, tmp_path: Path
) -> None:
    vote = asked(configuration, "sample", 3, tmp_path, ["Q0?", "long " * 200])
    measure(vote, tmp_path / "r.jsonl", opener=within(400))
    fits, fails = read_records(tmp_path / "r.jsonl")
    assert fits.failed is None
    assert fails.failed is not None
    assert "400" in fails.failed
    assert fails.verdict("majority").answer is None


def test_branches_that_outgrow_the_cache_take_turns(configuration: Made, tmp_path: Path) -> None:
    tree = asked(configuration, "rebase", 8, tmp_path, ["Q0?", "Q1?", "Q2?"])
    prompt = len(prompt_tokens(policy(), "Q0?"))
    measure(tree, tmp_path / "large.jsonl", opener=scripted)
    measure(tree, tmp_path / "tight.jsonl", opener=within(prompt + 25))
    large, small = (read_records(tmp_path / name) for name in ("large.jsonl", "tight.jsonl"))
    assert [r.failed for r in small] == [None] * 3
    found = [[(r.verdicts, r.candidates) for r in records] for records in (large, small)]
    assert found[0] == found[1]
    spent = [sum(r.policy.tokens for r in records) for records in (large, small)]
    assert spent[0] < spent[1]  # first attempts are counted
