"""What all commands share: one-line errors and exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable

OK, FAILED, INTERRUPTED = 0, 1, 130


def run(name: str, body: Callable[[], None]) -> int:
    """Run a command's body; returns its exit code.

    0 on success, 1 for an error the user can act on (one line on stderr), 130 for Ctrl-C. Bad usage
    is argparse's: exit code 2. Anything else is a bug, and keeps its traceback.
    """
    try:
        body()
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader has what it wanted
        return OK
    except (ValueError, OSError, RuntimeError, ImportError, MemoryError) as error:
        said = str(error)
        if isinstance(error, OSError) and error.filename and error.strerror:
            said = f"{error.filename}: {error.strerror.lower()}"  # without the errno
        text = " ".join(said.split()) or type(error).__name__
        print(f"{name}: error: {text}", file=sys.stderr)
        return FAILED
    return OK
