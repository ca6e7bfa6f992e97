"""What all commands share: one-line errors, signals and exit codes."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from convert.printing import say, speak_utf8
from convert.refusal import Refusal
from convert.supervise import FORWARDED, fork, watch

OK, FAILED = 0, 1


class Stopped(KeyboardInterrupt):
    """A signal asks this process to end. What cleans up after Ctrl-C cleans up after it too."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def run(name: str, body: Callable[[], None], *, supervised: bool = False) -> int:
    """Run a command's body; returns its exit code.

    0 on success, 1 for an error the user can act on (one line on stderr), 130, 143 or 129 for
    Ctrl-C, SIGTERM and SIGHUP. Bad usage is argparse's: exit code 2. Anything else is a bug, and
    keeps its traceback. With `supervised` the body runs in a forked process, and a death in native
    code is one line too.
    """
    speak_utf8()
    with stoppable(for_good=supervised):
        try:
            if supervised and (pid := fork()):
                return watch(pid, name)
            body()
        except KeyboardInterrupt as stop:
            number = getattr(stop, "number", signal.SIGINT)
            said = "interrupted" if number == signal.SIGINT else signal.Signals(number).name
            say(f"{name}: {said}", sys.stderr)
            return 128 + number
        except BrokenPipeError:
            sys.stderr.close()  # the reader has what it wanted
            return OK
        except (Refusal, OSError, MemoryError) as error:
            say(f"{name}: error: {sentence(error)}", sys.stderr)
            return FAILED
    return OK


def sentence(error: BaseException) -> str:
    """An error as one line: the file and what the system says of it, or the error's own words."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}"  # without the errno
    if isinstance(error, MemoryError):
        return "out of memory; choose a lower level, --context or width"
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def stoppable(*, for_good: bool = False) -> Iterator[None]:
    """Raise `Stopped` on the first of SIGINT, SIGTERM and SIGHUP; later ones are passed over.

    Afterwards signals do what they did before or, with `for_good`, nothing: the process ends.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in FORWARDED if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}

    def stop(number: int, _frame: Any) -> None:
        for each in numbers:
            signal.signal(each, _pass_over)
        raise Stopped(number)

    for number in numbers:
        if before[number] != signal.SIG_IGN:  # nohup, or a shell's background job
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if for_good else handler)  # to the very end


def _pass_over(_number: int, _frame: Any) -> None:
    """Not SIG_IGN: Python complains of a signal that it has seen and finds ignored."""


@contextmanager
def deferred() -> Iterator[Callable[[], bool]]:
    """Let signals wait for the end of a block; yields whether one does.

    Python handles a signal inside the C library's callback, where an exception would be lost.
    """
    seen: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    numbers = [getattr(signal, name) for name in FORWARDED if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        if before[number] != signal.SIG_IGN:
            signal.signal(number, lambda got, _frame: seen.append(got))
    try:
        yield lambda: bool(seen)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if seen:
            signal.raise_signal(seen[0])
