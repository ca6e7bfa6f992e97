"""What can run where: cards and their free memory, cores, threads."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from functools import cache

import psutil
from threadpoolctl import threadpool_limits

from convert.ggml import library
from runtime.options import Device

GPU = 1


@dataclass(frozen=True, slots=True)
class Card:
    """A CUDA card and its memory in bytes."""

    name: str
    free_bytes: int
    total_bytes: int


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


def llama_cards() -> list[Card]:
    """The cards that this build of llama.cpp can use; empty for a CPU build."""
    import llama_cpp

    if not llama_cpp.llama_supports_gpu_offload():
        return []
    registry, base = library("ggml"), library("ggml-base")
    registry.ggml_backend_dev_count.restype = ctypes.c_size_t
    registry.ggml_backend_dev_get.restype = ctypes.c_void_p
    registry.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
    size = ctypes.POINTER(ctypes.c_size_t)
    base.ggml_backend_dev_memory.argtypes = [ctypes.c_void_p, size, size]
    base.ggml_backend_dev_description.restype = ctypes.c_char_p
    base.ggml_backend_dev_description.argtypes = [ctypes.c_void_p]
    base.ggml_backend_dev_type.argtypes = [ctypes.c_void_p]
    cards = []
    for index in range(registry.ggml_backend_dev_count()):
        device = registry.ggml_backend_dev_get(index)
        if base.ggml_backend_dev_type(device) == GPU:
            free, total = ctypes.c_size_t(), ctypes.c_size_t()
            base.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
            name = base.ggml_backend_dev_description(device).decode()
            cards.append(Card(name, free.value, total.value))
    return cards


def describe_cpu(count: int, reason: str = "") -> str:
    """`CPU, 8 threads`, with the reason why not a card where there is one."""
    return f"CPU, {count} thread{'s' if count != 1 else ''}" + (f" ({reason})" if reason else "")
