"""The libraries of llama.cpp that llama-cpp-python uses."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path


def library(name: str) -> ctypes.CDLL:
    """`ggml` or `ggml-base`, the very copies that llama_cpp has loaded.

    Raises:
        FileNotFoundError: if the package lacks it.
    """
    import llama_cpp  # noqa: F401  it loads them in their order

    return ctypes.CDLL(str(library_path(name)))


def library_path(name: str) -> Path:
    """The file of a library; nothing is loaded.

    Raises:
        FileNotFoundError: if the package lacks it.
    """
    folder = library_folder()
    for file in (f"lib{name}.so", f"{name}.dll", f"lib{name}.dylib"):
        if (folder / file).exists():
            return folder / file
    raise FileNotFoundError(f"{folder} holds no {name} library of llama.cpp")


def library_folder() -> Path:
    """Where they lie; nothing is loaded."""
    if own := os.environ.get("LLAMA_CPP_LIB_PATH"):
        return Path(own)
    found = find_spec("llama_cpp")
    if found is None or found.origin is None:
        raise FileNotFoundError("llama-cpp-python is not installed; see the README, Install")
    return Path(found.origin).parent / "lib"


@cache
def type_name(kind: int) -> str:
    """A weight type in llama.cpp's words: `q4_K`."""
    name = library("ggml-base").ggml_type_name
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.c_int]
    return (name(kind) or b"?").decode()
