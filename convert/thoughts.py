"""Quiet-STaR checkpoints: how they think, and the embeddings that begin and end a thought."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from convert.artifact import ThoughtEmbedding, ThoughtProtocol
from convert.checkpoint import Checkpoint
from convert.files import regular
from convert.hf_files import opening
from convert.refusal import Refusal, reading
from convert.tokenizer_files import (
    PIECES,
    TOKENIZER,
    added_tokens,
    has_pieces,
    open_pieces,
)

Floats = npt.NDArray[np.float32]
TOKENS = ("<|startthought|>", "<|endthought|>")
EMBEDDINGS = ("start_embedding", "end_embedding")  # [2, D]: row 0 is the embedding, row 1 unused
EMBEDDING_SCALE = 100.0  # they are stored divided by it, `modeling_mistral.py`
AHEAD_TALK = 1  # what evaluation sets n_ahead_talk to, and the configuration was saved with
LEAST_AHEAD = 4  # START, one sampled token and END behind the text token
DASH = "---"
THOUGHT_TENSORS = ("talk_head.", *EMBEDDINGS)


def thought_protocol(checkpoint: Checkpoint) -> ThoughtProtocol:
    """How a checkpoint thinks, told from its tokenizer and `max_thoughts`.

    Raises:
        Refusal: if `max_thoughts` is no number, or the tokenizer has one of the tokens only.
    """
    most = checkpoint.config.get("max_thoughts")
    if isinstance(most, bool) or not isinstance(most, int):
        raise Refusal(f"{checkpoint.folder / 'config.json'} has max_thoughts {most!r}, no number")
    added, vocab = added_tokens(checkpoint.folder), checkpoint.shape.vocab
    found = [added[token] for token in TOKENS if token in added]
    if len(found) == 1:
        raise Refusal(f"the tokenizer of {checkpoint.folder} has only one of {TOKENS}")
    start, end = found or (vocab - 2, vocab - 1)
    return ThoughtProtocol(start, end, n_ahead=most - AHEAD_TALK - 1)


def check_protocol(folder: Path, vocab: int, protocol: ThoughtProtocol) -> None:
    """Raise Refusal if a model of so many tokens cannot think in that way; says why."""
    for name, i in zip(TOKENS, (protocol.start_id, protocol.end_id), strict=True):
        if not 0 <= i < vocab:
            raise Refusal(f"{folder} gives {name} the id {i}, its vocabulary has {vocab} tokens")
    if protocol.n_ahead < LEAST_AHEAD:
        raise Refusal(
            f"{folder} has max_thoughts {protocol.n_ahead + AHEAD_TALK + 1}, so n_ahead "
            f"{protocol.n_ahead}; at least {LEAST_AHEAD} are needed to think one token"
        )
    if protocol.embedding not in ("trained", "dash"):
        raise Refusal(f"unknown thought embedding {protocol.embedding!r}; choose trained, dash")


def check_tensors(checkpoint: Checkpoint) -> None:
    """Raise Refusal if a thinker's tensor is missing, misshapen or unknown; by headers alone."""
    folder, tensors, shapes = checkpoint.folder, checkpoint.tensors, _shapes(checkpoint)
    for name, shape in shapes.items():
        if name not in tensors:
            raise Refusal(f"{folder} lacks tensor {name}, which every thinker has")
        if tensors[name].shape != shape:
            found = list(tensors[name].shape)
            raise Refusal(f"tensor {name} has shape {found}, expected {list(shape)}")
    unknown = [n for n in tensors if n.startswith(THOUGHT_TENSORS) and n not in shapes]
    if unknown:
        raise Refusal(f"{folder} holds tensor {unknown[0]}, which no talk head known here has")


def thought_rows(checkpoint: Checkpoint, embedding: ThoughtEmbedding) -> Floats:
    """(2, D) embeddings of START and END: the trained ones, or that of `---` for both.

    Source: Zelikman et al. 2024, `modeling_mistral.py`: the forward pass, and the block under
    `if self.start_token_id is None`, which puts the embedding of `---` there after every load.

    Raises:
        Refusal: if a value is not finite; names the tensor.
    """
    if embedding == "trained":
        return np.stack([checkpoint.tensors[n].float32()[0] for n in EMBEDDINGS]) * np.float32(
            EMBEDDING_SCALE
        )
    i = _first_token(checkpoint.folder, DASH)
    name = next(n for n in checkpoint.tensors if n.endswith("embed_tokens.weight"))
    return np.repeat(checkpoint.tensors[name].rows(slice(i, i + 1)), 2, axis=0)


def _shapes(checkpoint: Checkpoint) -> dict[str, tuple[int, ...]]:
    """Tensors of a thinker beside the backbone."""
    hidden = checkpoint.shape.hidden
    return {
        "talk_head.0.0.weight": (hidden, 2 * hidden),
        "talk_head.0.0.bias": (hidden,),
        "talk_head.0.2.weight": (hidden, hidden),
        "talk_head.0.2.bias": (hidden,),
        "talk_head.0.4.weight": (1, hidden),
        **dict.fromkeys(EMBEDDINGS, (2, hidden)),
    }


def _first_token(folder: Path, text: str) -> int:
    """The id of the first token of a text, without a beginning-of-sequence token."""
    if has_pieces(folder):
        pieces = open_pieces(folder)
        with reading(folder / PIECES):
            return int(pieces.encode(text)[0])
    from tokenizers import Tokenizer

    with opening(folder / TOKENIZER):
        tokenizer = Tokenizer.from_file(str(regular(folder / TOKENIZER)))
        return int(tokenizer.encode(text, add_special_tokens=False).ids[0])
