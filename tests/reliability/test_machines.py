"""The machine of a stranger: another locale, no home, a strict umask, a full or read-only disk."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from convert.gguf_artifact import artifact_from_gguf
from tests.faulty import command

QUESTION = "Mia bakes 6 trays of 8 rolls and sells 20. How many are left?"
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}  # ASCII for every text file


def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """A console script of ours, its output as UTF-8."""
    environment = {**os.environ, **options.pop("env", {})}  # type: ignore[dict-item]
    return subprocess.run(
        [command(arguments[0]), *arguments[1:]],
        capture_output=True,
        encoding="utf-8",
        check=False,
        env={k: v for k, v in environment.items() if v is not None},
        **options,  # type: ignore[call-overload]
    )


def test_text_is_utf8_in_any_locale(tmp_path: Path) -> None:
    arguments = ["reference:reward", "--quant", "q8_0", "-o", str(tmp_path)]
    done = run("convert", *arguments, env=ASCII)
    assert (done.returncode, done.stderr) == (0, "")
    found = artifact_from_gguf(tmp_path / "reward-q8_0.gguf").reward
    assert found is not None
    assert found.step_tag == " ки"
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    solve = ["solve", "--width", "4", "--json", "--reward", str(tmp_path / "reward-q8_0.gguf")]
    answers = [json.loads(run(*solve, QUESTION, env=e | cache).stdout) for e in (ASCII, {})]
    texts = [[c["steps"] for c in answer["candidates"]] for answer in answers]
    assert texts[0] == texts[1]
    assert any("ки" in step["text"] for step in texts[0][0])


def test_no_home() -> None:
    done = run("solve", "--method", "greedy", QUESTION, env={"HOME": None, "XDG_CACHE_HOME": None})
    assert done.returncode == 0, done.stderr
    assert "Answer: 28" in done.stdout


def test_a_home_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    cache = tmp_path / "file"
    cache.write_text("no folder", encoding="utf-8")
    environment = {"XDG_CACHE_HOME": str(cache), "TMPDIR": str(tmp_path)}
    done = run("solve", "--method", "greedy", QUESTION, env=environment)
    assert done.returncode == 0, done.stderr
    assert "Answer: 28" in done.stdout


@pytest.mark.skipif(not hasattr(os, "umask"), reason="no umask")
def test_files_have_the_users_permissions(tmp_path: Path) -> None:
    out, cache = tmp_path / "out", {"XDG_CACHE_HOME": str(tmp_path / "cache")}

    def strict() -> None:
        os.umask(0o027)

    for more in (["--quant", "q8_0"], ["--quant", "int8", "--format", "onnx"]):
        arguments = ["convert", "reference:thinker", *more, "-o", str(out)]
        assert run(*arguments, preexec_fn=strict).returncode == 0
    tree = ["solve", "--width", "2", "--tree", str(out / "search.json"), QUESTION]
    assert run(*tree, env=cache, preexec_fn=strict).returncode == 0
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in out.iterdir() if p.is_file()}
    assert len(modes) > 6
    assert set(modes.values()) == {0o640}, modes


@pytest.mark.skipif(not Path("/dev/shm").is_dir() or os.geteuid() != 0, reason="needs a tmpfs")
def test_a_full_disk_names_the_file_and_both_numbers(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=False
    )
    if mounted.returncode:
        pytest.skip("no tmpfs can be mounted")
    try:
        patch = "import convert.files as f; f.SPARE_BYTES = 0; f.need_space = lambda *_: None;"
        patch += "import convert.build as b; b.need_space = lambda *_: None;"
        patch += "from convert.cli import main; import sys; sys.exit(main(sys.argv[1:]))"
        for level in ("f16", "q4_k_m"):
            done = subprocess.run(
                [command("python"), "-c", patch, "--quant", level, "-o", str(disk / "out")],
                capture_output=True,
                encoding="utf-8",
                check=False,
            )
            assert done.returncode == 1
            (line,) = done.stderr.splitlines()
            assert f"-{level}.gguf: no space left on the disk: " in line or "-master.gguf" in line
            assert "MB were written" in line
            assert "MB are free" in line
            assert list((disk / "out").iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_nothing_is_imported_from_the_working_folder(
    tmp_path: Path, reference: Callable[[str, str], Path]
) -> None:
    """Files named as our modules in the working folder are passed over, by children too."""
    marker = tmp_path / "ran"
    for name in ("convert", "runtime", "methods", "profiles", "json", "numpy"):
        text = f"open({str(marker)!r}, 'a').close()\nraise SystemExit('hijacked')\n"
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    policy = str(reference("policy", "q8_0"))
    done = run("convert", "--quant", "q4_0", "-o", "out", cwd=tmp_path, env=cache)
    assert done.returncode == 0, done.stderr
    arguments = ["--policy", policy, "--methods", "greedy", "--limit", "1"]
    done = run("profile", "run", *arguments, cwd=tmp_path, env=cache)
    assert done.returncode == 0, done.stderr
    assert run("profile", "doctor", cwd=tmp_path, env=cache).returncode == 0
    assert not marker.exists()
