"""Sampling and voting as the code of arXiv 2412.16260 does it, its faults kept.

Zero-shot chain of thought at temperature 1 for up to 384 tokens, then "Therefore, the answer
(arabic numerals) is" and 12 tokens more, whose first run of digits is the vote: no sign, no
decimals. Where a completion begins another question it is cut there and asked all the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from convert.prompt_presets import ZERO_SHOT
from methods.answers.reader import Extraction
from methods.build import MethodSpec
from methods.candidate import Answer, Candidate
from methods.catalog import Selection
from methods.problem import Problem
from methods.trial import Trial
from runtime.engine import Branch, Engine, Sampling, Step

ELICITATION = "\nTherefore, the answer (arabic numerals) is"
ANSWER_TOKENS = 12
QUESTION, BREAK = "Q:", "\n\n\n"


@dataclass(frozen=True, slots=True)
class PaperVote:
    """`n` completions, each asked for its answer, and a majority vote."""

    engine: Engine
    n: int
    sampling: Sampling
    selection: Selection

    @classmethod
    def build(cls, spec: MethodSpec, engine: Engine, *_: object) -> PaperVote:
        """See `methods.build.Builder`."""
        sampling = Sampling(spec.temperature, max_tokens=spec.max_tokens)
        return cls(engine, spec.width, sampling, spec.selection)

    def solve(self, problem: Problem, seed: int) -> Answer:
        trial, engine = Trial(self.engine, None), self.engine
        sampling = replace(self.sampling, seed=seed, stop=(QUESTION,))
        prompt = engine.tokenizer.encode(ZERO_SHOT.replace("{question}", problem.question))
        with trial.open(problem, prompt) as root:
            branches = engine.fork(root, self.n)
            completions = engine.extend(branches, sampling)
            kept = [trim(step.text) for step in completions]
            for branch, step, text in zip(branches, completions, kept, strict=True):
                self._rewind(branch, len(prompt), step, text)
            ids = [engine.tokenizer.encode_more(ELICITATION)] * self.n
            engine.feed(branches, ids)
            answers = engine.extend(branches, replace(sampling, max_tokens=ANSWER_TOKENS, stop=()))
            candidates = [
                _candidate(branch, replace(step, text=text), answer)
                for branch, step, text, answer in zip(
                    branches, completions, kept, answers, strict=True
                )
            ]
            return trial.answer(candidates, self.selection, "last")

    def _rewind(self, branch: Branch, start: int, step: Step, kept: str) -> None:
        """Forget the tokens of a completion behind the text that is kept."""
        ids, tokenizer = step.token_ids, self.engine.tokenizer
        count = len(ids)
        while count and len(tokenizer.decode(ids[:count])) > len(kept):
            count -= 1
        self.engine.rewind(branch, start + count)


def trim(text: str) -> str:
    """A completion up to where it asks again, or breaks off for the second time."""
    text = text.split(QUESTION, 1)[0]
    first = text.find(BREAK)
    second = text.find(BREAK, first + len(BREAK)) if first >= 0 else -1
    return text[:second] if second >= 0 else text


def first_integer(text: str) -> Extraction:
    """The first digits of an elicited answer, commas dropped."""
    found = re.search(r"\d+", text.replace(",", ""))
    return Extraction(found[0], "marker") if found else Extraction(None, "none")


def _candidate(branch: Branch, completion: Step, answer: Step) -> Candidate:
    asked = replace(answer, text=ELICITATION + answer.text)
    return Candidate(
        branch,
        (completion, asked),
        finished=completion.finish != "length",
        read_as=first_integer(answer.text),
    )
