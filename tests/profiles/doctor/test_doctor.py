"""What `profile doctor` says of libraries and cards, and the commands it gives."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from profiles.doctor import ready_made
from profiles.doctor.measure import _dead, _idle_cards
from runtime import nvidia_cards
from runtime.nvidia_cards import NvidiaCard

ROOT = Path(__file__).parents[3]
CARD = NvidiaCard("RTX 3060", 12 << 30, "550.1", (12, 4))


def test_a_ready_made_library_is_of_the_version_that_is_verified() -> None:
    pinned = re.search(r"^llama-cpp-python==(.*)$", (ROOT / "constraints.txt").read_text(), re.M)
    assert pinned is not None
    assert pinned[1] == ready_made.VERSION
    command = ready_made.command("vulkan")
    assert "--only-binary llama-cpp-python" in command
    assert f"llama-cpp-python=={pinned[1]} " in command
    for page in ("README.md", "docs/gpu.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert f"--only-binary llama-cpp-python llama-cpp-python=={pinned[1]}" in text, page
        assert ready_made.INDEX in text, page


@pytest.mark.parametrize(
    ("driver", "kind"),
    [((12, 4), "cu124"), ((12, 9), "cu125"), ((13, 1), "cu130"), ((14, 0), "cu132")],
)
def test_the_newest_that_the_driver_runs(driver: tuple[int, int], kind: str) -> None:
    assert ready_made.kind_for(driver) == kind
    assert kind in ready_made.cuda_kinds()


def test_an_old_driver_has_vulkan() -> None:
    assert ready_made.kind_for((11, 4)) == "vulkan"


def test_an_idle_card_is_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia_cards, "cards", lambda: [CARD])
    (fault,) = _idle_cards([])
    assert fault.what.startswith("RTX 3060 is there and llama.cpp")
    assert fault.remedy.startswith(ready_made.command("cu124"))
    assert _idle_cards([{"name": "RTX 3060"}]) == []


def test_missing_functions_are_named_rather_than_the_death_that_follows() -> None:
    (fault,) = _dead("exit code 1: AttributeError", ["llama_new"])
    assert "llama_new" in fault.what
    assert ready_made.VERSION in fault.remedy
    (fault,) = _dead("exit code 1: libcudart.so.12 is not there", [])
    assert "libcudart" in fault.what
    assert _dead("", []) == []
