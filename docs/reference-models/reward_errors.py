"""Solutions with injected errors, and drills of bare equations, both right and wrong."""

import random
from collections.abc import Mapping

from grading import label_steps
from problems import OPERATIONS, Problem, Step, draw, format_solution
from templates import ANIMALS, CLOTHES, FOOD, FRUIT, GARDEN, SCHOOL, TOYS

# The policy's wrong results are mostly ten too many or too few: a carry lost or made up.
SLIPS = (
    *(-10, 10) * 8,
    *(-20, 20) * 2,
    *(-30, 30, -40, 40, -100, 100),
    *(-1, 1) * 3,
    *(-2, 2) * 2,
    *(-3, 3, -5, 5, -4, 4, 9, -9, 11, -11),
)
DIGIT_RATE = 0.15  # of slips that change one digit at random
ANSWER_RATE = 0.03  # of wrong solutions whose final answer is not their last result
KINDS = ("result", "misread", "misread", "skip", "repeat")
STEPS = (3, 4, 5, 6)

DRILL_LENGTH = 9
DRILL_ERROR_RATE = 0.4
DRILL_OPERATORS = "++++----****//////"
DRILL_LIMIT = 420
DRILL_UNITS = (
    *("dollars", "pages", "miles", "years", "minutes", "liters", "hours", "days", "weeks"),
    *(FRUIT + TOYS + FOOD + SCHOOL + ANIMALS + CLOTHES + GARDEN),
)

Labelled = tuple[str, str, list[int]]  # question, solution, labels of its steps


def slip(rng: random.Random, value: int) -> int:
    """A wrong result such as the policy writes."""
    while True:
        wrong = value + rng.choice(SLIPS)
        if rng.random() < DIGIT_RATE:
            digits = list(str(value))
            digits[rng.randrange(len(digits))] = str(rng.randrange(10))
            wrong = int("".join(digits))
        if wrong != value and wrong >= 0:
            return wrong


def synthetic(rng: random.Random) -> list[Labelled]:
    """The gold solution of a training problem and two with an error each."""
    steps = rng.choice(STEPS)
    while True:
        problem = draw("reward-synthetic", rng.randrange(10**9))
        if len(problem.steps) == steps:
            break
    solutions = [format_solution(problem.sentences(), problem.values[-1])]
    solutions += [write_wrong(rng, problem, rng.randrange(steps)) for _ in range(2)]
    return [(problem.question, s, label_steps(s, problem.values)) for s in solutions]


def write_wrong(rng: random.Random, problem: Problem, error_at: int) -> str:
    """A solution with an error in one step, which later steps build on."""
    known, sentences, value = dict(problem.given), list[str](), 0
    kind = rng.choice(KINDS)
    for k, step in enumerate(problem.steps):
        (left, right), op = step.operands(known), step.op
        value = _result(left, op, right)
        if k == error_at and kind == "skip" and k + 1 < len(problem.steps):
            known[step.out] = left
            continue
        if k == error_at and kind == "result":
            value = slip(rng, value)
        elif k == error_at and kind == "repeat":
            sentences.append(step.text(left, right, value))
            left, value = value, _result(value, op, right)
        elif k == error_at:
            left, op, right = _misread(rng, step, known)
            value = _result(left, op, right)
        known[step.out] = value
        sentences.append(f"{step.before}{left} {op} {right} = {value}{step.after}")
    return format_solution(sentences, slip(rng, value) if rng.random() < ANSWER_RATE else value)


def _result(left: int, op: str, right: int) -> int:
    """What an equation comes to, without a sign; 0 for a division by 0."""
    return abs(OPERATIONS[op](left, right)) if right or op != "/" else 0


def _misread(rng: random.Random, step: Step, known: Mapping[str, int]) -> tuple[int, str, int]:
    """Left, operator and right of a step, one of them wrong."""
    left, right = step.operands(known)
    wrong = rng.choice(("operator", "left", "right"))
    if wrong == "operator":
        return left, rng.choice([op for op in OPERATIONS if op != step.op]), right
    other = rng.choice(list(known.values()))
    return (other, step.op, right) if wrong == "left" else (left, step.op, other)


def drill(rng: random.Random) -> str:
    """A line of unrelated equations, some of them wrong."""
    lines = []
    for _ in range(DRILL_LENGTH):
        left, op, right = _drawn(rng)
        value = OPERATIONS[op](left, right)
        if rng.random() < DRILL_ERROR_RATE:
            value = slip(rng, value)
        lines.append(f"{left} {op} {right} = {value} {rng.choice(DRILL_UNITS)}.")
    return " ".join(lines)


def _drawn(rng: random.Random) -> tuple[int, str, int]:
    """Left, operator and right, either from a step of a training problem or of random numbers."""
    op = rng.choice(DRILL_OPERATORS)
    if rng.random() < 0.5:
        problem = draw("drill", rng.randrange(10**9))
        step = rng.choice(problem.steps)
        if step.op == op or rng.random() < 0.3:
            values = dict(zip((s.out for s in problem.steps), problem.values, strict=True))
            left, right = step.operands(problem.given | values)
            return left, step.op, right
    return _random(rng, op, rng.choice((100, 200, 400)))


def _random(rng: random.Random, op: str, high: int) -> tuple[int, str, int]:
    """Operands up to `high` (products and quotients have their own bounds)."""
    while True:
        if op == "+":
            left, right = rng.randint(1, high), rng.randint(1, high)
        elif op == "-":
            left = rng.randint(2, high)
            right = rng.randint(1, left - 1)
        elif op == "*":
            left, right = rng.randint(2, 60), rng.randint(2, 20)
        else:
            right = rng.randint(2, 20)
            left = right * rng.randint(1, 60)
            if rng.random() < 0.2:
                left += rng.randrange(right)
        fits = left <= DRILL_LIMIT and (op in "-/" or OPERATIONS[op](left, right) <= DRILL_LIMIT)
        if fits:
            return left, op, right
