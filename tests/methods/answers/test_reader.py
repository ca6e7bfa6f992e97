import random
import time

import pytest

from methods.answers.reader import NUMBERS, Reader

MARKED = {
    "Step 1: 6 * 8 = 48. The answer is: 48 ки": "48",
    "The answer is: 5 ки\nStep 3: 1 + 1 = 2": "5",
    "#### 1,080": "1080",
    "The final answer is $18.00.": "18",
    "the answer is **-3**": "-3",
    r"so \boxed{42}": "42",
    "Therefore, the answer (arabic numerals) is 12.5 dollars": "12.5",
    "The answer is: 7\n\nQ: next? The answer is: 9": "7",
    # boxes
    r"\boxed{\$18}": "18",
    r"\boxed{\text{18}}": "18",
    r"\boxed{\text{18 dollars}}": "18",
    r"\boxed{18 \text{ dollars}}": "18",
    r"\boxed{18\%}": "18",
    r"\boxed{x = 18}": "18",
    r"\boxed{-18}": "-18",
    r"\boxed{\mathbf{18}}": "18",
    r"\boxed{\frac{3}{4}}": "0.75",
    r"\boxed{\dfrac34}": "0.75",
    r"\boxed{1\frac{1}{2}}": "1.5",
    r"\boxed{1{,}234}": "1234",
    r"\boxed{1\,234}": "1234",
    r"\boxed{6 \times 3 = 18}": "18",
    r"\boxed{18}. I checked it 3 times.": "18",
    r"$$\boxed{18}$$": "18",
    r"\boxed 7": "7",
    r"The final answer is: $\boxed{18}$. I hope it is correct.": "18",
    # words
    r"The answer is \(18\).": "18",
    r"The answer is \[18\]": "18",
    r"The answer is $18$.": "18",
    r"The answer is $\$18$.": "18",
    r"The answer is $\frac{3}{4}$.": "0.75",
    "Answer: 18 (3 boxes of 6)": "18",
    "Answer: 18": "18",
    "**Answer:** 18": "18",
    "**Answer**: $18": "18",
    "Final Answer: 18 eggs": "18",
    "### Answer\n\n18 eggs": "18",
    "Answer:\n- 18 apples": "18",
    "answer = 18": "18",
    "The correct answer is 18.": "18",
    "The answer to the question is 18.": "18",
    "The answer should be 18.": "18",
    "<answer>18</answer>": "18",
    '{"answer": "18"}': "18",
    "The answer is about 18, not 25.": "18",
    "The answer is approximately 18 of 25": "18",
    "The answer is ~18 of 25": "18",
    "The answer is therefore exactly 18 of 25": "18",
    "The answer is 6 * 3 = 18.": "18",
    "The answer is x = 18 and not 7.": "18",
    "The answer is 10 - 7 = 3": "3",
    # signs
    "The answer is −3": "-3",
    "The answer is – 3": "-3",
    "The answer is -3": "-3",
    "The answer is minus 3": "-3",
    "The answer is negative 3": "-3",
    "The answer is -$3": "-3",
    "The answer is $-3": "-3",
    "The answer is $−3$": "-3",
    # forms of numbers
    "The answer is $.50": "0.5",
    "The answer is 3/4": "0.75",
    "The answer is 1/3 of a cup": "1/3",
    "The answer is 1 1/2": "1.5",
    "The answer is 1½ cups": "1.5",
    "The answer is 1{,}234": "1234",
    "The answer is 1 234": "1234",
    "The answer is 1\u202f234": "1234",
    "The answer is 1,234,567.50": "1234567.5",
    "The answer is 1.234,50": "1234.5",
    "The answer is 1.234.567": "1234567",
    "The answer is 12,34,567": "1234567",
    "The answer is 1'234": "1234",
    "The answer is 12,5": "12.5",
    "The answer is 0,125": "0.125",
    "The answer is 1.234": "1.234",
    "The answer is 25%": "25",
    "The answer is 25 percent": "25",
    "The answer is €18": "18",
    "The answer is US$18": "18",
    "The answer is USD 18": "18",
    "The answer is Rs. 18": "18",
    "The answer is 18k": "18000",
    "The answer is 2.5 million": "2500000",
    r"The answer is 1.2 \times 10^3": "1200",
    "The answer is 1.5e3": "1500",
    "The answer is 18 cm^2": "18",
    "The answer is 007": "7",
    "The answer is eighteen.": "18",
    "The answer is **twenty-four** dollars.": "24",
    "Answer: one hundred and two": "102",
    "The answer is minus three.": "-3",
    "The answer is two thousand five hundred": "2500",
    "The answer is -0": "0",
    "The answer is 12345678901234567890123456789012345": "12345678901234567890123456789012345",
    # what stands around
    "Question: Ann has 3 hens.\nAnswer: 18": "18",
    "\n\nQuestion: Ann has 3 hens.\n\nAnswer: 18": "18",
    "See the FAQ: hens lay. The answer is 18": "18",
    "The answer is 18.\n\n\nQuestion: Bob has 5.": "18",
    "<think>The answer is 5? No.</think>The answer is 18": "18",
    "<think>The answer is 18.</think>": "18",
}
LAST = {
    "He has 3 apples and 4.50 pears left.": "4.5",
    "It costs $1,200": "1200",
    "**18**": "18",
    "18 dollars": "18",
    "so 3 * 6 = 18.": "18",
    r"\(18\)": "18",
    r"so we get \frac{3}{4}": "0.75",
    "It costs $.50": "0.5",
    "The area is 18 cm^2.": "18",
    "5-3": "3",
    "it is -3": "-3",
    "it is −3": "-3",
    "x-18": "18",
    "3-5 days": "5",
    "1, 2, 3": "3",
    "The answer is one of 18 and 20": "20",
    "The answer is four times 7": "7",
    "He has 18 left.\nQ: Bob has 5?": "18",
    "The answer is that Ann makes $18 (9 eggs at $2).": "18",
    "To find the answer: how many eggs? 16 - 3 = 13": "13",
}


@pytest.mark.parametrize(("text", "answer"), MARKED.items())
def test_a_marked_number_is_read(text: str, answer: str) -> None:
    found = NUMBERS.read(text)
    assert (found.answer, found.rule) == (answer, "marker")


@pytest.mark.parametrize(("text", "answer"), LAST.items())
def test_without_a_mark_the_last_number_is_read(text: str, answer: str) -> None:
    found = NUMBERS.read(text)
    assert (found.answer, found.rule) == (answer, "last-number")


@pytest.mark.parametrize("text", ["", "no number here", "\n\nQ:", "The answer is", r"\boxed{"])
def test_a_text_without_a_number_has_no_answer(text: str) -> None:
    assert NUMBERS.read(text) == type(NUMBERS.read(text))(None, "none")


@pytest.mark.parametrize(
    ("text", "base", "chat"),
    [
        ("In 2 steps.\nQuestion: Ann has 3 hens.\nAnswer: 18", "2", "18"),
        ("Ann has 3 hens.\n\n\nThe answer is 18.", "3", "18"),
        ("It makes 18.\nQ: Bob has 5?\nA: The answer is 7", "18", "7"),
    ],
)
def test_only_a_base_model_asks_itself_the_next_question(text: str, base: str, chat: str) -> None:
    assert NUMBERS.read(text).answer == base
    assert Reader(chat=True).read(text).answer == chat


def test_a_models_own_marker_is_a_mark() -> None:
    text = "It makes 18 in all, after 2 days"
    assert NUMBERS.read(text).rule == "last-number"
    assert Reader(marker="It makes:").read(text).answer == "18"


@pytest.mark.parametrize(
    "text",
    ["9" * 100_000, "1,234" * 20_000, r"\boxed{" * 20_000, "The answer is " * 8_000, "1/" * 50_000,
     "- " * 50_000, "$" * 100_000, "(" * 50_000 + "1" + ")" * 50_000, "1e999", "1/0", "²", "½/½",
     "answer to " * 10_000, r"\frac{" * 20_000, "\ud800 18", "\0 18", "#" * 100_000],
)  # fmt: skip
def test_whatever_is_written_reading_ends_and_raises_nothing(text: str) -> None:
    started = time.process_time()
    for task in ("gsm8k", "math", "choice", "exact"):
        Reader(task).read(text)
    assert time.process_time() - started < 5


def test_random_texts_raise_nothing() -> None:
    words = [*MARKED, *LAST, "\\", "{", "}", "$", "/", ",", ".", "-", "1", "0", "%", "\n", "½", "^"]
    draw = random.Random(0)
    for _ in range(3000):
        text = "".join(draw.choices(words, k=draw.randrange(1, 8)))[draw.randrange(4) :]
        found = NUMBERS.read(text)
        assert (found.answer is None) == (found.rule == "none")
        if found.answer is not None:
            assert NUMBERS.read(f"The answer is {found.answer}").answer == found.answer
