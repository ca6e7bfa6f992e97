"""One configuration of a run: which models, which search, on which data."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from convert.artifact import Format, PromptFormat, RewardProtocol
from convert.files import regular
from convert.onnx_files import model_files
from methods import catalog
from methods.answers.tasks import TaskName
from methods.build import MethodSpec
from methods.catalog import ProtocolName, Selection
from methods.judges import OwnJudge
from methods.problem import Problem, read_problems
from profiles.records.shard import Shard
from profiles.stored_json import parse
from runtime.options import EngineOptions, Thinking

# What version 0.1.0 could not say, with what it did: its runs keep their digests.
ADDED: dict[str, object] = {
    "task": "gsm8k",
    "reward_protocol": None,
    "spec.own": {},
    "spec.stop_loops": False,
    "spec.logprobs": True,
    "spec.think_budget": None,
    "spec.budget": None,
    "prompt": None,
    "parallel": 1,
    "options.streams": False,
    "options.batch": 512,
    "shard": None,
    "judge": None,
    "judge_fingerprint": None,
}
PLACES = frozenset(  # change no answer to a question
    ("policy", "reward", "data", "limit", "baseline", "latency_questions")
)
FINGERPRINT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Configuration:
    """What one process measures. Each question's answer depends on nothing else."""

    policy: Path
    reward: Path | None
    format: Format
    level: str
    reward_level: str | None
    spec: MethodSpec
    options: EngineOptions
    data: Path
    data_sha256: str
    policy_fingerprint: str
    reward_fingerprint: str | None = None
    limit: int | None = None
    shuffle: int | None = None  # seed of the order that `limit` cuts
    seed: int = 0
    task: TaskName = "gsm8k"  # how answers are read and compared
    baseline: bool = False  # full precision, what the others are compared with
    reward_protocol: RewardProtocol | None = None  # as the user stated it
    prompt: PromptFormat | None = None  # how the policy is asked; None: as it says itself
    parallel: int = 1  # questions at once; kernels round by what shares a call
    latency_questions: int = 20  # of them asked alone too, where several are asked at once
    shard: Shard | None = None  # None: all questions
    judge: OwnJudge | None = None  # of the policy's own, alone or times the reward model
    judge_fingerprint: str | None = None  # where it was fitted

    @property
    def judged(self) -> bool:
        """Whether steps are scored."""
        return self.reward is not None or self.judge is not None

    @property
    def thinking(self) -> Thinking:
        return self.options.think

    @property
    def protocol(self) -> ProtocolName:
        return self.spec.protocol

    @property
    def slug(self) -> str:
        """A file name: `policy-gguf-q4_k_m-sample-8`; what is out of the ordinary is named too."""
        name = self.policy.name.removesuffix(".gguf").removesuffix(".onnx")
        stem = name.lower().replace(self.level, "")
        parts = [stem.strip("-_."), self.format, self.level]
        if self.reward_level not in (None, self.level):
            parts.append(f"reward-{self.reward_level}")
        parts += [] if self.judge is None else [self.judge]
        parts += [] if self.options.kv_type == "f16" else [f"kv-{self.options.kv_type}"]
        parts += [self.spec.search, str(self.spec.width)]
        parts += {"off": [], "on": ["thinking"], "gated": ["gated"]}[self.thinking]
        parts += [] if self.protocol is ProtocolName.FAIR else [self.protocol]
        return re.sub(r"[^A-Za-z0-9._-]+", "_", "-".join(parts))

    def problems(self) -> list[Problem]:
        """The questions in their order, those that cannot be asked too."""
        found = read_problems(self.data, self.limit, self.shuffle, self.task)
        if self.shard is None:
            return found
        return in_shard(found, self.shard, read_problems(self.data, None, self.shuffle, self.task))

    @property
    def selections(self) -> tuple[Selection, ...]:
        """The ways of choosing an answer that one run serves."""
        search = catalog.search_named(self.spec.search)
        if self.protocol is ProtocolName.PAPER and search.paper is not None:
            return (search.paper.selection,)
        served = catalog.selections_of(search.name)
        if search.scored or self.judged:
            return served
        return tuple(s for s in served if not catalog.SELECTIONS[s].scored)

    @property
    def primary(self) -> Selection:
        """The selection that progress shows."""
        chosen = self.spec.selection
        return chosen if chosen in self.selections else self.selections[0]

    def decisive(self) -> dict[str, Any]:
        """All that can change an answer or its cost, flat: `spec.width`, `options.device`."""
        flat: dict[str, Any] = {}
        for key, value in self.document().items():
            if key in PLACES:
                continue
            if isinstance(value, dict):
                flat |= {f"{key}.{name}": inner for name, inner in value.items()}
            else:
                flat[key] = value
        return {k: v for k, v in flat.items() if k not in ADDED or v != ADDED[k]}

    def digest(self) -> str:
        """A hash of all that is decisive; only equal ones may share a file of records."""
        return hashlib.sha256(json.dumps(self.decisive(), sort_keys=True).encode()).hexdigest()

    def document(self) -> dict[str, Any]:
        document = asdict(self)
        for name in ("policy", "reward", "data"):
            document[name] = None if document[name] is None else str(document[name])
        return document


def in_shard(
    problems: Sequence[Problem], shard: Shard, everything: Sequence[Problem]
) -> list[Problem]:
    """The problems that a shard holds, where `everything` is in the data, in the same order."""
    held = shard.held([(problem.id, problem.question) for problem in everything])
    return [problem for problem in problems if problem.id in held]


def wanted(configuration: Configuration, methods: Collection[str]) -> list[Selection]:
    """The selections of a configuration that were asked for: all that the methods show."""
    rows = [row for row in catalog.rows_of(configuration.spec.search) if row.name in methods]
    asked = {selection for row in rows for selection in row.selections}
    return [selection for selection in configuration.selections if selection in asked]


def read_configuration(path: Path) -> Configuration:
    """The configuration stored in a file.

    Raises:
        Refusal: if the file holds none; names it.
    """
    content = regular(path).read_bytes()
    return parse(Configuration, content, str(path), "a configuration of this version")


def differences(old: Configuration, new: Configuration) -> list[str]:
    """What keeps two configurations from sharing records: `spec.temperature 1.0 -> 0.7`."""
    before, after = ADDED | old.decisive(), ADDED | new.decisive()
    return [
        f"{key} {_short(before.get(key))} -> {_short(after.get(key))}"
        for key in dict.fromkeys([*after, *before])
        if before.get(key) != after.get(key)
    ]


def fingerprint(path: Path) -> str:
    """A hash of a model's size, head and tail: quick at any size, and it notices a new model."""
    files = (
        model_files(path)
        if path.is_file()
        else sorted(path.glob("*.safetensors")) or [*path.glob("*.bin")]
    )
    found = hashlib.sha256()
    for file in files:
        size = file.stat().st_size
        with file.open("rb") as content:
            found.update(size.to_bytes(8, "little") + content.read(FINGERPRINT_BYTES))
            content.seek(max(0, size - FINGERPRINT_BYTES))
            found.update(content.read())
    return found.hexdigest()


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) < 24 else text[:12] + "…"
