"""Which tokens end a text, by what stands in a checkpoint folder."""

from __future__ import annotations

from pathlib import Path

from convert.config_check import token_ids
from convert.files import read_json

STATED_IN = ("config.json", "generation_config.json")


def end_ids(folder: Path, vocab: int) -> list[int]:
    """Ids that end a text, by config.json and generation_config.json; a tokenizer may add one.

    Raises:
        Refusal: for an id that is not in a vocabulary of this size.
    """
    found: set[int] = set()
    for name in STATED_IN:
        path = folder / name
        found.update(token_ids(path, "eos_token_id", read_json(path).get("eos_token_id"), vocab))
    return sorted(found)
