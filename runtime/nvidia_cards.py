"""NVIDIA's cards as their driver tells of them; nothing where it cannot be asked."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NvidiaCard:
    """One card."""

    name: str
    total_bytes: int
    driver: str
    cuda: tuple[int, int]  # the newest that the driver runs


def cards() -> list[NvidiaCard]:
    """All cards, in the driver's order."""

    def ask(nvml: Any, handles: list[Any]) -> list[NvidiaCard]:
        driver = str(nvml.nvmlSystemGetDriverVersion())
        number = int(nvml.nvmlSystemGetCudaDriverVersion())  # 12040 for 12.4
        cuda = number // 1000, number % 1000 // 10
        names = [
            (nvml.nvmlDeviceGetName(h), nvml.nvmlDeviceGetMemoryInfo(h).total) for h in handles
        ]
        return [NvidiaCard(name, total, driver, cuda) for name, total in names]

    return _asked(ask, [])


def used_bytes() -> int | None:
    """Memory in use on all cards, by whomever; None without a card."""

    def ask(nvml: Any, handles: list[Any]) -> int | None:
        used = [int(nvml.nvmlDeviceGetMemoryInfo(handle).used) for handle in handles]
        return sum(used) if used else None

    return _asked(ask, None)


def own_bytes() -> int | None:
    """Memory that this process holds; None where the driver does not list it, as in containers."""

    def ask(nvml: Any, handles: list[Any]) -> int | None:
        running = [p for h in handles for p in nvml.nvmlDeviceGetComputeRunningProcesses(h)]
        mine = [p.usedGpuMemory for p in running if p.pid == os.getpid()]
        known = [int(size) for size in mine if size is not None]
        return sum(known) if known else None

    return _asked(ask, None)


def _asked(ask: Callable[[Any, list[Any]], T], otherwise: T) -> T:
    """What the driver answers, given its library and a handle of every card."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return otherwise
    try:
        count = pynvml.nvmlDeviceGetCount()
        return ask(pynvml, [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(count)])
    except pynvml.NVMLError:
        return otherwise
    finally:
        pynvml.nvmlShutdown()
