"""What `profile run` was asked for, as the grid reads it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from convert import sources
from convert.artifact import RewardProtocol
from convert.formats import parse
from convert.refusal import Refusal
from convert.stated import asked_reward
from methods.answers.tasks import TaskName
from methods.build import MethodSpec
from methods.catalog import GREEDY, METHODS, ProtocolName, Search, in_paper, rows_of
from methods.judges import Judges, judges
from methods.own_arguments import own_values
from methods.prompt_arguments import changes
from profiles import paper_suite
from profiles.records.shard import Shard
from profiles.run.arguments import BENCHMARK, DEFAULT_WIDTH, LEVELS
from profiles.run.room import BranchGain
from runtime.gate import DEFAULTS, Gate
from runtime.options import EngineOptions, KvType, Thinking
from runtime.prompt_changes import PromptChanges


@dataclass(frozen=True, slots=True)
class Request:
    """What `profile run` was asked for."""

    policies: tuple[str, ...]  # one source, or one or more files
    reward: str | None  # None: the reference model beside the reference policy
    levels: tuple[str, ...]
    reward_level: str
    methods: tuple[str, ...]
    widths: tuple[int, ...]  # of every method
    data: Path
    limit: int | None
    seed: int
    options: EngineOptions  # context, branches and thinking are filled in
    baseline: bool
    spec: MethodSpec  # search, width, selection and lengths are filled in
    more_widths: tuple[tuple[str, int], ...] = ()  # of single methods
    think: tuple[Thinking, ...] = ("off",)
    thinker: str | None = None  # None: the reference thinker, or the policy itself
    think_levels: tuple[str, ...] | None = None  # None: all
    suite: bool = False  # the paper's systems under both protocols
    shuffle: int | None = None
    task: TaskName | None = None  # None: as the fields of the data say
    offline: bool = False
    own: Mapping[str, float] = field(default_factory=dict)  # options of single searches
    reward_protocol: RewardProtocol | None = None  # None: as the reward model says
    prompt: PromptChanges = field(default_factory=PromptChanges)
    kv_types: tuple[KvType, ...] = ("f16",)  # of GGUF files
    max_tokens: int | None = None  # of one path; None: what is usual for the model
    parallel: int | None = 1  # questions at once; None: as many as `gain` says
    gain: BranchGain | None = None  # where it was measured
    latency_questions: int = 20
    shard: Shard | None = None  # None: all questions

    @property
    def judge(self) -> Judges:
        """Who scores the steps, as `--reward` says."""
        return judges(self.reward)

    @property
    def needs_reward(self) -> bool:
        return any(METHODS[method].needs_reward for method in self.methods)

    def judges(self, search: str, width: int) -> bool:
        """Whether runs of a search at a width are scored by the reward model."""
        asked = [row for row in rows_of(search) if row.name in self.methods]
        alone = [name for name, more in self.more_widths if more == width]
        if width not in self.widths and alone:
            asked = [row for row in asked if row.name in alone]
        return any(row.needs_reward for row in asked)

    def widths_of(self, search: Search) -> list[int]:
        """Every width that tells runs of a search apart."""
        more = [n for name, n in self.more_widths if METHODS[name].search is search]
        return list(dict.fromkeys(map(search.paths, (*self.widths, *more))))


def request(options: argparse.Namespace) -> Request:
    """What was asked for, as the grid reads it.

    Raises:
        Refusal: if the paper's protocol lacks a method, a tree is wider than can be, a width is of
            a method that does not run, or a budget of seconds meets questions asked together.
    """
    suite = options.suite == "paper"
    if options.protocol is ProtocolName.PAPER and not suite:
        in_paper(options.methods)
    if options.budget is not None and options.budget.unit == "s" and options.parallel != 1:
        raise Refusal(
            f"--budget of {options.budget} means nothing where questions share the models; choose "
            "tokens or operations, like 2000tok or 4T, or leave out --parallel"
        )
    own = judges(options.reward).own
    if options.protocol is ProtocolName.PAPER and own is not None:
        raise Refusal(f"the paper's protocol reads no {own}; give --reward MODEL")
    methods = paper_suite.METHODS if suite else tuple(dict.fromkeys(options.methods))
    widths, more = _widths(options.width, methods)
    return Request(
        policies=tuple(options.policy),
        reward=options.reward,
        levels=options.levels,
        reward_level=options.reward_level,
        methods=methods,
        widths=widths,
        data=sources.BENCHMARK if options.data == BENCHMARK else Path(options.data),
        limit=options.limit or (paper_suite.QUESTIONS if suite else 100),
        seed=options.seed,
        options=EngineOptions(
            device=options.device,
            threads=options.threads,
            gate_by=options.gate_by,
            gate=_gate(options),
            thought_temperature=options.thought_temperature,
        ),
        baseline=options.baseline,
        more_widths=more,
        spec=MethodSpec(
            GREEDY.search.name,
            temperature=options.temperature,
            top_p=options.top_p,
            balance=options.balance,
            aggregation=options.aggregation,
            stop_loops=options.stop_loops,
            think_budget=options.think_budget,
            budget=options.budget,
            protocol=options.protocol,
        ),
        think=("off", "on") if suite else tuple(dict.fromkeys(options.think)),
        thinker=options.thinker,
        think_levels=tuple(options.think_levels) if options.think_levels else None,
        suite=suite,
        shuffle=paper_suite.SHUFFLE if suite and options.shuffle is None else options.shuffle,
        task=options.task,
        offline=options.offline,
        own=own_values(options),
        reward_protocol=asked_reward(options.reward_protocol) if options.reward_protocol else None,
        prompt=changes(options),
        kv_types=tuple(dict.fromkeys(options.kv_types)),
        max_tokens=options.max_tokens,
        parallel=options.parallel,
        latency_questions=options.latency_questions,
    )


def _widths(
    given: Sequence[int | tuple[str, int]], methods: Sequence[str]
) -> tuple[tuple[int, ...], tuple[tuple[str, int], ...]]:
    """Widths of all methods, and those of single ones; a tree can be as wide as branches allow."""
    widths = [width for width in given if isinstance(width, int)] or [DEFAULT_WIDTH]
    more = [width for width in given if not isinstance(width, int)]
    for name, width in [*product(methods, widths), *more]:
        if name not in methods:
            raise Refusal(f"--width {name}={width} has no effect: add {name} to --methods")
        METHODS[name].search.branches(width)
    return tuple(dict.fromkeys(widths)), tuple(more)


def _gate(options: argparse.Namespace) -> float:
    """The threshold, checked; each kind of gate has its own default."""
    threshold = DEFAULTS[options.gate_by] if options.gate is None else options.gate
    return Gate(options.gate_by, threshold).threshold


def resolve_levels(options: argparse.Namespace) -> None:
    """Put the one name of every level into its place; a level tells its format.

    Raises:
        UnknownLevel: for a level that none of the wanted formats has; lists those they have.
    """
    formats = tuple(dict.fromkeys(options.formats))
    wanted = options.levels or [level for form in formats for level in LEVELS[form]]
    options.levels = tuple(dict.fromkeys(parse(level, formats).name for level in wanted))
    if options.think_levels:
        options.think_levels = [parse(level, formats).name for level in options.think_levels]
    if options.reward_level != "same":
        options.reward_level = parse(options.reward_level, formats).name
