"""What a report tells of how it was made."""

from __future__ import annotations

import pytest

from profiles.documents import command_line, public


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        ("/home/me/r.gguf", "r.gguf"),
        ("/r.gguf", "r.gguf"),
        ("self*/home/me/a*b/r.gguf", "self*r.gguf"),
        ("--reward=/home/me/r.gguf", "--reward=r.gguf"),
        ("models/r.gguf", "models/r.gguf"),
        ("self*reference:reward", "self*reference:reward"),
        ("6 / 2 = 3/1", "6 / 2 = 3/1"),
    ],
)
def test_no_folder_of_this_machine_is_shown(argument: str, shown: str) -> None:
    assert public(argument) == shown


def test_a_command_as_it_was_given() -> None:
    assert command_line(["run", "--reward", "self*/home/me/r.gguf"]) == (
        "profile run --reward 'self*r.gguf'"
    )
