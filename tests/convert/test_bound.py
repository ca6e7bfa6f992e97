"""The list of what is called is whole, and a library that lacks some of it is told."""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys
from pathlib import Path

import pytest

from convert.bound import BOUND, FEATURES, missing
from convert.ggml import library_path

ROOT = Path(__file__).parents[2]
TYPES = {"llama_batch", "llama_log_callback", "llama_model_kv_override"}  # of the binding


def test_this_library_has_all() -> None:
    assert missing() == []


def test_the_list_holds_every_function_that_the_sources_name() -> None:
    library = ctypes.CDLL(str(library_path("llama")))  # finds those of the others too
    named = set()
    for folder in ("convert", "runtime", "methods", "profiles"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.name != "bound.py":
                text = path.read_text(encoding="utf-8")
                named |= set(re.findall(r"\b(?:llama|ggml)_[a-z0-9_]+", text))
    called = {name for name in named if hasattr(library, name)} - TYPES
    listed = {name for names in BOUND.values() for name in names}
    assert called - listed == set()
    assert listed - called == {f"ggml_cpu_has_{feature}" for feature in FEATURES}


def test_a_library_that_lacks_them_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real libraries with one function each, made by a compiler."""
    for name, functions in BOUND.items():
        source = tmp_path / f"{name}.c"
        source.write_text("".join(f"void {f}(void) {{}}\n" for f in functions[1:]))
        command = ["cc", "-shared", "-fPIC", "-o", str(tmp_path / f"lib{name}.so"), str(source)]
        subprocess.run(command, check=True)
    monkeypatch.setenv("LLAMA_CPP_LIB_PATH", str(tmp_path))
    assert missing() == [functions[0] for functions in BOUND.values()]
    (tmp_path / "libggml-cpu.so").unlink()
    assert set(missing()) >= set(BOUND["ggml-cpu"])
    program = "from convert.bound import missing; print(*missing())"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert "llama_backend_init" in done.stdout
