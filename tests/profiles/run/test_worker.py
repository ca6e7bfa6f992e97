"""One configuration in one process: measured, killed, resumed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from convert.artifact import PromptFormat
from convert.refusal import Refusal
from methods.opened import Models
from profiles.records.configuration import Configuration
from profiles.records.record import Record, question_seed, read_records
from profiles.records.worker_facts import read_worker_facts, worker_facts_path
from profiles.run.events import Answered, Asking, Event, Loaded
from profiles.run.worker import main, measure
from profiles.tree.stored_trees import read_stored_tree, stored_questions, trees_path
from runtime.scripted_engine import ScriptedEngine
from tests.profiles.run.scripted import reward, scripted

ROOT = Path(__file__).parents[3]
WORKER = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from tests.profiles.run.scripted import scripted
from profiles.run.worker import main
sys.exit(main(opener=scripted))
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "problems.jsonl"
    lines = [json.dumps({"question": f"Q{n}?", "answer": "#### 5"}) for n in range(12)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def vote(configuration: Callable[..., Configuration], data: Path) -> Configuration:
    made = configuration("sample", width=3, data=data)
    return replace(made, spec=replace(made.spec, max_tokens=40), seed=3)


def answers(records: list[Record]) -> list[tuple[Any, ...]]:
    """What must not depend on when a run was interrupted: all but seconds and memory."""
    return [
        (
            *(r.id, r.gold, r.seed, dict(r.verdicts), r.policy.tokens, r.policy.context_tokens),
            *(r.reward.tokens, r.candidates, r.truncated, r.dropped, r.failed),
        )
        for r in records
    ]


def test_a_run_answers_every_question_under_every_selection(
    vote: Configuration, tmp_path: Path
) -> None:
    out = tmp_path / "r.jsonl"
    events: list[Event] = []
    measure(vote, out, events.append, scripted)
    records = read_records(out)
    assert [record.id for record in records] == [str(n) for n in range(12)]
    assert all(set(r.verdicts) == {"majority", "best-of-n", "weighted"} for r in records)
    assert 0 < sum(r.verdict("majority").correct for r in records) <= 12
    assert all(r.policy.decode_tokens > 0 and r.reward.tokens > 0 for r in records)
    assert all(0 < r.scorer_s < r.latency_s for r in records)
    assert [type(event) for event in events] == [Loaded] + [Asking, Answered] * 12
    stored = read_worker_facts(worker_facts_path(out))
    assert stored.peak_rss_bytes > 10_000_000
    assert stored.reward is not None


def test_records_tell_whether_paths_loop_and_wrote_the_right_answer(
    vote: Configuration, tmp_path: Path
) -> None:
    out = tmp_path / "r.jsonl"
    texts = {"right": " 2 + 3 = 5. The answer is 6.", "never": " The answer is 6."}
    texts["round"] = " and so on" * 30
    found = {}
    for name, text in texts.items():

        @contextmanager
        def opener(_: Configuration, text: str = text) -> Iterator[Models]:
            yield Models(ScriptedEngine({"step by step.": {text: 1}}), reward())

        out = tmp_path / f"{name}.jsonl"
        measure(replace(vote, limit=1, spec=replace(vote.spec, max_tokens=300)), out, opener=opener)
        found[name] = read_records(out)[0]
    assert [(r.looped, r.traced) for r in found.values()] == [(0, True), (0, False), (3, False)]
    assert not any(r.verdict("majority").correct for r in found.values())


def test_the_answers_repeat_and_depend_on_the_seed(vote: Configuration, tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.jsonl" for name in "abc"]
    for file, seed in zip(files, (3, 3, 4), strict=True):
        measure(replace(vote, seed=seed), file, opener=scripted)
    first, again, other = (answers(read_records(file)) for file in files)
    assert first == again
    assert first != other


def test_questions_have_seeds_of_their_own() -> None:
    assert question_seed(0, "1") == question_seed(0, "1")
    assert len({question_seed(seed, str(n)) for seed in range(3) for n in range(50)}) == 150


def test_a_stopped_run_goes_on_where_it_was(vote: Configuration, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole.jsonl", tmp_path / "broken.jsonl"
    measure(vote, whole, opener=scripted)
    measure(replace(vote, limit=5), broken, opener=scripted)
    torn = read_records(whole)[5].line()[:40]
    broken.write_text(broken.read_text() + torn)
    measure(vote, broken, opener=scripted)
    assert answers(read_records(broken)) == answers(read_records(whole))


def test_a_finished_run_opens_no_model(vote: Configuration, tmp_path: Path) -> None:
    def never(_: Configuration) -> Any:
        raise AssertionError("opened")

    out = tmp_path / "r.jsonl"
    measure(vote, out, opener=scripted)
    measure(vote, out, opener=never)


def test_resuming_keeps_the_higher_peak(vote: Configuration, tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"
    measure(replace(vote, limit=2), out, opener=scripted)
    path = worker_facts_path(out)
    replace(read_worker_facts(path), peak_rss_bytes=1 << 50, peak_vram_bytes=7).write(path)
    measure(vote, out, opener=scripted)
    assert read_worker_facts(path).peak_rss_bytes == 1 << 50
    assert read_worker_facts(path).peak_vram_bytes == 7


def test_without_a_reward_model_only_the_majority_is_chosen(
    vote: Configuration, tmp_path: Path
) -> None:
    out = tmp_path / "r.jsonl"
    measure(replace(vote, reward=None, limit=2), out, opener=scripted)
    assert [set(r.verdicts) for r in read_records(out)] == [{"majority"}] * 2


def test_an_error_is_reported_in_one_event(
    vote: Configuration, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = tmp_path / "c.json"
    stored.write_text(json.dumps(replace(vote, data=tmp_path / "missing.jsonl").document()))
    before = signal.getsignal(signal.SIGINT)
    code = main([str(stored), str(tmp_path / "r.jsonl")], scripted)
    signal.signal(signal.SIGINT, before)
    event = json.loads(capsys.readouterr().out)
    assert code == 1
    assert event["event"] == "failed"
    assert "missing.jsonl" in event["reason"]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_killed_at_random_moments_it_ends_with_the_same_records(
    vote: Configuration, tmp_path: Path, how: signal.Signals
) -> None:
    whole, out = tmp_path / "whole.jsonl", tmp_path / "r.jsonl"
    measure(vote, whole, opener=scripted)
    stored = tmp_path / "c.json"
    stored.write_text(json.dumps(vote.document()))
    moments = random.Random(int(how))
    interrupted = 0
    for _ in range(4):
        child = start(stored, out)
        assert child.stdout is not None
        for _ in range(moments.randrange(1, 7)):  # "loaded", then two lines a question
            child.stdout.readline()
        time.sleep(moments.random() * 0.02)
        child.send_signal(how)
        child.communicate(timeout=60)
        interrupted += child.returncode != 0
        assert child.returncode in (0, -9 if how == signal.SIGKILL else 128 + how)
    last = start(stored, out)
    last.communicate(timeout=60)
    assert last.returncode == 0
    assert interrupted >= 1
    assert answers(read_records(out)) == answers(read_records(whole))


def test_an_orphan_and_its_successor_answer_no_question_twice(
    vote: Configuration, tmp_path: Path
) -> None:
    """A run was killed, its worker was not yet; `--resume` starts the next one."""
    whole, out = tmp_path / "whole.jsonl", tmp_path / "r.jsonl"
    measure(vote, whole, opener=scripted)
    stored = tmp_path / "c.json"
    stored.write_text(json.dumps(vote.document()))
    children = [start(stored, out) for _ in range(3)]
    for child in children:
        child.communicate(timeout=60)
        assert child.returncode == 0
    assert answers(read_records(out)) == answers(read_records(whole))


def test_a_folder_in_use_is_an_error_in_the_end(
    vote: Configuration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("profiles.run.worker.PATIENCE_S", 0.1)
    with (
        FileLock(tmp_path / "lock"),
        pytest.raises(Refusal, match=r"another run works .* --resume"),
    ):
        measure(vote, tmp_path / "r.jsonl", opener=scripted)


def test_every_tree_is_kept_and_no_vote(
    vote: Configuration, configuration: Callable[..., Configuration], data: Path, tmp_path: Path
) -> None:
    search = replace(
        configuration("rebase", width=3, data=data), spec=replace(vote.spec, search="rebase")
    )
    out = tmp_path / "r.jsonl"
    measure(replace(search, limit=2), out, opener=scripted)
    measure(search, out, opener=scripted)
    assert stored_questions(trees_path(out)) == [str(n) for n in range(12)]
    for record in read_records(out):
        tree = read_stored_tree(trees_path(out), record.id)
        assert tree is not None
        assert (tree.question, tree.answer) == (record.question, record.verdict("weighted").answer)
    other = tmp_path / "vote.jsonl"
    measure(vote, other, opener=scripted)
    assert not trees_path(other).exists()


def start(stored: Path, out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(stored), str(out)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=out.parent,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )


def test_the_format_and_the_depth_are_recorded(vote: Configuration, tmp_path: Path) -> None:
    out = tmp_path / "r.jsonl"
    measure(vote, out, opener=scripted)
    stated = read_worker_facts(worker_facts_path(out)).prompt
    assert stated is not None
    assert stated.template == "Q: {question}\nA: Let's think step by step."
    assert {record.depth for record in read_records(out)} == {0}
    chosen = PromptFormat("{question} step by step.", "\n", name="mine")
    spec = replace(vote.spec, search="rebase")
    measure(replace(vote, prompt=chosen, spec=spec), tmp_path / "t.jsonl", opener=scripted)
    facts = read_worker_facts(worker_facts_path(tmp_path / "t.jsonl"))
    assert facts.prompt == chosen
    assert {record.depth for record in read_records(tmp_path / "t.jsonl")} == {1}
