"""What the driver tells, with a driver of ours in its place."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from convert.units import GIB
from profiles.environment import GraphicsCard, gpus
from profiles.run.memory import VideoMemory
from runtime import nvidia_cards
from runtime.devices import Card
from runtime.nvidia_cards import NvidiaCard


class NVMLError(Exception):
    """As the library's own."""


class Driver:
    """Two cards; processes by card as (pid, bytes)."""

    def __init__(self) -> None:
        self.used = [3 * GIB, 1 * GIB]
        self.running: list[list[tuple[int, int | None]]] = [[(1, GIB)], []]
        self.open = self.asked = 0
        self.broken = self.missing = False

    def module(self) -> Any:
        return SimpleNamespace(
            NVMLError=NVMLError,
            nvmlInit=self._init,
            nvmlShutdown=self._shutdown,
            nvmlDeviceGetCount=lambda: 2,
            nvmlDeviceGetHandleByIndex=lambda i: i,
            nvmlDeviceGetName=lambda i: f"Card {i}",
            nvmlSystemGetDriverVersion=lambda: "550.1",
            nvmlSystemGetCudaDriverVersion=lambda: 12040,
            nvmlDeviceGetMemoryInfo=self._memory,
            nvmlDeviceGetComputeRunningProcesses=lambda i: [
                SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in self.running[i]
            ],
        )

    def _init(self) -> None:
        self.asked += 1
        if self.missing:
            raise NVMLError
        self.open += 1

    def _shutdown(self) -> None:
        self.open -= 1

    def _memory(self, i: int) -> Any:
        if self.broken:
            raise NVMLError
        return SimpleNamespace(total=24 * GIB, used=self.used[i])


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    made = Driver()
    monkeypatch.setitem(sys.modules, "pynvml", made.module())
    monkeypatch.setattr("profiles.run.memory.EVERY_S", 0.0)
    return made


def test_cards_and_their_memory(driver: Driver) -> None:
    assert nvidia_cards.cards()[1] == NvidiaCard("Card 1", 24 * GIB, "550.1", (12, 4))
    assert nvidia_cards.used_bytes() == 4 * GIB
    assert gpus()[0] == GraphicsCard("Card 0", "24576 MiB", "550.1")
    assert driver.open == 0


def test_a_process_that_is_listed_is_charged_for_its_own(driver: Driver) -> None:
    video = VideoMemory("auto")
    driver.running = [[(1, GIB), (os.getpid(), 2 * GIB)], [(os.getpid(), GIB)]]
    assert video.look() == 3 * GIB
    driver.running = [[(os.getpid(), GIB)], [(os.getpid(), None)]]
    assert video.look() == 3 * GIB  # the peak stays


def test_one_that_is_not_listed_is_charged_for_what_was_added(driver: Driver) -> None:
    video = VideoMemory("auto")
    driver.used = [5 * GIB, 1 * GIB]
    assert nvidia_cards.own_bytes() is None
    assert video.look() == 2 * GIB


@pytest.mark.parametrize("fault", ["missing", "broken"])
def test_a_driver_that_cannot_be_asked_is_no_card(driver: Driver, fault: str) -> None:
    setattr(driver, fault, True)
    assert nvidia_cards.cards() == []
    assert nvidia_cards.used_bytes() is None
    assert VideoMemory("auto").look() is None
    assert driver.open == 0


def test_other_cards_are_asked_through_llama(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver.missing = True
    card = Card("A Radeon", 12 * GIB, 16 * GIB, "Vulkan")
    monkeypatch.setattr("profiles.run.memory.llama_cards", lambda: [card])
    monkeypatch.setattr("profiles.environment.llama_cards", lambda: [card])
    assert gpus() == [GraphicsCard("A Radeon", "16384 MiB", "Vulkan")]
    assert VideoMemory("auto").look() is None  # a torch engine does not run there
    video = VideoMemory("auto", gguf=True)
    card = replace(card, free_bytes=5 * GIB)
    assert video.look() == 7 * GIB
    card = replace(card, free_bytes=16 * GIB)  # a driver that does not tell what is free
    assert VideoMemory("auto", gguf=True).look() is None


def test_the_cpu_alone_asks_nobody(driver: Driver) -> None:
    assert VideoMemory("cpu").look() is None
    assert driver.asked == 0
