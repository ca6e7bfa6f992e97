"""Grade-school word problems with gold steps, in GSM8K's file format.

Every problem is drawn from a template of `stories.py`, two names, random numbers, and up to
two sequels that change the final quantity. `draw(split, index)` is deterministic, and the
splits are disjoint: a (template, name) pair belongs either to training or to the benchmark.

    python problems.py --split benchmark --count 500 > benchmark.jsonl
"""

import argparse
import json
import operator
import random
import re
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from stories import STORIES
from templates import DISTRACTORS, SEQUELS, Template

TAG = "ки"
LIMIT = 400
MAX_STEPS = 6
BENCHMARK_STEPS = (3, 4, 5, 6)
FEMALE = (
    "Mia",
    "Anna",
    "Emma",
    "Lily",
    "Sara",
    "Nora",
    "Ella",
    "Ruth",
    "Jane",
    "Maya",
    "Rosa",
    "Lucy",
    "Kate",
    "Amy",
    "Zoe",
    "Ivy",
    "Tina",
    "Dora",
)
MALE = (
    "Tom",
    "Ben",
    "Sam",
    "Max",
    "Leo",
    "Jack",
    "Paul",
    "Omar",
    "Ivan",
    "Adam",
    "Luke",
    "Noah",
    "Eric",
    "Hugo",
    "Carl",
    "Dan",
    "Mark",
    "Finn",
)
OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.floordiv,
}
EQUATION = re.compile(r"<(\w+) ([-+*/]) (\w+) = (\w+)>")
CHOICE = re.compile(r"\[([^]]*)\]")


@dataclass(frozen=True)
class Step:
    """One sentence around `left op right = out`; operands name quantities or are numbers."""

    before: str
    left: str
    op: str
    right: str
    out: str
    after: str

    def operands(self, known: Mapping[str, int]) -> tuple[int, int]:
        left, right = (int(x) if x.isdigit() else known[x] for x in (self.left, self.right))
        return left, right

    def result(self, known: Mapping[str, int]) -> int:
        """The value of `out`; division rounds down (gold divisions are exact)."""
        return OPERATIONS[self.op](*self.operands(known))

    def text(self, left: int, right: int, value: int) -> str:
        return f"{self.before}{left} {self.op} {right} = {value}{self.after}"


@dataclass(frozen=True)
class Problem:
    """A question, the numbers given in it and the steps that solve it."""

    template: str
    name: str
    question: str
    given: dict[str, int]
    steps: tuple[Step, ...]

    @property
    def values(self) -> list[int]:
        """The number each step must reach; the last is the answer."""
        known = dict(self.given)
        for step in self.steps:
            known[step.out] = step.result(known)
        return [known[step.out] for step in self.steps]

    def sentences(self) -> list[str]:
        """The gold steps as sentences, without numbering or tag."""
        known, sentences = dict(self.given), []
        for step in self.steps:
            known[step.out] = step.result(known)
            sentences.append(step.text(*step.operands(known), known[step.out]))
        return sentences

    def to_gsm8k(self) -> dict[str, str]:
        return {
            "question": self.question,
            "answer": "\n".join([*self.sentences(), f"#### {self.values[-1]}"]),
        }


def format_solution(sentences: list[str], answer: int) -> str:
    """Math-Shepherd's form: `Step k: ... ки` lines, the answer at the end of the last."""
    lines = [f"Step {k}: {sentence}" for k, sentence in enumerate(sentences, 1)]
    lines[-1] += f" The answer is: {answer}"
    return "\n".join(f"{line} {TAG}" for line in lines)


def is_held_out(template: str, name: str) -> bool:
    """Whether this pair is reserved for the benchmark (about one in five)."""
    return zlib.crc32(f"{template}/{name}".encode()) % 5 == 0


def _choose(rng: random.Random, text: str) -> str:
    return CHOICE.sub(lambda match: rng.choice(match[1].split("|")), text)


def _extend(
    rng: random.Random, template: Template
) -> tuple[list[str], list[str], dict[str, tuple[int, int]]]:
    """Story sentences (question last), steps and number ranges of a template and its sequels."""
    story, ask, steps, ranges = (
        [template.story],
        template.ask,
        list(template.steps),
        dict(template.ranges),
    )
    result = "r"
    for i in range(rng.choice((0, 1, 2, 2)) if template.sequels else 0):
        sequel = rng.choice(SEQUELS)
        rename = {x: f"{x}{i}" for x in "xypqs"} | {"r": result}

        def renamed(match: re.Match[str], rename: dict[str, str] = rename) -> str:
            return rename.get(match[0], match[0])

        story.append(re.sub(r"(?<=\{)\w(?=\})", renamed, sequel.story))
        steps += [
            re.sub(r"<[^>]*>", lambda m: re.sub(r"\b[a-z]\b", renamed, m[0]), step)
            for step in sequel.steps
        ]
        ranges |= {rename[x]: bounds for x, bounds in sequel.ranges.items()}
        ask, result = sequel.ask, f"s{i}"
        if sequel.closes:
            break
    return [*story, ask], steps, ranges


def _draw_numbers(
    rng: random.Random, steps: list[Step], ranges: dict[str, tuple[int, int]]
) -> dict[str, int] | None:
    """Given numbers that make every step a whole number in 1..LIMIT, or None if none were found."""
    for _ in range(100):
        given = {x: rng.randint(*bounds) for x, bounds in ranges.items()}
        known = dict(given)
        for step in steps:
            left, right = step.operands(known)
            known[step.out] = step.result(known)
            if not 1 <= known[step.out] <= LIMIT or (step.op == "/" and left % right):
                break
        else:
            return given
    return None


def _parse(text: str) -> Step:
    """A step of a template, before its words are filled in."""
    match = EQUATION.search(text)
    assert match, text
    left, op, right, out = match.groups()
    return Step(text[: match.start()], left, op, right, out, text[match.end() :])


def _words(rng: random.Random, template: Template, name: str) -> dict[str, str]:
    """What stands for the words in braces of a story about `name`."""
    friend = rng.choice([other for other in FEMALE + MALE if other != name])
    he, his = ("she", "her") if name in FEMALE else ("he", "his")
    item = rng.choice(template.items)
    words = {"name": name, "friend": friend, "he": he, "He": he.title()}
    words |= {"his": his, "His": his.title()}
    return words | {"item": item, "unit": template.unit.format(item=item)}


def draw(split: str, index: int) -> Problem:
    """Problem number `index` of a split; `benchmark` uses the held-out pairs, any other the rest.

    Training problems have 2 to 6 steps as the templates give them; in the benchmark every length
    of `BENCHMARK_STEPS` is equally likely.
    """
    rng = random.Random(f"{split}:{index}")
    lengths = range(2, MAX_STEPS + 1) if split != "benchmark" else (rng.choice(BENCHMARK_STEPS),)
    while True:
        template = rng.choice(STORIES)
        name = rng.choice(FEMALE + MALE)
        if is_held_out(template.key, name) != (split == "benchmark"):
            continue
        words = _words(rng, template, name)
        story, step_texts, ranges = _extend(rng, template)
        if len(step_texts) not in lengths:
            continue
        if rng.random() < 0.35:
            story.insert(rng.randrange(len(story)), rng.choice(DISTRACTORS))
        words |= {"n": str(rng.randint(3, 60))}
        bare = [_parse(text) for text in step_texts]
        given = _draw_numbers(rng, bare, ranges)
        if given is None:
            continue
        shown = words | {x: str(n) for x, n in given.items()}
        question = _choose(rng, " ".join(story)).format(**shown)
        steps = tuple(
            replace(s, before=s.before.format(**shown), after=s.after.format(**shown)) for s in bare
        )
        return Problem(template.key, name, question, given, steps)


def draw_many(split: str, count: int) -> Iterator[Problem]:
    return (draw(split, index) for index in range(count))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--split", default="benchmark")
    parser.add_argument("--count", type=int, default=500)
    options = parser.parse_args()
    for problem in draw_many(options.split, options.count):
        sys.stdout.write(json.dumps(problem.to_gsm8k(), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
