"""Which tokens end a text."""

from __future__ import annotations

from pathlib import Path

import pytest

from convert.ends import end_ids


def test_ends_are_those_of_both_configurations(tmp_path: Path) -> None:
    assert end_ids(tmp_path, 10) == []
    (tmp_path / "config.json").write_text('{"eos_token_id": 2}')
    assert end_ids(tmp_path, 10) == [2]
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [7, 2]}')
    assert end_ids(tmp_path, 10) == [2, 7]
    with pytest.raises(ValueError, match=r"generation_config.json gives eos_token_id 7"):
        end_ids(tmp_path, 7)
