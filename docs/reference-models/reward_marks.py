"""What the reward model is taught at each token of a solution.

Tags carry the labels of the steps. Beside them stand teachers for single tokens, so that an error
of one digit is found where it is made: what a result should be, digit by digit, and whether what
is written agrees. Their heads are dropped after training; only the tags remain.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from problems import OPERATIONS, TAG
from sentencepiece import SentencePieceProcessor

BOS = 1
NONE = -1
DIGIT_WEIGHT = 1.0  # of predicting a digit of a result
TEXT_WEIGHT = 0.1  # of predicting another token of a right step
BLANK = 10  # the digit of a place that the number does not reach


@dataclass(slots=True)
class Marked:
    """Token ids and what is taught at each of them; `NONE` and weight 0 where nothing is.

    `tags` and `checks` are 0 or 1, `targets` the token that should come next. `sums` holds the
    position before a result and `[units, tens, hundreds, carry, second carry]` of its true value.
    """

    ids: list[int]
    tags: list[int] = field(init=False)
    checks: list[int] = field(init=False)
    targets: list[int] = field(init=False)
    weights: list[float] = field(init=False)
    sums: list[tuple[int, list[int]]] = field(init=False)

    def __post_init__(self) -> None:
        self.tags, self.checks, self.targets = ([NONE] * len(self.ids) for _ in range(3))
        self.weights, self.sums = [0.0] * len(self.ids), []


@dataclass(frozen=True, slots=True)
class Equation:
    """`left op right` as it is written."""

    left: int
    op: str
    right: int

    @property
    def value(self) -> int:
        return OPERATIONS[self.op](self.left, self.right)

    def sums(self) -> list[int]:
        """Units, tens and hundreds of the value, and the carries (borrows) of + and -."""
        value, (a, b) = self.value, (self.left, self.right)
        places = [value % 10, value // 10 % 10, value // 100]
        digits = [d if k < len(str(value)) else BLANK for k, d in enumerate(places)]
        if self.op == "+":
            return [*digits, int(a % 10 + b % 10 > 9), int(a % 100 + b % 100 > 99)]
        if self.op == "-":
            return [*digits, int(a % 10 < b % 10), int(a % 100 < b % 100)]
        return [*digits, NONE, NONE]


class Marker:
    """Reads equations token by token (the tokenizer has single digits)."""

    def __init__(self, pieces: SentencePieceProcessor) -> None:
        self.pieces = pieces
        self.digit_ids = [pieces.piece_to_id(str(d)) for d in range(10)]
        self.digits = {token: d for d, token in enumerate(self.digit_ids)}
        self.operators = {pieces.piece_to_id(f"▁{op}"): op for op in OPERATIONS}
        self.tag, self.equals = pieces.piece_to_id(f"▁{TAG}"), pieces.piece_to_id("▁=")
        self.space, self.answer_is = pieces.piece_to_id("▁"), pieces.encode("The answer is:")[-2:]

    def tags_in(self, solution: str) -> int:
        return list(self.pieces.encode(solution)).count(self.tag)

    def mark(self, question: str, solution: str, labels: Sequence[int]) -> Marked:
        """A solution up to its last tag, with the label of each of its steps."""
        text = solution[: solution.rindex(TAG) + len(TAG)]
        begin = 1 + len(self.pieces.encode(question))
        marked = Marked([BOS, *self.pieces.encode(f"{question} {text}")])
        step = 0
        for t in range(begin, len(marked.ids)):
            if labels[step]:
                marked.targets[t - 1], marked.weights[t - 1] = marked.ids[t], TEXT_WEIGHT
            if marked.ids[t] == self.tag:
                marked.tags[t] = labels[step]
                step += 1
        self._mark_results(marked, begin, TEXT_WEIGHT)
        return marked

    def mark_drill(self, text: str) -> Marked:
        """Bare equations: only their results are taught."""
        marked = Marked([BOS, *self.pieces.encode(text)])
        self._mark_results(marked, 1, 0.0)
        return marked

    def _mark_results(self, marked: Marked, begin: int, end_weight: float) -> None:
        """Every result against its equation, and the final answer against the last result."""
        ids, result = marked.ids, None
        for t in range(begin, len(ids) - 2):
            if ids[t + 1] != self.space:
                continue
            if ids[t] == self.equals:
                equation = self._equation(ids, t)
                if equation is not None:
                    self._mark_number(marked, t + 2, equation.value, end_weight)
                    if 0 <= equation.value <= 999:
                        marked.sums.append((t + 1, equation.sums()))
                result = self._number(ids, t + 2)
            elif ids[t - 1 : t + 1] == self.answer_is and result is not None:
                self._mark_number(marked, t + 2, result, end_weight)

    def _mark_number(self, marked: Marked, start: int, expected: int, end_weight: float) -> None:
        """Teach the digits from `start` on and the token that ends them."""
        ids = marked.ids
        digits = [self.digit_ids[int(d)] for d in str(expected)] if expected >= 0 else []
        same = bool(digits)  # what is written so far begins `expected`
        for k, t in enumerate(range(start, len(ids))):
            ended = ids[t] not in self.digits
            if same and k < len(digits):
                marked.targets[t - 1], marked.weights[t - 1] = digits[k], DIGIT_WEIGHT
            elif same and ended:
                marked.targets[t - 1], marked.weights[t - 1] = ids[t], end_weight
            else:
                marked.weights[t - 1] = 0.0
            same = same and (k == len(digits) if ended else digits[k : k + 1] == [ids[t]])
            marked.checks[t] = int(same)
            if ended:
                break

    def _number(self, ids: Sequence[int], start: int) -> int | None:
        """The number whose first digit is at `start`."""
        end = start
        while end < len(ids) and ids[end] in self.digits:
            end += 1
        return int("".join(str(self.digits[i]) for i in ids[start:end])) if end > start else None

    def _equation(self, ids: Sequence[int], equals: int) -> Equation | None:
        """What stands before the equals sign, or None if it is not `left op right`."""
        middle = equals
        while ids[middle - 1] in self.digits:
            middle -= 1
        op = self.operators.get(ids[middle - 2])
        if ids[middle - 1] != self.space or op is None:
            return None
        start = middle - 2
        while ids[start - 1] in self.digits:
            start -= 1
        left, right = self._number(ids, start), self._number(ids, middle)
        if left is None or right is None or (op == "/" and not right):
            return None
        return Equation(left, op, right)
