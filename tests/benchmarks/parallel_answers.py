"""How far answers differ between values of `--parallel`: the same questions, seed and models.

    python tests/benchmarks/parallel_answers.py -o FOLDER --parallel 1 16 --
        --levels q4_k_m --no-baseline --methods greedy majority rebase --limit 100

What stands behind `--` goes to `profile run`. A run that is there is gone on with.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from convert import child
from profiles.records import stored_run
from profiles.records.stored_run import Recorded


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--parallel", type=int, nargs=2, default=[1, 16])
    parser.add_argument("run", nargs="*", help="arguments of profile run")
    options = parser.parse_args()
    one, many = (run(options.output, count, options.run) for count in options.parallel)
    for first, second in zip(one, many, strict=True):
        compare(first, second)


def run(folder: Path, parallel: int, arguments: Sequence[str]) -> list[Recorded]:
    """A run with so many questions at once, and what it recorded."""
    out = folder / f"parallel-{parallel}"
    command = child.command("profiles", "run", *arguments, "--parallel", str(parallel))
    command += ["--latency-questions", "0"] if parallel > 1 else []
    subprocess.run([*command, "-o", str(out), "--resume"], check=True, stdout=sys.stderr)
    return stored_run.read_measured(out, stored_run.read_run(out).configurations)


def compare(first: Recorded, second: Recorded) -> None:
    """Print what is the same, question by question, for every way of choosing."""
    others = {record.id: record for record in second.records}
    pairs = [(record, others[record.id]) for record in first.records]
    tokens = sum(a.policy.decode_tokens == b.policy.decode_tokens for a, b in pairs)
    print(f"{first.configuration.slug}, {len(pairs)} questions: {tokens} of the same length")
    for selection in first.configuration.selections:
        verdicts = [(a.verdict(selection), b.verdict(selection)) for a, b in pairs]
        same = sum(a.answer == b.answer for a, b in verdicts)
        lost = sum(a.correct and not b.correct for a, b in verdicts)
        won = sum(b.correct and not a.correct for a, b in verdicts)
        right = [sum(v.correct for v in side) for side in zip(*verdicts, strict=True)]
        print(
            f"  {selection}: {same} answers the same; right {right[0]} and {right[1]}, "
            f"{lost} lost, {won} won"
        )


if __name__ == "__main__":
    main()
