"""The folder of what can be made again: converted models, verdicts, locks."""

from __future__ import annotations

import os
from pathlib import Path

from convert.refusal import Refusal


def cache_folder(*names: str) -> Path:
    """A folder in the user's cache, made now; in the system's temporary folder without a home.

    Raises:
        Refusal: if neither can be written.
    """
    import tempfile

    from platformdirs import user_cache_path

    homeless = Path(tempfile.gettempdir()) / f"starbase-edge-{_user()}"
    for root in (user_cache_path("starbase-edge"), homeless):
        folder = root.joinpath(*names)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700 if root is homeless else 0o777)
        except OSError:
            continue
        if os.access(folder, os.W_OK) and _own(root):
            return folder
    raise Refusal(f"neither {user_cache_path('starbase-edge')} nor {homeless} can be written")


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0


def _own(folder: Path) -> bool:
    """Whether nobody else laid the folder there."""
    return not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
