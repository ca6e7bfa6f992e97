"""Pages in a real headless browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
SCHEMES = {"dark": 0, "light": 1}


def browse(page: Path, *arguments: str) -> str:
    """What the browser prints for a page."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no Chromium here")
    profile = f"--user-data-dir={page.parent / 'profile'}"
    command = [browser, *FLAGS, profile, *arguments, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    return done.stdout


def screenshot(page: Path, scheme: str, width: int = 1300, height: int = 1600) -> np.ndarray:
    """A page's pixels, (height, width, 3), 0 to 1."""
    shot = page.with_name(f"{scheme}.png")
    browse(
        page,
        f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
        f"--window-size={width},{height}",
        f"--screenshot={shot}",
    )
    return np.asarray(imread(shot))[:, :, :3]


def probe(page: Path, expression: str, width: int = 1300) -> str:
    """What a JavaScript expression gives on a page. The page itself needs no script."""
    copy = page.with_name("probe.html")
    script = f"<script>document.title = 'probe ' + ({expression})</script>"
    copy.write_text(page.read_text(encoding="utf-8") + script)
    shown = browse(copy, f"--window-size={width},900", "--dump-dom")
    found = re.search(r"<title>probe ([^<]*)</title>", shown)
    assert found
    return found[1]
