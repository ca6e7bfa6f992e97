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


def test_seed_42_gives_the_papers_order(tmp_path: Path) -> None:
    """The first of its 128 questions, as its result files name them (methods.md 1.3)."""
    path = tmp_path / "gsm8k.jsonl"
    path.write_text("".join(f'{{"question": "{n}?", "answer": "#### 1"}}\n' for n in range(1319)))
    found = [problem.id for problem in read_problems(path, 16, shuffle=42)]
    expected = "30 754 429 1010 1284 953 751 954 705 993 1029 917 20 1057 138 127"
    assert found == expected.split()
