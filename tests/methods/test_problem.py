import json
import os
from pathlib import Path

import pytest

from convert.refusal import Refusal
from methods.problem import read_problems

GOOD = b'{"question": "How many?", "answer": "1 + 1 = 2\\n#### 2"}\n'


def test_reads_gsm8k_format(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(GOOD + b"\n" + GOOD.replace(b"#### 2", b"#### 3"))
    problems = read_problems(path)
    assert [(p.id, p.question, p.gold) for p in problems] == [
        ("0", "How many?", "2"),
        ("2", "How many?", "3"),
    ]
    assert len(read_problems(path, limit=1)) == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "line 2: Expecting property name"),
        (b"null", "line 2: not a table but missing or null"),
        (b"7", "line 2: not a table but a number"),
        (b"[1]", "line 2: not a table but a list"),
        (b'{"question": "x"}', "line 2: 'answer' is no text"),
        (b'{"question": 3, "answer": "#### 1"}', "line 2: 'question' is no text but a number"),
        (b'{"question": null, "answer": "#### 1"}', "line 2: 'question' is no text"),
        (b'{"question": "x", "answer": "none"}', "line 2: no '#### N'"),
        (b'{"question": " ", "answer": "#### 1"}', "line 2: the question is empty"),
        (b'{"question": "x \\ud800", "answer": "#### 1"}', "line 2: not UTF-8 text: surrogates"),
        (b'{"question": "x \xff", "answer": "#### 1"}', "line 2: not UTF-8 text: invalid start"),
        (b"[" * 200_000, "line 2: "),
        (b"1" * 5000, "line 2: "),
    ],
)
def test_a_bad_line_is_the_fault_of_its_question_alone(
    tmp_path: Path, line: bytes, said: str
) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(GOOD + line + b"\n" + GOOD)
    first, second, third = read_problems(path)
    assert (first.fault, third.fault) == (None, None)
    assert second.fault is not None
    assert second.fault.startswith(said)
    assert [first.id, second.id, third.id] == ["0", "1", "2"]
    json.dumps(second.question).encode()


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\n", "holds no problems; expected"), (b"3\n4\n", "holds no problems: line 1: not a table")],
)
def test_a_file_without_a_problem_is_an_error(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(content)
    with pytest.raises(Refusal, match=said):
        read_problems(path)


def test_what_has_no_end_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(Refusal, match="give a file"):
            read_problems(path)


def test_seed_42_gives_the_papers_order(tmp_path: Path) -> None:
    """The first of its 128 questions, as its result files name them (methods.md 1.3)."""
    path = tmp_path / "gsm8k.jsonl"
    path.write_text("".join(f'{{"question": "{n}?", "answer": "#### 1"}}\n' for n in range(1319)))
    found = [problem.id for problem in read_problems(path, 16, shuffle=42)]
    expected = "30 754 429 1010 1284 953 751 954 705 993 1029 917 20 1057 138 127"
    assert found == expected.split()


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("#### $7", "7"),
        ("#### −1", "-1"),
        ("#### 1,234", "1234"),
        ("#### 3/4", "0.75"),
        ("#### .5", "0.5"),
        ("a #### 3\n#### 7 dollars", "7"),
        ("18", "18"),
        (18, "18"),
        (0.5, "0.5"),
    ],
)
def test_numbers_as_gold(tmp_path: Path, answer: object, gold: str) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps({"question": "q", "answer": answer}), encoding="utf-8")
    (problem,) = read_problems(path)
    assert (problem.fault, problem.task, problem.gold) == (None, "gsm8k", gold)


OPTIONS = "q\nA. w\nB. x\nC. y\nD. z"


@pytest.mark.parametrize(
    ("record", "task", "question", "gold"),
    [
        ({"problem": "q", "solution": "", "answer": r"\frac{3}{4}"}, "math", "q", r"\frac{3}{4}"),
        ({"problem": "q", "solution": r"so \boxed{\sqrt{2}}."}, "math", "q", r"\sqrt{2}"),
        ({"question": "q", "choices": list("wxyz"), "answer": 2}, "choice", OPTIONS, "C"),
        (
            {
                "question": "q",
                "choices": {"text": list("wxyz"), "label": list("1234")},
                "answerKey": "2",
            },
            "choice",
            OPTIONS,
            "B",
        ),
        ({"question": "q", "options": ["A)w", "B)x", "C)y", "D)z"], "correct": "D"}, "choice",
         OPTIONS, "D"),
        ({"question": "q", "options": list("wxyz"), "answer": "w"}, "choice", OPTIONS, "A"),
        ({"question": "q", "answer": "Paris"}, "exact", "q", "Paris"),
    ],
)  # fmt: skip
def test_the_fields_tell_the_task(
    tmp_path: Path, record: dict[str, object], task: str, question: str, gold: str
) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps(record), encoding="utf-8")
    (problem,) = read_problems(path)
    assert (problem.fault, problem.task) == (None, task)
    assert (problem.question, problem.gold) == (question, gold)
    assert problem.accepts(gold)
    assert not problem.accepts(None)
    assert not problem.accepts("E")


def test_a_task_that_is_asked_for_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"question": "q", "answer": "Paris"}\n{"question": "q", "answer": "7"}')
    first, second = read_problems(path, task="gsm8k")
    assert first.fault == "line 1: no '#### N' in the answer"
    assert second.gold == "7"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_with_a_mark_are_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes('{"question": "é?", "answer": "#### −1"}\r\n'.encode(encoding))
    (problem,) = read_problems(path)
    assert (problem.question, problem.gold) == ("é?", "-1")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32"])
def test_other_encodings_are_named(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes('{"question": "q", "answer": "#### 1"}\n'.encode(encoding))
    with pytest.raises(Refusal, match="save it as UTF-8"):
        read_problems(path)
