"""A judge that was fitted to a policy: heads on the policy's own states, in a file beside it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from convert.artifact import Aggregation, Artifact, manifest_path
from convert.files import regular, sha256, whole, write_json
from convert.refusal import Refusal, reading
from convert.typed import read_typed

SUFFIX = ".judge.safetensors"
Form = Literal["layers", "gated"]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class JudgeProtocol:
    """What a judge reads, and of which policy; its manifest.

    `layers`: two linear layers on a step's log-probabilities and the states at its end and on
    average. `gated`: a weighted mean over the tokens of a path, weights and values linear.
    """

    policy: str  # where the policy came from
    level: str  # at which it was fitted
    hidden: int  # width of a state
    layers: tuple[int, ...]  # that states have passed; -1: after the final norm
    form: Form
    questions: int  # it was fitted to
    answers: int
    auc: float  # within a question, of questions that were held out
    protocol: Literal["self"] = "self"
    aggregation: Aggregation = "last"  # a score is of the path so far
    sha256: dict[str, str] = field(default_factory=dict)  # by file name
    tools: dict[str, str] = field(default_factory=dict)  # versions that made it


def judge_path(policy: Path) -> Path:
    """Where the judge of a policy stands: `p-q4_k_m.judge.safetensors`."""
    name = policy.name.removesuffix(".gguf").removesuffix(".onnx")
    return policy.with_name(name + SUFFIX)


def write_judge(path: Path, protocol: JudgeProtocol, tensors: dict[str, Floats]) -> None:
    """Heads and manifest, each whole or not at all."""
    from safetensors.numpy import save

    with whole(path) as part:
        part.write_bytes(save(tensors))
    named = replace(protocol, sha256={path.name: sha256(path)})
    write_json(manifest_path(path), asdict(named), indent=2)


def read_judge(path: Path, policy: Artifact) -> tuple[JudgeProtocol, dict[str, Floats]]:
    """The protocol and the heads of a judge for this policy.

    Raises:
        FileNotFoundError: if the manifest is gone.
        Refusal: if the judge was changed or broken, or fits no such policy.
    """
    from safetensors.numpy import load_file

    protocol = read_typed(JudgeProtocol, manifest_path(path), "the manifest of a judge")
    if protocol.sha256.get(path.name) != sha256(regular(path)):
        raise Refusal(f"{path} is not the file that its manifest names; fit the judge again")
    shape = policy.shape
    if protocol.hidden != shape.hidden or max(protocol.layers, default=0) >= shape.layers:
        raise Refusal(
            f"{path.name} reads states of width {protocol.hidden}, those of "
            f"{protocol.policy}; {policy.path.name} has {shape.hidden} and {shape.layers} layers"
        )
    with reading(path):
        tensors = load_file(path)
    if not all(t.dtype == np.float32 and np.isfinite(t).all() for t in tensors.values()):
        raise Refusal(f"{path} holds other than finite floats; fit the judge again")
    return protocol, tensors
