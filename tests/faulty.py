"""Environments in which llama.cpp dies in native code, as a faulty build does on some CPUs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOOK = '''
import importlib.util, os, signal, sys

FATAL = {fatal}  # of use_extra_bufts: what makes a decode die

class Spoil:
    """Patches the binding as it is imported."""

    def find_spec(self, name, path=None, target=None):
        if name != "llama_cpp.llama_cpp":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module
        def spoiled(module):
            execute(module)
            spoil(module)
        spec.loader.exec_module = spoiled
        return spec

def spoil(module):
    load, decode = module.llama_model_load_from_file, module.llama_decode
    seen = []
    def spoiled_load(path, parameters):
        seen.append(bool(parameters.use_extra_bufts))
        return load(path, parameters)
    def spoiled_decode(context, batch):
        if seen[-1] in FATAL and {when}:
            signal.raise_signal(signal.SIGSEGV)
        return decode(context, batch)
    module.llama_model_load_from_file = spoiled_load
    module.llama_decode = spoiled_decode

sys.meta_path.insert(0, Spoil())
'''


def environment(
    folder: Path, fatal: tuple[bool, ...] = (True,), when: str = "True"
) -> dict[str, str]:
    """With a library whose decode dies where `use_extra_bufts` is one of `fatal`, and no cache."""
    (folder / "hook").mkdir(exist_ok=True)
    text = HOOK.replace("{fatal}", repr(fatal)).replace("{when}", when)
    (folder / "hook" / "sitecustomize.py").write_text(text, encoding="utf-8")
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(folder / "hook"), str(ROOT)]),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }


def command(name: str) -> str:
    """A console script of ours."""
    return str(Path(sys.executable).with_name(name))
