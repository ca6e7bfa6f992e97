from pathlib import Path

import pytest

from methods.problem import read_problems


def test_reads_gsm8k_format(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(
        '{"question": "How many?", "answer": "1 + 1 = 2\\n#### 2"}\n\n'
        '{"question": "And?", "answer": "#### 3"}\n'
    )
    problems = read_problems(path)
    assert [(p.question, p.gold) for p in problems] == [("How many?", "2"), ("And?", "3")]
    assert len(read_problems(path, limit=1)) == 1


@pytest.mark.parametrize("line", ["{", '{"question": "x"}', '{"question": "x", "answer": "none"}'])
def test_names_the_malformed_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"question": "ok", "answer": "#### 1"}\n' + line + "\n")
    with pytest.raises(ValueError, match="line 2"):
        read_problems(path)


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text("\n")
    with pytest.raises(ValueError, match="no problems"):
        read_problems(path)
