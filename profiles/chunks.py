"""A text cut as llama.cpp's perplexity tool cuts it: chunks, and the positions that are scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from convert.refusal import Refusal
from runtime.engine import Engine, Logits

CONTEXT = 512  # tokens of a chunk, llama.cpp's default


@dataclass(frozen=True, slots=True)
class Chunks:
    """Equal chunks of one token stream; each is read from its beginning, its second half scored.

    Position i of `first` .. `context - 2` is scored on token i + 1, so that every scored token has
    at least half a chunk before it: 255 of 512.
    """

    tokens: npt.NDArray[np.int64]  # (chunks, context)
    vocab: int

    @property
    def count(self) -> int:
        return len(self.tokens)

    @property
    def context(self) -> int:
        return int(self.tokens.shape[1])

    @property
    def first(self) -> int:
        return self.context // 2

    @property
    def scored(self) -> int:
        """Scored positions of one chunk."""
        return self.context - 1 - self.first

    def targets(self, chunk: int) -> npt.NDArray[np.int64]:
        """(S,): the tokens that the scored positions of a chunk predict."""
        return self.tokens[chunk, self.first + 1 :]


def cut(engine: Engine, text: str, context: int = CONTEXT, limit: int | None = None) -> Chunks:
    """The chunks of a text in an engine's tokens, `limit` of them at most.

    The first token of a chunk gives way to the beginning-of-sequence token, where the model has one
    put in front of texts.

    Raises:
        Refusal: if the context is not one that the model knows, or the text is too short.
    """
    known = engine.artifact.shape.context
    if not 4 <= context <= known:
        raise Refusal(
            f"--context {context} is not in 4..{known}, which {engine.artifact.path.name} knows"
        )
    ids = engine.tokenizer.encode(text)
    if len(ids) < 2 * context:  # llama.cpp's condition
        raise Refusal(
            f"the text has {len(ids)} tokens and {2 * context} are needed; give a longer --text, "
            "or lower --context"
        )
    count = min(len(ids) // context, limit or len(ids))
    tokens = np.array(ids[: count * context]).reshape(count, context)
    if start := engine.tokenizer.encode(""):
        tokens[:, 0] = start[0]
    return Chunks(tokens, engine.tokenizer.size)


def evaluate(engine: Engine, chunks: Chunks, batch: int) -> Iterator[Logits]:
    """(S, V) logits of the scored positions, chunk after chunk; valid until the next one.

    A chunk is read in calls of at most `batch` tokens, and its two halves in different calls.

    Raises:
        Refusal: if the engine has another vocabulary than the chunks.
    """
    if engine.tokenizer.size != chunks.vocab:
        raise Refusal(
            f"{engine.artifact.path.name} has a vocabulary of {engine.tokenizer.size} tokens and "
            f"the baseline one of {chunks.vocab}: they cannot be compared token by token"
        )
    for row in chunks.tokens.tolist():
        unscored = _parts(row[: chunks.first], batch)
        with engine.open(next(unscored)) as branch:
            for part in unscored:
                engine.feed([branch], [part])
            scored = [
                engine.feed([branch], [part], tail=len(part)).logits.copy()
                for part in _parts(row[chunks.first :], batch)
            ]
        logits = scored[0] if len(scored) == 1 else np.concatenate(scored)
        yield logits[: chunks.scored]  # the last token of a chunk predicts nothing


def _parts(tokens: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (tokens[begin : begin + size] for begin in range(0, len(tokens), size))
