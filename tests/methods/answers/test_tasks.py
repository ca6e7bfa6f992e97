import time
from dataclasses import replace

import pytest

from methods import show
from methods.answers import latex
from methods.answers.reader import NUMBERS, Reader
from methods.answers.tasks import TaskName
from methods.candidate import Answer, Candidate
from runtime.engine import Branch, Step, Usage

MATH = Reader("math")

FORMULAS = {
    r"so \boxed{\frac{3}{4}}.": r"\frac{3}{4}",
    r"The final answer is $\frac{3}{4}$. I hope it is correct.": r"\frac{3}{4}",
    "The answer is\n\\[ x^2 + 1 \\]": "x^2 + 1",
    "The answer is: p - q.": "p - q",
    r"Answer: \text{Evelyn}": r"\text{Evelyn}",
    r"**Answer:** \((3, \frac{\pi}{2})\)": r"(3, \frac{\pi}{2})",
    r"\boxed{\text{(C)}}": r"\text{(C)}",
    "we get $x = 2$ and then $y = 3$": "y = 3",
    "it makes 12 in all": "12",
    r"\(\text{The answer is: } 5 - 5i\)": "5 - 5i",  # marked inside a formula
    r"\[ \text{The answer is: }\frac{1}{2} \] as was asked": r"\frac{1}{2}",
    r"The answer is: \{1, 2\}": r"\{1, 2\}",
}


@pytest.mark.parametrize(("text", "answer"), FORMULAS.items())
def test_formulas_are_read(text: str, answer: str) -> None:
    assert MATH.read(text).answer == answer


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"\frac{3}{4}", "0.75"),
        (r"\dfrac34", r"\frac{3}{4}"),
        (r"-\frac12", "-0.5"),
        (r"\left( 3, \frac{\pi}{2} \right)", r"(3, \pi/2)"),
        (r"3\sqrt{13}", r"\sqrt{117}"),
        (r"10\%", "10"),
        ("x = 5", "5"),
        ("5", "x = 5"),
        (r"x \in [-2,7]", "[-2,7]"),
        ("2k+2", "2(k+1)"),
        (r"18 \text{ dollars}", "18"),
        (r"\$18", "18"),
        (r"11,\! 111", "11111"),
        (r"90^\circ", "90"),
        (r"\text{Evelyn}", "Evelyn"),
        (r"\text{(C)}", "C"),
    ],
)
def test_formulas_of_one_value_are_one_answer(one: str, other: str) -> None:
    assert MATH.same(one, other)
    assert MATH.same(other, one)


@pytest.mark.parametrize(
    ("one", "other"), [("6", "7"), ("x^2+1", "x^2-1"), (r"\frac{", "3"), ("east", "west")]
)
def test_formulas_of_other_values_are_not(one: str, other: str) -> None:
    assert not MATH.same(one, other)


def test_a_formula_without_an_end_is_no_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latex, "CPU_S", 1.0)
    latex._child.cache_clear()
    started = time.perf_counter()
    assert not MATH.same("9^{9^{9^{9}}}", "3")
    assert MATH.same(r"\sqrt{4}", "2")  # by the next child
    assert time.perf_counter() - started < 30
    latex._child.cache_clear()


def test_votes_go_to_values() -> None:
    given = ["0.75", r"\frac{3}{4}", "2", r"\dfrac{3}{4}"]
    assert MATH.groups(given) == ["0.75", "0.75", "2", "0.75"]
    assert NUMBERS.groups(["3", "2", "3"]) == ["3", "2", "3"]


CHOICES = {
    "The answer is C.": "C",
    "The answer is (C).": "C",
    "The correct answer is option C, since A is wrong.": "C",
    "Answer: **C**": "C",
    r"\boxed{\text{(C)}}": "C",
    r"$\boxed{C}$": "C",
    "Answer: c)": "C",
    "The answer is c": "C",
    "Answer: C. 18 hens": "C",
    "The answer is A.": "A",
    "It cannot be (A), so it is (B)": "B",
    "I would pick D": "D",
    "The answer is A dog": None,
    "A dog barks": None,
    "Every hen": None,
}


@pytest.mark.parametrize(("text", "letter"), CHOICES.items())
def test_letters_are_read(text: str, letter: str | None) -> None:
    assert Reader("choice").read(text).answer == letter


def test_texts_are_compared_without_their_dress() -> None:
    reader = Reader("exact")
    assert reader.read("The answer is: **The  Nile**.").answer is not None
    assert reader.same("the Nile", reader.read('Answer: "The  Nile".').answer or "")
    assert reader.same("1,234", "1234")
    assert reader.read("It is long.\nParis").answer == "Paris"
    assert not reader.same("Paris", "London")


def test_a_document_writes_equal_values_alike() -> None:
    texts = [r"\boxed{\frac{3}{4}}", r"\boxed{2}", r"\boxed{0.75}", "none"]
    paths = tuple(
        Candidate(Branch(n), (Step(text, (), (), "eos"),), finished=True, reader=MATH)
        for n, text in enumerate(texts)
    )
    answer = Answer("0.75", "majority", paths, Usage(), Usage(), 0.0, 0.0, 0.0)
    assert show.values(answer) == ["0.75", "2", "0.75", None]
    assert [c["answer"] for c in show.document(answer)["candidates"]] == show.values(answer)
    assert "0.75    2 of 4" in show.report(answer)
    assert show.values(replace(answer, candidates=(), text=None)) == []


@pytest.mark.parametrize(
    ("task", "gold", "text", "holds"),
    [
        ("gsm8k", "1234", "so 1,234 apples, then 2 * 617", True),
        ("gsm8k", "18", "180 and 118 and 1.8", False),
        ("gsm8k", "0.75", r"that is \\frac{3}{4} of it", True),
        ("math", r"\\frac{1}{2}", r"we get $x = \\dfrac{1}{2}$ at once", True),
        ("math", r"\\frac{1}{2}", "we get 0.25", False),
        ("choice", "B", "Not (B) but C.", True),
        ("choice", "B", "Bananas are A.", False),
        ("exact", "New York", "It was, in new york, cold.", True),
        ("exact", "York", "Yorkshire", False),
    ],
)
def test_an_answer_may_stand_in_a_text_unsaid(
    task: TaskName, gold: str, text: str, *, holds: bool
) -> None:
    assert Reader(task).holds(text, gold) is holds
