"""What a run ran on: hardware, system, versions. No path, no host name, no user."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from convert.units import MIB
from runtime import nvidia_cards
from runtime.devices import llama_cards

PACKAGES = (
    "starbase-edge",
    "llama-cpp-python",
    "torch",
    "transformers",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnx",
    "gguf",
    "numpy",
    "scipy",
    "tokenizers",
)


def environment() -> dict[str, Any]:
    """The machine and the software, as the header of a report shows them."""
    import psutil

    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": cpu_name(),
        "cores": psutil.cpu_count(logical=False),
        "threads": psutil.cpu_count(),
        "usable_threads": _usable_threads(),
        "ram_bytes": psutil.virtual_memory().total,
        "gpus": gpus(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": packages(),
        "commit": commit(),
    }


def cpu_name() -> str:
    """The processor's model name where the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return " ".join(line.split(":", 1)[1].split())
    return platform.processor() or platform.machine()


def gpus() -> list[dict[str, str]]:
    """Name, memory and driver of every card: NVIDIA's, else those that llama.cpp can use."""
    found = [(card.name, card.total_bytes, card.driver) for card in nvidia_cards.cards()]
    found = found or [(card.name, card.total_bytes, card.family) for card in llama_cards()]
    return [
        {"name": name, "memory": f"{total // MIB} MiB", "driver": driver}
        for name, total, driver in found
    ]


def packages() -> dict[str, str]:
    """Installed versions of what can change a figure."""
    found: dict[str, str] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """The commit of the source tree, `-dirty` where files differ; None outside a checkout."""
    found = _git("rev-parse", "--short=12", "HEAD")
    if not found:
        return None
    return found + ("-dirty" if _git("status", "--porcelain", "--untracked-files=no") else "")


def _usable_threads() -> int:
    """Threads that this process may use, which a container can make fewer."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _git(*arguments: str) -> str:
    """What git says of the tree that this file is in; empty where it says nothing."""
    tool = shutil.which("git")
    if tool is None:
        return ""
    command = [tool, "-C", str(Path(__file__).resolve().parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
