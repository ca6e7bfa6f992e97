"""Ready-made libraries of llama.cpp for cards: the wheels of the llama-cpp-python project."""

from __future__ import annotations

VERSION = "0.3.36"  # of constraints.txt: the binding and its library belong together
INDEX = "https://abetlen.github.io/llama-cpp-python/whl"
CUDA = ((11, 8), (12, 1), (12, 2), (12, 3), (12, 4), (12, 5), (13, 0), (13, 2))
OTHERS = ("vulkan", "rocm72", "metal", "cpu")


def command(kind: str) -> str:
    """The command that installs one: `kind` is `vulkan`, or of a CUDA version `cu125`.

    Without `--only-binary` pip compiles the source where the index has no wheel, in silence.
    """
    return (
        "pip install --force-reinstall --no-deps --only-binary llama-cpp-python "
        f"llama-cpp-python=={VERSION} --extra-index-url {INDEX}/{kind}"
    )


def cuda_kinds() -> list[str]:
    """The kinds for CUDA, the oldest first."""
    return [_kind(version) for version in CUDA]


def kind_for(driver: tuple[int, int]) -> str:
    """The newest that a driver runs which knows CUDA up to a version; else the one for Vulkan."""
    fitting = [version for version in CUDA if version <= driver]
    return _kind(max(fitting)) if fitting else "vulkan"


def _kind(version: tuple[int, int]) -> str:
    return f"cu{version[0]}{version[1]}"
