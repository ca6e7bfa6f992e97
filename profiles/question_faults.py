"""Questions that cannot be asked: said on stderr before the work begins."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from convert.printing import say

SHOWN = 3


def warn_faults(faults: Sequence[str], what: str) -> None:
    """Name the first faults of a file of questions, and what becomes of such questions."""
    if not faults:
        return
    more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    named = "; ".join(faults[:SHOWN]) + more
    say(f"profile: warning: {len(faults)} questions {what}: {named}", sys.stderr)
