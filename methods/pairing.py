"""Which models go together: a policy writes steps, a reward model scores them."""

from __future__ import annotations

from convert.artifact import Artifact
from convert.refusal import Refusal
from runtime.engine import Engine

EXAMPLE = "peiyi9979/math-shepherd-mistral-7b-prm"


def check_policy(artifact: Artifact) -> None:
    """Raise Refusal if a model cannot write steps; says what it is."""
    if artifact.role != "reward":
        return
    advice = "give it as --reward, and a language model as --policy"
    if artifact.reward is None or artifact.reward.kind == "token_logits":
        advice += "; if it is none, convert its checkpoint with --role policy"
    raise Refusal(
        f"{artifact.path.name} is a reward model: it scores steps and writes none; {advice}"
    )


def check_reward(artifact: Artifact) -> None:
    """Raise Refusal if nothing says how a model scores steps."""
    if artifact.reward is None:
        raise Refusal(
            f"{artifact.path.name} is a {artifact.role}, not a reward model; give one such as "
            f"{EXAMPLE}, or say how this one scores with --protocol FILE"
        )


def check_tokens(engine: Engine) -> None:
    """Raise Refusal if a preset that was given by name is one for another vocabulary."""
    from convert.reward_presets import NAMED

    protocol = engine.artifact.reward
    named = next((preset for preset in NAMED.values() if preset.protocol == protocol), None)
    if protocol is None or named is None:
        return
    ids = [i for i in (protocol.good_id, protocol.bad_id) if i is not None]
    pieces = [engine.tokenizer.pieces[i].decode("utf-8", "replace").strip() for i in ids]
    if pieces != [named.good, named.bad]:
        raise Refusal(
            f"{engine.artifact.path.name} has {pieces[0]!r} and {pieces[1]!r} as tokens {ids[0]} "
            f"and {ids[1]}, not {named.good} and {named.bad}: the preset is for another vocabulary"
            "; give --protocol FILE"
        )
