"""What can run where: cards and their free memory, cores, threads."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from functools import cache
from typing import Any

import psutil
from threadpoolctl import threadpool_limits

from convert.ggml import library
from runtime.options import Device

GPU, INTEGRATED = 1, 2  # ggml's kinds of devices
FAMILIES = {"cuda": "CUDA", "vulkan": "Vulkan"}  # llama.cpp's backends by what --device calls them


@dataclass(frozen=True, slots=True)
class Card:
    """A card, its memory in bytes, and what llama.cpp runs it by: `CUDA`, `Vulkan`."""

    name: str
    free_bytes: int
    total_bytes: int
    family: str


@cache
def keep_numpy_single_threaded() -> None:
    """Limit numpy's BLAS to one thread, in the whole process.

    Its threads wait in a spin after every product, on the cores that the engine computes on: a talk
    head in numpy made thinking four times slower (docs/results.md).
    """
    threadpool_limits(1, user_api="blas")


def threads() -> int:
    """Physical cores that this process may use: more threads make every decode slower."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(psutil.cpu_count(logical=False) or 1, allowed or 1)


def checkpoint_level(device: Device) -> str:
    """The precision that torch runs a checkpoint in: bf16 on a card, f32 on the CPU."""
    if device == "cpu":
        return "f32"
    import torch

    return "bf16" if torch.cuda.is_available() else "f32"


def llama_cards(device: Device = "auto") -> list[Card]:
    """The cards that this build of llama.cpp can use, of one family where a device names it.

    Like llama.cpp it takes graphics of the processor only where there is no card of its own. What
    is free, the card's driver says through ggml, whoever made it.
    """
    import llama_cpp

    from convert import llama_log

    llama_log.capture()  # the cards are met here first, and told of
    if not llama_cpp.llama_supports_gpu_offload():
        return []
    found: dict[int, list[Card]] = {GPU: [], INTEGRATED: []}
    count = _ask("ggml_backend_dev_count", ctypes.c_size_t, of="ggml")()
    device_at = _ask("ggml_backend_dev_get", ctypes.c_void_p, ctypes.c_size_t, of="ggml")
    for index in range(count):
        handle = device_at(index)
        kind = _ask("ggml_backend_dev_type", ctypes.c_int, ctypes.c_void_p)(handle)
        if kind in found:
            found[kind].append(_card(handle))
    wanted = FAMILIES.get(device)
    cards = found[GPU] or found[INTEGRATED]
    return [card for card in cards if wanted in (None, card.family)]


def why_no_card(device: Device) -> str:
    """Why `llama_cards` found none."""
    if device in FAMILIES:
        return f"no {FAMILIES[device]} card, or llama.cpp was built without {FAMILIES[device]}"
    return "no card, or llama.cpp was built for the CPU alone"


def _card(handle: int) -> Card:
    size = ctypes.POINTER(ctypes.c_size_t)
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    _ask("ggml_backend_dev_memory", None, ctypes.c_void_p, size, size)(handle, free, total)
    name = _ask("ggml_backend_dev_description", ctypes.c_char_p, ctypes.c_void_p)(handle)
    backend = _ask("ggml_backend_dev_backend_reg", ctypes.c_void_p, ctypes.c_void_p)(handle)
    family = _ask("ggml_backend_reg_name", ctypes.c_char_p, ctypes.c_void_p)(backend)
    return Card(name.decode(), free.value, total.value, family.decode())


def _ask(name: str, result: Any, *arguments: Any, of: str = "ggml-base") -> Any:
    """A function of ggml with its types."""
    found = getattr(library(of), name)
    found.restype, found.argtypes = result, arguments
    return found


def describe_cpu(count: int, reason: str = "") -> str:
    """`CPU, 8 threads`, with the reason why not a card where there is one."""
    return f"CPU, {count} thread{'s' if count != 1 else ''}" + (f" ({reason})" if reason else "")
