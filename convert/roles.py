"""What a checkpoint is for: policy, reward model, or thinker."""

from __future__ import annotations

from pathlib import Path

from convert.artifact import RewardProtocol, Role
from convert.checkpoint import Checkpoint
from convert.refusal import Refusal, reading
from convert.thoughts import THOUGHT_TENSORS
from convert.tokenizer_files import PIECES, has_pieces, open_pieces, read_tokenizer

CLASSIFIERS = ("ForTokenClassification", "ForSequenceClassification", "ForProcessRewardModel")
SHEPHERD = ("shepherd", "-prm", "prm-")  # in the name of a checkpoint that scores with tokens
STEP_TAG = " ки"
QWEN_PRM = (  # what Qwen2.5-Math-PRM reads before the first step, by its model card
    "<|im_start|>system\nPlease reason step by step, and put your final answer within "
    "\\boxed{}.<|im_end|>\n<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
)


def detect_role(checkpoint: Checkpoint) -> Role:
    """The role that architecture, tensor names and the folder's name tell."""
    names = checkpoint.tensors
    if any(name.startswith(THOUGHT_TENSORS) for name in names):
        return "thinker"
    architecture = (checkpoint.config.get("architectures") or [""])[0]
    if architecture.endswith(CLASSIFIERS) or any(
        name.startswith(("score.", "v_head.")) for name in names
    ):
        return "reward"
    folder = checkpoint.folder.resolve()
    if folder.parent.name == "snapshots":  # of the hub's cache: its name is a commit
        folder = folder.parents[1]
    return "reward" if any(part in folder.name.lower() for part in SHEPHERD) else "policy"


def reward_protocol(checkpoint: Checkpoint) -> RewardProtocol:
    """How a reward model scores, told from its head.

    Raises:
        Refusal: if there is no head and the tokenizer has no step tag.
    """
    names = checkpoint.tensors
    if any(name.startswith("v_head.") for name in names):
        return RewardProtocol("value", "\n", template="{question}\n", join="")
    count = outputs(checkpoint)
    if count is not None:
        kind = "value" if count == 1 else "classify"
        if kind == "classify" and checkpoint.architecture == "qwen2":
            return RewardProtocol("classify", "<extra_0>", QWEN_PRM, join="")
        return RewardProtocol(kind, "\n")  # type: ignore[arg-type]
    good, bad, tag_id = (_piece_id(checkpoint.folder, text) for text in ("+", "-", "ки"))
    if good is None or bad is None or tag_id is None:
        raise Refusal(
            f"{checkpoint.folder} has no reward head and no tokens for + and - at the tag "
            f"{STEP_TAG.strip()!r}; describe its scores in protocol.json"
        )
    return RewardProtocol("token_logits", STEP_TAG, good_id=good, bad_id=bad)


def outputs(checkpoint: Checkpoint) -> int | None:
    """How many numbers a reward head gives; None where there is none that is known here."""
    last = [t for name, t in checkpoint.tensors.items() if _is_last_layer(name)]
    return last[-1].shape[0] if last and last[-1].shape else None


def _is_last_layer(name: str) -> bool:
    return name in ("score.weight", "score.2.weight", "classifier.weight")


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
