"""Hand-made configurations, records and whole runs; no model is opened."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convert.artifact import Shape
from methods.build import MethodSpec
from profiles.opened_model import OpenedModel
from profiles.records import stored_run
from profiles.records.configuration import Configuration
from profiles.records.record import ChosenAnswer, Record
from profiles.records.worker_facts import WorkerFacts, worker_facts_path
from runtime.engine import Usage
from runtime.options import EngineOptions

SHAPE = Shape(
    layers=4,
    hidden=256,
    heads=4,
    kv_heads=2,
    head_dim=64,
    feed_forward=768,
    vocab=1024,
    context=1024,
)
ENVIRONMENT: dict[str, Any] = {
    "date": "2026-11-24T09:30:00+00:00",
    "cpu": "A Processor With A Rather Long Name @ 2.40GHz",
    "cores": 2,
    "threads": 4,
    "usable_threads": 2,
    "ram_bytes": 8 << 30,
    "gpus": [],
    "system": "Linux 6.1 x86_64",
    "python": "3.11.9",
    "packages": {"starbase-edge": "0.1.0", "llama-cpp-python": "0.3.36", "torch": "2.13.0"},
    "commit": None,
}
ACCURACY = {"f32": 0.74, "f16": 0.74, "q8_0": 0.735, "q4_k_m": 0.7, "q3_k_s": 0.55, "q2_k": 0.2}
BITS = {"f32": 32.0, "f16": 16.0, "q8_0": 8.5, "q4_k_m": 4.9, "q3_k_s": 3.5, "q2_k": 2.8}
GAIN = {"greedy": 0.0, "majority": 0.02, "best-of-n": 0.05, "weighted": 0.08}


def make_configuration(
    search: str = "greedy", level: str = "q4_k_m", width: int = 8, **changes: Any
) -> Configuration:
    judged = search != "greedy"
    base = Configuration(
        policy=Path(f"/models/policy-{level}.gguf"),
        reward=Path(f"/models/reward-{level}.gguf") if judged else None,
        format="torch" if level == "f32" else "gguf",
        level=level,
        reward_level=level if judged else None,
        spec=MethodSpec(search, width=1 if search == "greedy" else width),
        options=EngineOptions(),
        data=Path("/data/problems.jsonl"),
        data_sha256="0" * 64,
        policy_fingerprint=f"policy {level}",
        reward_fingerprint=f"reward {level}" if judged else None,
        baseline=level == "f32",
    )
    return replace(base, **changes)


def make_process(level: str = "q4_k_m", *, judged: bool = True) -> WorkerFacts:
    weights = 4_400_000 * BITS[level] / 8
    policy = OpenedModel(
        f"policy-{level}.gguf",
        "reference:policy",
        "torch" if level == "f32" else "gguf",
        level,
        "CPU, 2 threads",
        SHAPE,
        int(weights),
        BITS[level],
    )
    reward = replace(policy, name=f"reward-{level}.gguf") if judged else None
    return WorkerFacts(policy, reward, 0.4, 300_000_000, None, {"numpy": "2.0"})


def make_record(
    number: int, configuration: Configuration, right: dict[str, bool], **changes: Any
) -> Record:
    width = configuration.spec.width
    answered = {True: "12", False: "13"}
    verdicts = {
        s: ChosenAnswer(answered[right[s]], answered[right[s]], right[s], right[s])
        for s in configuration.selections
    }
    judged = configuration.reward is not None
    used = Usage(
        prefill_tokens=50,
        decode_tokens=60 * width,
        context_tokens=100 * 60 * width,
        logit_rows=1 + 60 * width,
        calls=61,
        prefill_s=0.01,
        decode_s=0.1 + 0.02 * width,
        sampling_s=0.005,
    )
    base = Record(
        id=str(number),
        question=f"Ann has {number} <b>pens</b> & buys 3 more. How many pens does Ann have?",
        gold="12",
        seed=number,
        verdicts=verdicts,
        policy=used,
        reward=Usage(
            prefill_tokens=40 + 70 * width,
            context_tokens=9000 * width,
            logit_rows=8 * width,
            calls=6,
            prefill_s=0.05,
        )
        if judged
        else Usage(),
        latency_s=0.2 + 0.03 * width,
        scorer_s=0.06 if judged else 0.0,
        ttft_s=0.012,
        candidates=width,
        policy_kv_bytes=8 << 20,
        reward_kv_bytes=8 << 20 if judged else 0,
    )
    return replace(base, **changes)


def store_run(
    folder: Path,
    measured: Sequence[tuple[Configuration, WorkerFacts, Sequence[Record]]],
    methods: Sequence[str] = ("greedy", "majority", "best-of-n", "weighted", "rebase"),
) -> None:
    stored_run.prepare(folder, force=False)
    stored_run.store_configurations(folder, [configuration for configuration, _, _ in measured])
    for configuration, process, records in measured:
        path = stored_run.records_path(folder, configuration)
        path.write_text("".join(record.line() for record in records))
        process.write(worker_facts_path(path))
    document = {
        "command": "profile run --limit 100",
        "models": {"policy": "reference:policy", "reward": "reference:reward"},
        "data": {"name": "problems.jsonl", "sha256": "0" * 64},
        "questions": max((len(records) for _, _, records in measured), default=0),
        "seed": 0,
        "protocols": ["fair"],
        "search": {"temperature": 1.0, "max_tokens": 256},
        "methods": list(methods),
        "configurations": [configuration.slug for configuration, _, _ in measured],
        "environment": ENVIRONMENT,
        "failures": [],
    }
    (folder / stored_run.RUN).write_text(json.dumps(document))


def simulated_run(folder: Path, questions: int = 100, levels: Sequence[str] = tuple(BITS)) -> None:
    """A run in which quantization hurts as it does in life: mostly the same questions."""
    measured = []
    searches = ("greedy", "sample", "rebase")
    for level in levels:
        for search in searches:
            made = make_configuration(search, level)
            draws = random.Random(search)
            flips = random.Random(level + search)
            records = []
            for number in range(questions):
                hardness, again = draws.random(), flips.random()
                hardness = hardness if again > 0.08 else flips.random()
                right = {s: hardness < ACCURACY[level] + GAIN.get(s, 0) for s in made.selections}
                records.append(make_record(number, made, right, latency_s=_latency(level, search)))
            process = make_process(level, judged=search != "greedy")
            measured.append((made, process, records))
    store_run(folder, measured)


def _latency(level: str, search: str) -> float:
    base = {"greedy": 0.05, "sample": 0.2, "rebase": 0.35}[search]
    return base * (3.0 if level == "f32" else 0.5 + BITS[level] / 16)


@pytest.fixture
def configuration() -> Callable[..., Configuration]:
    return make_configuration


@pytest.fixture
def process() -> Callable[..., WorkerFacts]:
    return make_process


@pytest.fixture
def record() -> Callable[..., Record]:
    return make_record


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A stored run of 100 questions at six levels, not rendered yet."""
    simulated_run(tmp_path / "report")
    return tmp_path / "report"


@pytest.fixture
def stored() -> Callable[..., None]:
    return store_run
