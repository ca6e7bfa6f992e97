"""How fast a model reads and writes, as llama-bench times it: warm-up, repeats, mean, spread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Literal

import numpy as np

from convert.progress import Bar, Progress
from convert.refusal import Refusal
from profiles.latency.bytes_read import decode_bytes, prefill_bytes
from profiles.latency.ceilings import Ceilings
from profiles.opened_model import OpenedModel, opened_model
from runtime.engine import Branch, Engine, Sampling, Usage
from runtime.flops import flops
from runtime.sampling import Sampler

Opener = Callable[[Path], Engine]
Kind = Literal["prefill", "decode"]
GREEDY = Sampling(temperature=0)


@dataclass(frozen=True, slots=True)
class Bench:
    """What is timed. Tokens are random: no work depends on what they say."""

    prompts: Sequence[int] = (128, 512)
    branches: Sequence[int] = (1, 4, 16, 64)
    depth: int = 128  # tokens of the shared prefix that decoding starts from
    steps: int = 32  # decode calls of one repeat
    repeats: int = 5
    warm_up: int = 1
    seed: int = 0

    @property
    def context(self) -> int:
        """Tokens of KV cache that the largest test fills."""
        return max(*self.prompts, self.depth + max(self.branches) * self.steps)

    @property
    def tests(self) -> int:
        return len(self.prompts) + len(self.branches)


@dataclass(frozen=True, slots=True)
class Timed:
    """One test on one model: seconds of each repeat, and the work of one."""

    model: OpenedModel
    kind: Kind
    size: int  # tokens of the prompt, or branches
    seconds: tuple[float, ...]
    ttft_s: tuple[float, ...]  # with the first token drawn; empty for decode
    usage: Usage
    bytes_read: float


@dataclass(frozen=True, slots=True)
class LatencyRow:
    """One line. Rates are over the mean seconds; the spread is a sample's standard deviation.

    Operations and bytes are computed from counted work, not measured; utilizations are shares of
    ceilings measured in the same run, None where there is no ceiling.
    """

    model: str
    format: str
    level: str
    device: str
    bits_per_weight: float
    size_bytes: int
    test: str
    tokens: int
    calls: int
    repeats: int
    mean_s: float
    std_s: float
    tok_per_s_mean: float
    tok_per_s_std: float
    call_s: float
    ttft_mean_s: float | None
    ttft_std_s: float | None
    flop_per_s: float
    flop_utilization: float | None
    bytes_per_s: float
    bytes_utilization: float | None


def measure(
    bench: Bench, paths: Sequence[Path], opener: Opener, progress: Progress | None = None
) -> list[Timed]:
    """Every test on every model, one model open at a time.

    Raises:
        Refusal: if a model does not know a text as long as a test.
    """
    progress = progress or Progress()
    found = []
    for path in paths:
        with opener(path) as engine:
            _refuse_long(bench, engine)
            runs = bench.tests * (bench.warm_up + bench.repeats)
            with progress.bar(engine.artifact.level, runs) as bar:
                found += list(_tests(bench, engine, bar))
    return found


def row(timed: Timed, ceilings: Ceilings) -> LatencyRow:
    """The line of a test, its rates as shares of the ceilings."""
    usage, average_s = timed.usage, fmean(timed.seconds)
    rates = [usage.tokens / s for s in timed.seconds]
    flop_per_s = flops(usage, timed.model.shape) / average_s
    bytes_per_s = timed.bytes_read / average_s
    return LatencyRow(
        model=timed.model.name,
        format=timed.model.format,
        level=timed.model.level,
        device=timed.model.device,
        bits_per_weight=timed.model.bits_per_weight,
        size_bytes=timed.model.size_bytes,
        test=f"{timed.kind} {timed.size}" if timed.kind == "prefill" else f"decode x{timed.size}",
        tokens=usage.tokens,
        calls=usage.calls,
        repeats=len(timed.seconds),
        mean_s=average_s,
        std_s=_spread(timed.seconds),
        tok_per_s_mean=fmean(rates),
        tok_per_s_std=_spread(rates),
        call_s=average_s / usage.calls,
        ttft_mean_s=fmean(timed.ttft_s) if timed.ttft_s else None,
        ttft_std_s=_spread(timed.ttft_s) if timed.ttft_s else None,
        flop_per_s=flop_per_s,
        flop_utilization=_share(flop_per_s, ceilings.flop_per_s),
        bytes_per_s=bytes_per_s,
        bytes_utilization=_share(bytes_per_s, ceilings.bytes_per_s),
    )


def _tests(bench: Bench, engine: Engine, bar: Bar) -> Iterator[Timed]:
    draw = np.random.default_rng(bench.seed)
    for size in bench.prompts:
        yield _prefill(bench, engine, _tokens(draw, engine, size), bar)
    for count in bench.branches:
        yield _decode(bench, engine, count, draw, bar)


def _prefill(bench: Bench, engine: Engine, tokens: Sequence[int], bar: Bar) -> Timed:
    """A prompt read in one call, and its first token drawn."""
    sampler, seconds, ttft_s = Sampler(), [], []
    for _ in range(bench.warm_up + bench.repeats):
        before, started = engine.usage, time.perf_counter()
        with engine.open(tokens) as branch:
            logits = engine.logits([branch])
            seconds.append(time.perf_counter() - started)
            sampler.draw(logits, GREEDY, [branch.id], [len(tokens)])
            ttft_s.append(time.perf_counter() - started)
        used = engine.usage - before
        bar.step(f"prefill {len(tokens)}")
    kept = slice(bench.warm_up, None)
    return Timed(
        opened_model(engine),
        "prefill",
        len(tokens),
        tuple(seconds[kept]),
        tuple(ttft_s[kept]),
        used,
        prefill_bytes(engine, used),
    )


def _decode(bench: Bench, engine: Engine, count: int, draw: np.random.Generator, bar: Bar) -> Timed:
    """One token a call for each of some branches of one prefix; nothing is sampled."""
    seconds = []
    with engine.open(_tokens(draw, engine, bench.depth)) as root:
        branches = engine.fork(root, count)
        for _ in range(bench.warm_up + bench.repeats):
            words = [[[t] for t in _tokens(draw, engine, count)] for _ in range(bench.steps)]
            before, started = engine.usage, time.perf_counter()
            for tokens in words:
                engine.feed(branches, tokens, work="decode")
            seconds.append(time.perf_counter() - started)
            used = engine.usage - before
            _rewind(engine, branches, bench.depth)
            bar.step(f"decode x{count}")
    return Timed(
        opened_model(engine),
        "decode",
        count,
        tuple(seconds[bench.warm_up :]),
        (),
        used,
        decode_bytes(engine, used),
    )


def _rewind(engine: Engine, branches: Sequence[Branch], length: int) -> None:
    for branch in branches:
        engine.rewind(branch, length)


def _tokens(draw: np.random.Generator, engine: Engine, count: int) -> list[int]:
    return [int(i) for i in draw.integers(engine.tokenizer.size, size=count)]


def _refuse_long(bench: Bench, engine: Engine) -> None:
    longest = max(*bench.prompts, bench.depth + bench.steps)
    known = engine.artifact.shape.context
    if longest > known:
        raise Refusal(
            f"a test of {longest} tokens is longer than the {known} that "
            f"{engine.artifact.path.name} knows; lower --prefill, --depth or --decode-tokens"
        )


def _spread(values: Sequence[float]) -> float:
    return stdev(values) if len(values) > 1 else 0.0


def _share(rate: float, ceiling: float | None) -> float | None:
    return None if ceiling is None else rate / ceiling
