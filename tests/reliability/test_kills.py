"""Kill -9 at any moment leaves every model old or new, never half; what is left is swept later."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from convert.artifact import read_artifact
from convert.files import sha256
from convert.verify import verify
from runtime.load import describe_model
from tests.faulty import command

KILLS = 50
LEVELS = ("q4_0", "q8_0")
Hashes = dict[str, str]


def start(source: Path, out: Path, *formats: str) -> subprocess.Popen[bytes]:
    arguments = [str(source), "--quant", *LEVELS, "-o", str(out), "--force", *formats]
    return subprocess.Popen(
        [command("convert"), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def family(pid: int) -> list[int]:
    """Processes of a session that are alive."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == pid and fields[0] != "Z":
            found.append(int(entry.parent.name))
    return found


def hashes(folder: Path) -> Hashes:
    """Of all models and heads in a folder."""
    return {p.name: sha256(p) for p in folder.iterdir() if ".gguf" in p.suffixes[-1:]} | {
        p.name: sha256(p) for p in folder.glob("*.heads.safetensors")
    }


def check(out: Path, versions: list[Hashes]) -> None:
    """Every model is of one version, with its heads; a manifest that is there tells the truth."""
    for level in LEVELS:
        path = out / f"thinker-{level}.gguf"
        artifact = describe_model(path)
        assert any(versions[n][path.name] == sha256(path) for n in (0, 1)), path
        assert artifact.heads_path is not None
        (version,) = [v for v in versions if v[path.name] == sha256(path)]
        assert sha256(artifact.heads_path) == version[artifact.heads_path.name]
        if artifact.manifest_path.exists():
            assert verify(read_artifact(path))


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_fifty_kills_over_good_files(tmp_path: Path, tiny_thinker: Callable[..., Path]) -> None:
    sources, versions, seconds = [], [], 0.0
    for seed in (1, 2):
        sources.append(tiny_thinker(tmp_path / str(seed) / "thinker", seed=seed))
        began = time.monotonic()
        assert start(sources[-1], tmp_path / f"whole-{seed}").wait() == 0
        seconds = time.monotonic() - began
        versions.append(hashes(tmp_path / f"whole-{seed}"))
    assert versions[0].keys() != versions[1].keys()  # the heads differ, and so do their names
    out = tmp_path / "out"
    assert start(sources[0], out).wait() == 0

    rng = random.Random(50)
    ends = []
    for kill in range(KILLS):
        run = start(sources[kill % 2], out)
        time.sleep(rng.uniform(0.3, 1.05) * seconds)
        if rng.random() < 0.5:
            run.kill()  # the process that a user sees
        else:
            for pid in family(run.pid):
                os.kill(pid, signal.SIGKILL)
        ends.append(run.wait())
        while family(run.pid):
            time.sleep(0.01)
        check(out, versions)
    assert ends.count(-signal.SIGKILL) > KILLS // 2, ends

    assert start(sources[1], out).wait() == 0
    check(out, versions)
    assert not list(out.glob("*.part"))
    assert {p.name for p in out.glob("*.gguf")} == {f"thinker-{level}.gguf" for level in LEVELS}
    assert all(hashes(out)[name] == digest for name, digest in versions[1].items())
