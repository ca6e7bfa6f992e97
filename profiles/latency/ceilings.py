"""The roofline of the device, measured now: operations and bytes in a second at best."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

REPEATS = 5  # of a kernel at least
SECONDS = 0.5  # and so long: a neighbour's burst is shorter
SIZE = 2048  # of square matrices; four times that on a card
BYTES = 256 << 20  # moved at a time: far beyond any cache; four times that on a card


@dataclass(frozen=True, slots=True)
class Ceilings:
    """Roof and slope of a roofline: the best of several runs of one kernel each.

    None where the device cannot be measured.
    """

    flop_per_s: float | None
    bytes_per_s: float | None
    kernel: str  # for people: of what the ceilings are


def measure(*, on_cuda: bool, threads: int) -> Ceilings:
    """A float32 matrix product on the CPU, bfloat16 on a card; a copy or a sum of a large array.

    torch does both. Where it sees no card although a model runs on one, there is no ceiling.
    """
    import torch

    if on_cuda and not torch.cuda.is_available():
        return Ceilings(None, None, "none: torch sees no card")
    if not on_cuda:
        torch.set_num_threads(threads)
    device = torch.device("cuda" if on_cuda else "cpu")
    scale, dtype = (4, torch.bfloat16) if on_cuda else (1, torch.float32)
    size, width = SIZE * scale, BYTES * scale // 4
    left = torch.randn(size, size, device=device).to(dtype)
    product = _best_s(lambda: left @ left, on_cuda=on_cuda)
    source = torch.ones(width, device=device)
    target = torch.empty_like(source)
    copied = _best_s(lambda: target.copy_(source), on_cuda=on_cuda)
    summed = _best_s(source.sum, on_cuda=on_cuda)
    name = "bfloat16" if on_cuda else "float32"
    return Ceilings(
        flop_per_s=2 * size**3 / product,
        bytes_per_s=max(2 * source.nbytes / copied, source.nbytes / summed),
        kernel=f"{name} product of {size} x {size}; copy or sum of {source.nbytes >> 20} MiB",
    )


def best(first: Ceilings, second: Ceilings) -> Ceilings:
    """The higher of two measurements of one device."""
    return Ceilings(
        _higher(first.flop_per_s, second.flop_per_s),
        _higher(first.bytes_per_s, second.bytes_per_s),
        first.kernel,
    )


def unsteady(first: Ceilings, second: Ceilings) -> float:
    """By what share two measurements differ: on an idle machine a few percent."""
    pairs = ((first.flop_per_s, second.flop_per_s), (first.bytes_per_s, second.bytes_per_s))
    return max((1 - min(a, b) / max(a, b) for a, b in pairs if a and b), default=0.0)


def _higher(a: float | None, b: float | None) -> float | None:
    return max((x for x in (a, b) if x is not None), default=None)


def _best_s(kernel: Callable[[], object], *, on_cuda: bool) -> float:
    """Seconds of the fastest of some runs, after one that does not count."""
    import torch

    found: list[float] = []
    spent = 0.0
    while len(found) <= REPEATS or spent < SECONDS:
        started = time.perf_counter()
        kernel()
        if on_cuda:
            torch.cuda.synchronize()
        found.append(time.perf_counter() - started)
        spent += found[-1]
    return min(found[1:])
