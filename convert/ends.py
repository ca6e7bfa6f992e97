"""Which tokens end a text, by what stands in a checkpoint folder."""

from __future__ import annotations

from pathlib import Path

from convert.config_check import token_ids
from convert.files import read_json
from convert.tokenizer_files import SETTINGS, token_id
from convert.wrapped import decoder_config

STATED_IN = ("config.json", "generation_config.json")


def end_ids(folder: Path, vocab: int) -> list[int]:
    """Ids that end a text, by config.json, generation_config.json and the tokenizer.

    Raises:
        Refusal: for an id that is not in a vocabulary of this size.
    """
    found: set[int] = set()
    for name in STATED_IN:
        path = folder / name
        found.update(
            token_ids(
                path, "eos_token_id", decoder_config(read_json(path)).get("eos_token_id"), vocab
            )
        )
    own = _own(folder)
    return sorted(found if own is None or own >= vocab else {*found, own})


def _own(folder: Path) -> int | None:
    """The end-of-sequence token of the tokenizer, which older files write as a table."""
    stated = read_json(folder / SETTINGS).get("eos_token")
    text = stated.get("content") if isinstance(stated, dict) else stated
    return token_id(folder, text) if isinstance(text, str) else None
