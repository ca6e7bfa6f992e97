"""How published process reward models score steps: presets, chosen by layout and by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from convert.artifact import RewardProtocol
from convert.checkpoint import Checkpoint
from convert.files import read_json
from convert.refusal import Refusal, reading
from convert.roles import architecture_of, outputs, repository
from convert.tokenizer_files import (
    PIECES,
    SETTINGS,
    added_tokens,
    has_pieces,
    open_pieces,
    read_tokenizer,
)

OUTCOME = ("ForSequenceClassification", "ForRewardModel")  # classes that score whole answers
SHEPHERD_TAG, QWEN_TAG = " ки", "<extra_0>"
TURN_END = "<|eot_id|>"
DATES = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"  # of Llama 3.1
QWEN_PRM = (  # what Qwen2.5-Math-PRM reads before the first step, by its model card
    "<|im_start|>system\nPlease reason step by step, and put your final answer within "
    "\\boxed{}.<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
)
BLANK_LINE = "-instruct-prm-0"  # names of TRL models that were trained on steps with one between


def math_shepherd(good: int, bad: int) -> RewardProtocol:
    """Wang et al. 2024, model card of peiyi9979/math-shepherd-mistral-7b-prm."""
    return RewardProtocol("token_logits", SHEPHERD_TAG, between="\n", good_id=good, bad_id=bad)


def rlhflow(good: int, bad: int, *, dated: bool = True) -> RewardProtocol:
    """A chat of Llama 3.1: a user's turn a step, `+` or `-` the answer.

    Source: RLHFlow/RLHF-Reward-Modeling, math-rm/prm_evaluate.py, which goes on with `+` whatever
    the score, and takes the mean.
    """
    system, user, assistant = (
        f"<|start_header_id|>{who}<|end_header_id|>\n\n" for who in ("system", "user", "assistant")
    )
    dates = f"{system}{DATES}{TURN_END}" if dated else ""
    return RewardProtocol(
        "token_logits",
        f"{TURN_END}{assistant}",
        template=f"<|begin_of_text|>{dates}{user}{{question}}",
        between=user,
        after=f"+{TURN_END}",
        good_id=good,
        bad_id=bad,
        aggregation="mean",
    )


@dataclass(frozen=True, slots=True)
class NamedReward:
    """A preset with the ids of a published model, for files that others made of it."""

    protocol: RewardProtocol
    good: str = "+"  # the text of `good_id`
    bad: str = "-"


NAMED = {
    "math-shepherd": NamedReward(math_shepherd(648, 387)),
    "rlhflow": NamedReward(rlhflow(10, 12)),
}


def reward_protocol(checkpoint: Checkpoint, separator: str | None = None) -> RewardProtocol:
    """How a reward model scores; `separator` is what a token classifier was trained to score at.

    Raises:
        Refusal: for a model that scores whole answers, one that no preset fits, or a separator
            that it has no use for.
    """
    preset = _preset(checkpoint)
    if preset is _trl:
        return _trl(checkpoint, separator)
    found = preset(checkpoint)
    if separator is not None:
        raise Refusal(
            f"--separator: {checkpoint.folder} scores at {found.step_tag!r}; only token "
            "classifiers have a choice"
        )
    return found


def _preset(checkpoint: Checkpoint) -> Callable[..., RewardProtocol]:
    architecture = architecture_of(checkpoint)
    if architecture.endswith(OUTCOME) or "-orm-" in repository(checkpoint.folder).lower():
        raise Refusal(
            f"{checkpoint.folder} is an outcome reward model ({architecture}): it scores whole "
            "answers, no steps; choose a process reward model, or say how it scores steps with "
            "--protocol FILE"
        )
    if any(name.startswith("v_head.") for name in checkpoint.tensors):
        return _skywork
    added = added_tokens(checkpoint.folder)
    if outputs(checkpoint) is not None:
        qwen = architecture.endswith("ForProcessRewardModel") or QWEN_TAG in added
        return _qwen_prm if qwen else _trl
    return _rlhflow if TURN_END in added else _math_shepherd


def _math_shepherd(checkpoint: Checkpoint) -> RewardProtocol:
    good, bad, tag = (_piece_id(checkpoint.folder, text) for text in ("+", "-", "ки"))
    if good is None or bad is None or tag is None:
        raise Refusal(
            f"{checkpoint.folder} has no reward head and no tokens for + and - at the tag "
            f"{SHEPHERD_TAG.strip()!r}; say how it scores with --protocol FILE or in protocol.json"
        )
    return math_shepherd(good, bad)


def _rlhflow(checkpoint: Checkpoint) -> RewardProtocol:
    vocabulary = (read_tokenizer(checkpoint.folder).get("model") or {}).get("vocab") or {}
    good, bad = vocabulary.get("+"), vocabulary.get("-")
    if good is None or bad is None:
        raise Refusal(
            f"{checkpoint.folder} has no tokens + and -; say how it scores with --protocol FILE"
        )
    return rlhflow(int(good), int(bad), dated=_has_dates(checkpoint.folder))


def _skywork(checkpoint: Checkpoint) -> RewardProtocol:
    """SkyworkAI/skywork-o1-prm-inference, model_utils/io_utils.py: a score a line."""
    template = f"{_bos(checkpoint.folder)}{{question}}\n"
    return RewardProtocol("value", "\n", template=template, join="", between="")


def _qwen_prm(checkpoint: Checkpoint) -> RewardProtocol:
    """Model card of Qwen/Qwen2.5-Math-PRM-7B."""
    if QWEN_TAG not in added_tokens(checkpoint.folder):
        raise Refusal(
            f"the tokenizer of {checkpoint.folder} lacks {QWEN_TAG}, at which a "
            f"{architecture_of(checkpoint)} scores; take the repository's own tokenizer files"
        )
    return RewardProtocol("classify", QWEN_TAG, QWEN_PRM, join="", between="")


def _trl(checkpoint: Checkpoint, separator: str | None) -> RewardProtocol:
    """TRL's PRMTrainer, `tokenize_row`: prompt, steps and separators are encoded one by one.

    SentencePiece begins each of them with a space.
    """
    if separator is None:
        separator = "\n\n" if BLANK_LINE in repository(checkpoint.folder).lower() else "\n"
    space = " " if _sentencepiece(checkpoint.folder) else ""
    return RewardProtocol(
        "value" if outputs(checkpoint) == 1 else "classify",
        f"{space}{separator}",
        template=f"{'' if space else _bos(checkpoint.folder)}{{question}}",
        join=space,
        between=space,
    )


def _piece_id(folder: Path, text: str) -> int | None:
    """The id of a text with a space before it, where it is one SentencePiece piece."""
    if has_pieces(folder):
        pieces = open_pieces(folder)
        with reading(folder / PIECES):
            ids = pieces.encode(text)
        return int(ids[-1]) if len(ids) == 1 else None
    vocabulary = (read_tokenizer(folder).get("model") or {}).get("vocab")
    found = vocabulary.get("\u2581" + text) if isinstance(vocabulary, dict) else None
    return None if found is None else int(found)


def _sentencepiece(folder: Path) -> bool:
    """Whether texts begin with a space of the tokenizer's own."""
    vocabulary = (read_tokenizer(folder).get("model") or {}).get("vocab")
    return "<0x0A>" in vocabulary if isinstance(vocabulary, dict) else has_pieces(folder)


def _bos(folder: Path) -> str:
    """The beginning-of-sequence token that the tokenizer names; empty where it has none."""
    token = read_json(folder / SETTINGS).get("bos_token")
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else ""


def _has_dates(folder: Path) -> bool:
    """Whether the chat template begins with the dates of Llama 3.1."""
    stated = str(read_json(folder / SETTINGS).get("chat_template") or "")
    path = folder / "chat_template.jinja"
    text = stated + (path.read_text(encoding="utf-8", errors="replace") if path.exists() else "")
    return DATES.partition(":")[0] in text
