"""The ggml libraries that came with llama-cpp-python."""

from __future__ import annotations

import ctypes
from pathlib import Path


def library(name: str) -> ctypes.CDLL:
    """`ggml` or `ggml-base`, the very copies that llama_cpp has loaded.

    Raises:
        FileNotFoundError: if the package lacks it.
    """
    import llama_cpp

    folder = Path(llama_cpp.__file__).parent / "lib"
    for file in (f"lib{name}.so", f"{name}.dll", f"lib{name}.dylib"):
        if (folder / file).exists():
            return ctypes.CDLL(str(folder / file))
    raise FileNotFoundError(f"{folder} holds no {name} library of llama.cpp")
