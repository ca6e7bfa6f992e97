"""A model in several GGUF files, as llama-gguf-split writes and llama.cpp opens them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from convert import bounds
from convert.refusal import Refusal

MOST_PARTS = 99999  # five digits in a name
PART = re.compile(r"(.+)-(\d{5})-of-(\d{5})")


def part_paths(path: Path, values: dict[str, Any]) -> list[Path]:
    """The files of a model whose first one is `path`, by what its header says; often it alone.

    Raises:
        FileNotFoundError: if one of them is missing; names it.
        Refusal: if it is not the first one, or is named so that llama.cpp finds no other.
    """
    count = bounds.integer(path, "split.count", values.get("split.count", 1), (0, MOST_PARTS))
    if count <= 1:
        return [path]
    number = bounds.integer(path, "split.no", values.get("split.no", 0), (0, count - 1))
    name = PART.fullmatch(path.stem)
    if name is None or (int(name[2]), int(name[3])) != (number + 1, count):
        raise Refusal(
            f"{path} is part {number + 1} of a model in {count} files; name it as it was: "
            f"NAME-{number + 1:05d}-of-{count:05d}.gguf"
        )
    paths = [path.with_name(f"{name[1]}-{n + 1:05d}-of-{count:05d}.gguf") for n in range(count)]
    if number:
        raise Refusal(
            f"{path} is part {number + 1} of a model in {count} files; open the first one: "
            f"{paths[0].name}"
        )
    if missing := [each.name for each in paths if not each.exists()]:
        raise FileNotFoundError(f"{path} is one of {count} files; {', '.join(missing)} is missing")
    return paths


def whole_name(path: Path) -> str:
    """The name of a model in one file or several, without number and suffix."""
    name = PART.fullmatch(path.stem)
    return name[1] if name else path.stem
