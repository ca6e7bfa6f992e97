"""Damaged files through the real commands: no signal, traceback, hang, half file, escape code.

    python tests/reliability/campaign.py --count 5000 [--seed 0] [--only GGUF]

Every case copies a good installation, damages one file and runs one command in a forked process,
which has everything imported already: a case costs a tenth of a second.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]

from tests.reliability.targets import (  # noqa: E402  # run as a script too
    TARGETS,
    Command,
    Target,
    prepare,
    real_file,
)

HANG_S = 10.0
MEMORY_BYTES = 12 << 30
ESCAPES = re.compile(b"[\x00-\x08\x0b\x0c\x0e-\x1a\x1b\x7f]|\xc2[\x80-\x9f]")


def damage(target: Target, case: Path, rng: random.Random) -> None:
    """Damage the target's file, so that the base stays as it is."""
    path = real_file(target, case)
    found = target.mutator(rng, path.read_bytes())
    path.unlink()
    path.write_bytes(found)
    if target.vouched and rng.random() < 0.7:
        from convert.artifact import read_artifact
        from convert.files import sha256
        from convert.verify import files_of

        artifact = read_artifact(case / target.vouched)
        replace(artifact, sha256={p.name: sha256(p) for p in files_of(artifact)}).write()


def run_case(case: Path, command: Command) -> tuple[int | None, float, bytes]:
    """Exit code (None: a hang), seconds, and all that was said."""
    log, began = case.parent / "said", time.monotonic()
    if (pid := os.fork()) == 0:
        _be(case, command, log)
    status: int | None = None
    while time.monotonic() - began < HANG_S:
        done, found = os.waitpid(pid, os.WNOHANG)
        if done:
            status = os.waitstatus_to_exitcode(found)
            break
        time.sleep(0.004)
    seconds = time.monotonic() - began
    if status is None:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return status, seconds, log.read_bytes()


def _be(case: Path, command: Command, log: Path) -> None:
    """What the forked process does; it does not come back."""
    os.setsid()
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(case)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    code: object = 70
    try:
        code = _mains()[command[0]](command[1:])
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


def _mains() -> dict[str, Callable[[Sequence[str]], int]]:
    import convert.cli
    import methods.cli
    import profiles.cli

    return {"convert": convert.cli.main, "solve": methods.cli.main, "profile": profiles.cli.main}


def judge(case: Path, code: int | None, said: bytes) -> str:
    """What is wrong with the outcome of a case; empty if nothing is."""
    if code is None:
        return "hang"
    if code < 0:
        return f"signal {-code}"
    if b"Traceback" in said:
        return "traceback"
    if code not in (0, 1, 2):
        return f"exit code {code}"
    if any(case.rglob("*.part")):
        return "half file"
    return "escape sequence" if ESCAPES.search(said) else ""


def campaign(
    count: int, seed: int, base: Path, only: str = "", seconds: float = 1e9
) -> tuple[Counter[str], list[str]]:
    """Outcomes by target, and a line for every fault; the same seed damages alike."""
    for module in ("convert.build", "convert.onnx_build", "methods.build", "profiles.report.write"):
        __import__(module)
    for module in ("gguf_engine", "torch_engine", "onnx_engine"):
        __import__(f"runtime.{module}")
    os.environ["XDG_CACHE_HOME"] = str(base.parent / "cache")
    targets = [t for t in TARGETS if only in t.name]
    chosen = random.Random(seed).choices(targets, [t.weight for t in targets], k=count)
    outcomes: Counter[str] = Counter()
    faults: list[str] = []
    deadline = time.monotonic() + seconds
    for number, target in enumerate(chosen):
        if time.monotonic() > deadline:
            break
        rng = random.Random(f"{seed} {number}")
        case = base.parent / "case"
        shutil.rmtree(case, ignore_errors=True)
        shutil.copytree(base, case, copy_function=_link)
        damage(target, case, rng)
        command = rng.choice(target.commands)
        code, took, said = run_case(case, command)
        fault = judge(case, code, said)
        outcomes[f"{target.name}: {fault or ('refused' if code else 'accepted')}"] += 1
        if fault:
            last = said.decode("utf-8", "replace").strip().splitlines()[-3:]
            faults.append(
                f"seed {seed} case {number}: {target.name}: {' '.join(command)}: {fault} "
                f"({took:.1f} s): {' | '.join(last)[-300:]}"
            )
    return outcomes, faults


def _link(source: str, target: str) -> None:
    """Models are linked; what commands append to is copied."""
    if "/report/" in source:
        shutil.copy(source, target)
    else:
        os.link(source, target)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", metavar="TARGET", help="part of a target's name")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after so long")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "base"
        base.mkdir()
        prepare(base)
        began = time.monotonic()
        outcomes, faults = campaign(
            options.count, options.seed, base, options.only, options.seconds
        )
        print(json.dumps(dict(sorted(outcomes.items())), indent=1))
        print(f"{sum(outcomes.values())} cases, {time.monotonic() - began:.0f} s")
    print("\n".join(faults), file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
