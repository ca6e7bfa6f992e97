"""Which tokens end a text."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from convert.ends import end_ids
from tests.conftest import REFERENCE


def test_ends_are_those_of_both_configurations(tmp_path: Path) -> None:
    assert end_ids(tmp_path, 10) == []
    (tmp_path / "config.json").write_text('{"eos_token_id": 2}')
    assert end_ids(tmp_path, 10) == [2]
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [7, 2]}')
    assert end_ids(tmp_path, 10) == [2, 7]
    with pytest.raises(ValueError, match=r"generation_config.json gives eos_token_id 7"):
        end_ids(tmp_path, 7)


def test_the_tokenizer_adds_its_own(tmp_path: Path) -> None:
    shutil.copy(REFERENCE / "policy" / "tokenizer.model", tmp_path)
    (tmp_path / "config.json").write_text('{"eos_token_id": 7}')
    for stated in ("</s>", {"content": "</s>", "lstrip": False}):
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": stated}))
        assert end_ids(tmp_path, 1024) == [2, 7]
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "<|none|>"}')
    assert end_ids(tmp_path, 1024) == [7]


def test_minus_one_is_no_token(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"eos_token_id": -1}')
    assert end_ids(tmp_path, 10) == []
