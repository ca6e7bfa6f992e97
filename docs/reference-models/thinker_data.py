"""Texts to think in: solved training problems, and drills of bare equations."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

from problems import OPERATIONS, draw, format_solution
from sentencepiece import SentencePieceProcessor
from templates import FOOD, FRUIT, MONEY, TOYS
from thinker_thoughts import Reader

BOS, EOS = 1, 2
POOL = 1024  # texts sorted by length together
DRILL_LENGTH = 6
DRILL_OPERATORS = "+++---**/"
DRILL_LIMIT = 400
UNITS = (*FRUIT, *TOYS, *FOOD, *MONEY)


@dataclass(frozen=True, slots=True)
class Text:
    """Token ids, where the solution begins, and the gold thoughts at its results.

    Of a drill only the thoughts are taught: `is_drill` texts have no base loss.
    """

    ids: list[int]
    begin: int
    results: dict[int, list[int]]
    is_drill: bool = False


def problem_text(reader: Reader, split: str, index: int) -> Text:
    problem = draw(split, index)
    prompt = [BOS, *reader.pieces.encode(problem.question + "\n")]
    solution = format_solution(problem.sentences(), problem.values[-1])
    ids = [BOS, *reader.pieces.encode(f"{problem.question}\n{solution}"), EOS]
    return Text(ids, len(prompt), reader.results(ids))


def drill_text(reader: Reader, rng: random.Random) -> Text:
    """Unrelated equations in a row, their results right."""
    lines, unit = [], rng.choice(UNITS)  # one unit, so that the word after a result is certain
    for _ in range(DRILL_LENGTH):
        left, op, right = operands(rng)
        lines.append(f"{left} {op} {right} = {OPERATIONS[op](left, right)} {unit}.")
    ids = [BOS, *reader.pieces.encode(" ".join(lines))]
    return Text(ids, 1, reader.results(ids), is_drill=True)


def operands(rng: random.Random) -> tuple[int, str, int]:
    """Numbers whose sum, difference, product or exact quotient is from 0 to DRILL_LIMIT."""
    op, high = rng.choice(DRILL_OPERATORS), rng.choice((60, 100, 200, DRILL_LIMIT))
    while True:
        if op in "+-":
            left, right = rng.randint(1, high), rng.randint(1, rng.choice((20, high)))
        elif op == "*":
            left, right = rng.randint(2, 100), rng.randint(2, rng.choice((9,) * 9 + (20,)))
        else:
            right = rng.randint(2, rng.choice((9, 9, 9, 20)))
            left = right * rng.randint(1, high // right)
        if op == "+" and rng.random() < 0.5:
            left, right = right, left
        if op == "*" and rng.random() < 0.3:
            left, right = right, left
        if 0 <= OPERATIONS[op](left, right) <= DRILL_LIMIT and left <= DRILL_LIMIT:
            return left, op, right


def batches(
    pieces: SentencePieceProcessor, rows: int, drills: float, seed: int
) -> Iterator[list[Text]]:
    """Endless batches of texts of about one length; a share `drills` of them are drills."""
    reader, rng = Reader(pieces), random.Random(f"thinker:{seed}")
    for pool in itertools.count(seed * 1000):
        first = pool * POOL
        texts = [
            drill_text(reader, rng)
            if rng.random() < drills
            else problem_text(reader, "thinker", first + i)
            for i in range(POOL)
        ]
        texts.sort(key=lambda text: len(text.ids))
        groups = [texts[i : i + rows] for i in range(0, POOL, rows)]
        rng.shuffle(groups)
        yield from groups
