"""Long work is heard of: a bar on a terminal, a line a minute elsewhere, nothing where unwanted."""

from __future__ import annotations

import io

import pytest

from convert.progress import Progress


class Clock:
    """Goes on when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        monkeypatch.setattr("convert.progress.time.monotonic", lambda: self.now_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_off_a_terminal_a_line_a_minute(clock: Clock) -> None:
    said = io.StringIO()
    with Progress(said).bar("answers", 400) as bar:
        for _ in range(25):
            clock.now_s += 9
            bar.step("problem")
    assert said.getvalue().splitlines() == [
        "answers  7/400", "answers  14/400", "answers  21/400",
    ]  # fmt: skip


def test_short_work_says_nothing(clock: Clock) -> None:
    said = io.StringIO()
    with Progress(said).bar("answers", 3) as bar:
        clock.now_s += 59
        bar.to(3, 3)
    assert not said.getvalue()


def test_a_terminal_gets_a_bar() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    with Progress(shown).bar("answers", 4) as bar:
        bar.to(2, 4)
    assert "answers          0% |" in shown.getvalue()
    assert "\n" not in shown.getvalue()
