"""How many branches in a call a model gains by, measured: what `--parallel auto` asks for.

`python -m profiles.run.gain CONFIGURATION.json` prints two numbers: with cells of its own for each
branch, as single paths have, and in one cache, as trees share. There a tiny model gains nothing:
its rows cost less than looking past the cells of the other questions.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from convert import child
from convert.files import write_json
from profiles.records.configuration import Configuration, read_configuration
from profiles.run.room import BranchGain
from runtime.branching import BranchEngine
from runtime.load import open_engine

SIZES = (1, 2, 4, 8, 16, 32, 64)
PROMPT_TOKENS = 192  # and half an answer: what a question has in the cache
CALLS = 5
ENOUGH = 0.95  # of the best rate: the fewest branches that reach it
PATIENCE_S = 20.0  # what has not been tried by then counts as no better


def measured_gain(configuration: Configuration) -> BranchGain:
    """Both, from a process of its own; 1 where the model cannot be measured."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "configuration.json"
        write_json(path, configuration.document())
        done = subprocess.run(
            [*child.command("profiles.run.gain"), str(path)],
            env=child.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            check=False,
        )
    words = done.stdout.split()[-2:]
    if done.returncode or len(words) < 2 or not all(map(str.isdigit, words)):
        return BranchGain(1, 1)
    return BranchGain(*map(int, words))


def gain(engine: BranchEngine, sizes: Sequence[int] = SIZES) -> int:
    """The fewest branches, each with a prompt of its own, that decode about as fast as any."""
    started = time.perf_counter()
    rates: dict[int, float] = {}
    for size in sizes:
        rates[size] = size / _seconds(engine, size)
        if time.perf_counter() - started > PATIENCE_S:
            break
    best = max(rates.values())
    return next(size for size, rate in rates.items() if rate >= ENOUGH * best)


def _seconds(engine: BranchEngine, size: int) -> float:
    """Of a call that decodes one token for each of so many branches."""
    token = engine.tokenizer.encode_more(" 1")[-1]
    slots, prompt = range(size), [token] * PROMPT_TOKENS
    engine.evaluate([0], [0], [prompt], hidden=False, tails=[1])
    if engine.streams:
        for slot in slots[1:]:
            engine.share(0, slot, PROMPT_TOKENS)
    elif engine.copies:
        saved = engine.save(0, size, 0, PROMPT_TOKENS)
        for slot in slots[1:]:
            engine.restore(slot, size, saved)
    elif size > 1:
        others = slots[1:]
        engine.evaluate(
            others, [0] * (size - 1), [prompt] * (size - 1), hidden=False, tails=[1] * (size - 1)
        )
    times = []
    for call in range(CALLS):
        before = time.perf_counter()
        starts, ones = [PROMPT_TOKENS + call] * size, [1] * size
        engine.evaluate(slots, starts, [[token]] * size, hidden=False, tails=ones)
        times.append(time.perf_counter() - before)
    for slot in slots:
        engine.cut(slot, 0)
    return statistics.median(times)


def main(arguments: Sequence[str]) -> None:
    """Print both numbers for a configuration."""
    configuration = read_configuration(Path(arguments[0]))
    cells, most = PROMPT_TOKENS + CALLS, max(SIZES)
    options = replace(configuration.options, max_branches=most + 1, think="off")
    own = replace(options, context=cells, streams=True)
    kinds, found = [own] if configuration.format == "gguf" else [], []
    for kind in (*kinds, replace(options, context=most * cells)):
        with open_engine(configuration.policy, kind) as engine:
            assert isinstance(engine, BranchEngine)
            found.append(gain(engine))
    print(found[0], found[-1])


if __name__ == "__main__":
    main(sys.argv[1:])
