import pytest

from methods.answers import extract, gold_answer, normalise


@pytest.mark.parametrize(
    ("text", "answer", "rule"),
    [
        ("Step 1: 6 * 8 = 48. The answer is: 48 ки", "48", "marker"),
        ("The answer is: 5 ки\nStep 3: 1 + 1 = 2", "5", "marker"),
        ("#### 1,080", "1080", "marker"),
        ("The final answer is $18.00.", "18", "marker"),
        ("the answer is **-3**", "-3", "marker"),
        (r"so \boxed{42}", "42", "marker"),
        ("Therefore, the answer (arabic numerals) is 12.5 dollars", "12.5", "marker"),
        ("He has 3 apples and 4.50 pears left.", "4.5", "last-number"),
        ("It costs $1,200", "1200", "last-number"),
        ("The answer is: 7\n\nQ: next? The answer is: 9", "7", "marker"),
        ("no number here", None, "none"),
        ("", None, "none"),
    ],
)
def test_extract(text: str, answer: str | None, rule: str) -> None:
    found = extract(text)
    assert (found.answer, found.rule) == (answer, rule)


def test_equal_numbers_are_one_answer() -> None:
    assert (
        len({normalise(n) for n in ("18", "18.0", "$18", "18.", "18.00", "+18".lstrip("+"))}) == 1
    )
    assert normalise("0.50") == "0.5"
    assert normalise("1,000,000") == "1000000"


def test_gold() -> None:
    assert gold_answer("2 + 2 = 4\n#### 1,234") == "1234"
    with pytest.raises(ValueError, match="####"):
        gold_answer("four")
