"""What OpenMP's spin count costs a decode loop, alone and beside one busy process.

    python tests/benchmarks/spin.py MODEL.gguf [--rounds 3] [--tokens 32]

Settings alternate within a round; every figure is a median of tokens per second on 8 branches.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "library's default": {"GOMP_SPINCOUNT": None, "OMP_WAIT_POLICY": ""},
    "1000 (ours)": {"GOMP_SPINCOUNT": "1000"},
    "3000": {"GOMP_SPINCOUNT": "3000"},
    "10000": {"GOMP_SPINCOUNT": "10000"},
    "OMP_WAIT_POLICY=passive": {"GOMP_SPINCOUNT": None, "OMP_WAIT_POLICY": "passive"},
}
PROGRAM = """
import sys
from pathlib import Path
from tests.benchmarks import decode_speed
decode_speed.TOKENS = int(sys.argv[2])
print(decode_speed.engine_tok_per_s(Path(sys.argv[1]), 8, 2))
"""
BUSY = "while True: pass"


def tok_per_s(model: Path, tokens: int, setting: dict[str, str | None]) -> float:
    """One measurement in a process of its own: the library reads the setting when it loads."""
    wanted = {k: v for k, v in setting.items() if v is not None}
    kept = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(model), str(tokens)],
        env=kept | wanted | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


@contextmanager
def neighbour(*, busy: bool) -> Iterator[None]:
    """One process that computes without end, or none."""
    if not busy:
        yield
        return
    with subprocess.Popen([sys.executable, "-c", BUSY]) as child:
        try:
            yield
        finally:
            child.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=32, help="of each branch")
    options = parser.parse_args()
    found: dict[tuple[str, bool], list[float]] = {}
    for _ in range(options.rounds):
        for name, setting in SETTINGS.items():
            for busy in (False, True):
                with neighbour(busy=busy):
                    speed = tok_per_s(options.model, options.tokens, setting)
                found.setdefault((name, busy), []).append(speed)
    print(f"| {options.model.name}, tok/s on 8 branches | alone | beside a busy process | factor |")
    print("|---|---:|---:|---:|")
    for name in SETTINGS:
        alone, beside = (statistics.median(found[name, busy]) for busy in (False, True))
        print(f"| {name} | {alone:,.0f} | {beside:,.0f} | {alone / beside:.1f} |")


if __name__ == "__main__":
    main()
