"""A policy with a judge beside it whose heads are random: what it says of a path means nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from convert.self_judge import JudgeProtocol, judge_path, write_judge
from methods.judge_features import NAMES
from runtime.load import describe_model


def fitted(path: Path, folder: Path) -> Path:
    """The policy at a path, with all that stands beside it, in a folder of its own."""
    for beside in path.parent.glob("*"):
        (folder / beside.name).symlink_to(beside)
    policy, draw = describe_model(folder / path.name), np.random.default_rng(0)
    shapes = {
        "probe.weight": (4, 2 * policy.shape.hidden),
        "features.weight": (2, len(NAMES)),
        "features.bias": (2,),
        "out.weight": (2,),
        "out.bias": (1,),
    }
    heads = {name: 0.1 * draw.normal(size=size) for name, size in shapes.items()}
    write_judge(
        judge_path(policy.path),
        JudgeProtocol("p", "f16", policy.shape.hidden, (1, 2), "layers", 1, 1, 0.5),
        {name: values.astype(np.float32) for name, values in heads.items()},
    )
    return policy.path
