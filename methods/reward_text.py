"""What a reward model reads: the question, then steps, each with its tag in tokens of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from convert.artifact import RewardProtocol
from runtime.engine import Step, Tokenizer


@dataclass(frozen=True, slots=True)
class RewardText:
    """How steps of a policy become tokens of a reward model.

    A step and its tag are encoded apart, as the published recipes do: no tag merges with the end of
    a step. Where a step holds the tag's text (lines, to a model that scores lines), it is as many
    steps to the reward model, and the last of their scores is its own.
    """

    tokenizer: Tokenizer
    protocol: RewardProtocol
    policy_stop: str
    tag: tuple[int, ...]

    @staticmethod
    def of(tokenizer: Tokenizer, protocol: RewardProtocol, policy_stop: str) -> RewardText:
        tag = tuple(tokenizer.encode_more(protocol.step_tag))
        return RewardText(tokenizer, protocol, policy_stop, tag)

    def question(self, question: str) -> list[int]:
        """All that stands before the first step."""
        text = self.protocol.template.replace("{question}", question)
        return self.tokenizer.encode(text, special=True)

    def step(self, before: Sequence[Step], step: Step) -> list[int]:
        """A step after others, with its tag at the end; empty where it says nothing new."""
        ids: list[int] = []
        for text in self._texts(before, self._body(step)):
            ids += [*(self.tokenizer.encode_more(text) if text else ()), *self.tag]
        return ids

    def _texts(self, before: Sequence[Step], body: str) -> Iterator[str]:
        """The texts that a tag follows, each with what stands before it."""
        protocol = self.protocol
        first, *others = body.split(protocol.step_tag.strip(" "))
        white = _cut(before)
        if white is not None:  # the last step was scored as it stood, and goes on
            yield white + first if first.strip() else ""
        else:
            others = [first, *others]
        begun = any(step.text.strip() for step in before)
        for text in others:
            if not text.strip():
                continue
            if not begun:
                yield protocol.join + text.strip()
            elif protocol.between is None:
                yield protocol.after + text
            else:
                yield protocol.after + protocol.between + text.strip()
            begun = True

    def _body(self, step: Step) -> str:
        """The text of a step without what the policy ends its steps with."""
        end = step.text.rfind(self.policy_stop)
        return (step.text if end < 0 else step.text[:end]).rstrip()


def _cut(steps: Sequence[Step]) -> str | None:
    """The white space that a cut-off last step ended with and was scored without; None: whole."""
    if not steps or steps[-1].finish != "length" or not steps[-1].text.strip():
        return None
    text = steps[-1].text
    return text[len(text.rstrip()) :]
