"""A checkpoint folder as an artifact that torch opens as it is."""

from __future__ import annotations

from pathlib import Path

from convert.artifact import Artifact, Role, ThoughtEmbedding
from convert.checkpoint import BYTES, read_checkpoint
from convert.hub import repository_of
from convert.identity import identify
from convert.stated import Stated

LEVEL_OF_DTYPE = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}


def artifact_from_folder(
    path: Path,
    role: Role | None = None,
    thought_embedding: ThoughtEmbedding | None = None,
    stated: Stated | None = None,
) -> Artifact:
    """Describe a checkpoint folder; nothing is loaded but headers.

    Raises:
        FileNotFoundError: if a file is missing; names it.
        Refusal: if the folder cannot be used as what it is, or is asked to be.
    """
    checkpoint = read_checkpoint(path)
    identity = identify(checkpoint, role, thought_embedding, stated)
    dtype, repository = checkpoint.dtype, repository_of(path)
    return Artifact(
        path=path,
        format="torch",
        level=LEVEL_OF_DTYPE.get(dtype, dtype),
        role=identity.role,
        architecture=checkpoint.architecture,
        shape=checkpoint.shape,
        size_bytes=checkpoint.size_bytes,
        bits_per_weight=8.0 * BYTES.get(dtype, 2),
        source=repository[0] if repository else path.name,
        revision=repository[1] if repository else None,
        prompt=identity.prompt,
        reward=identity.reward,
        thought=identity.thought,
    )
