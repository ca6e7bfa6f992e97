"""What a run ran on: hardware, system, versions. No path, no host name, no user."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

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


@dataclass(frozen=True, slots=True)
class GraphicsCard:
    """A graphics card."""

    name: str
    memory: str
    driver: str


@dataclass(frozen=True, slots=True)
class Environment:
    """The machine and the software, as the header of a report shows them."""

    date: str  # ISO 8601, UTC
    cpu: str
    cores: int | None
    threads: int | None
    usable_threads: int
    ram_bytes: int
    gpus: list[GraphicsCard]
    system: str
    python: str
    packages: dict[str, str]
    commit: str | None

    @property
    def kind(self) -> str:
        """What makes two machines equally fast: processor, usable threads, cards."""
        cards = Counter(card.name for card in self.gpus)
        parts = [f"{self.cpu}, {self.usable_threads} threads"]
        parts += [f"{count} x {name}" for name, count in cards.items()]
        return ", ".join(parts)


def environment() -> Environment:
    """This machine, now."""
    import psutil

    return Environment(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        cpu=cpu_name(),
        cores=psutil.cpu_count(logical=False),
        threads=psutil.cpu_count(),
        usable_threads=_usable_threads(),
        ram_bytes=psutil.virtual_memory().total,
        gpus=gpus(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        packages=packages(),
        commit=commit(),
    )


def cpu_name() -> str:
    """The processor's model name where the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return " ".join(line.split(":", 1)[1].split())
    return platform.processor() or platform.machine()


def gpus() -> list[GraphicsCard]:
    """Every card: NVIDIA's, else those that llama.cpp can use."""
    found = [(card.name, card.total_bytes, card.driver) for card in nvidia_cards.cards()]
    found = found or [(card.name, card.total_bytes, card.family) for card in llama_cards()]
    return [GraphicsCard(name, f"{total // MIB} MiB", driver) for name, total, driver in found]


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
