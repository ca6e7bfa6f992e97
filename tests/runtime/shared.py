"""A view of a shared engine, to be used from a test as if it were an engine of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from runtime.engine import Engine, Sampling
from runtime.scheduler import Scheduler


@contextmanager
def shared(engine: Engine, company: int = 0) -> Iterator[Engine]:
    """What one job of a scheduler sees, beside others that extend branches all the time."""
    views: queue.Queue[Engine] = queue.Queue()
    over = threading.Event()

    def lend(view: Engine) -> None:
        views.put(view)
        over.wait()

    def others(view: Engine) -> None:
        while not over.is_set():
            with view.open(view.tokenizer.encode("Mia bakes 6 trays. ")) as root:
                view.extend(view.fork(root, 2), Sampling(max_tokens=20, seed=1))

    with Scheduler(engine) as scheduler:
        for work in [lend, *[others] * company]:
            scheduler.submit(work)
        thread = threading.Thread(target=lambda: list(scheduler.run()))
        thread.start()
        try:
            yield views.get()
        finally:
            over.set()
            thread.join()
