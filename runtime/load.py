"""Opening a model as an engine; a backend loads when it is first asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from convert.artifact import Artifact, RewardProtocol, read_artifact
from convert.first_look import first_look
from convert.refusal import Refusal
from convert.stated import Stated
from convert.supervise import doing
from convert.verify import verify
from runtime import devices
from runtime.engine import Engine
from runtime.options import EngineOptions
from runtime.probe import Probe, check_layers

__all__ = ["EngineOptions", "describe_model", "open_artifact", "open_engine"]


def describe_model(path: Path, protocol: RewardProtocol | None = None) -> Artifact:
    """What stands at a path: a GGUF, with or without our manifest, ONNX, or a checkpoint folder.

    With a protocol it is taken for a reward model that scores so.

    Raises:
        FileNotFoundError: if there is nothing.
        Refusal: if it is not a model; says what was expected.
    """
    if not path.exists():
        raise FileNotFoundError(
            f"{path} does not exist; give a .gguf or .onnx file, or a checkpoint folder"
        )
    if path.is_dir():
        from convert.torch_artifact import artifact_from_folder

        stated = None if protocol is None else Stated("reward", reward=protocol)
        return artifact_from_folder(path, stated=stated)
    found = _describe_onnx(path) if path.name.endswith(".onnx") else _describe_gguf(path)
    if protocol is None:
        return found
    from convert.identity import as_reward

    return as_reward(found, protocol)


def _describe_gguf(path: Path) -> Artifact:
    from convert.gguf_artifact import artifact_from_gguf

    found = artifact_from_gguf(path)
    try:
        named = read_artifact(path)
    except FileNotFoundError:
        return found
    return replace(found, level=named.level, sha256=named.sha256, tools=named.tools)


def _describe_onnx(path: Path) -> Artifact:
    try:
        return read_artifact(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{path} has no manifest beside it; give a file that convert --format onnx wrote, "
            "with all that it wrote"
        ) from error


def open_engine(
    path: Path,
    options: EngineOptions | None = None,
    protocol: RewardProtocol | None = None,
    probe: Probe | None = None,
) -> Engine:
    """An engine for a model: llama.cpp for GGUF, onnxruntime for ONNX, torch for a folder.

    With a protocol it is a reward model that scores so; with a probe its states are read.

    Raises:
        FileNotFoundError: if there is nothing at `path`.
        Refusal: if it is not a model that can be opened, or cannot think and should; says what
            was found.
    """
    return open_artifact(describe_model(path, protocol), options or EngineOptions(), probe)


def open_artifact(artifact: Artifact, options: EngineOptions, probe: Probe | None = None) -> Engine:
    """`open_engine` for a model that was described."""
    doing(f"opening {artifact.path.name}")
    engine = (_open if options.think == "off" else _thinking)(artifact, options, probe)
    doing(f"working with {artifact.path.name}")
    return engine


def _thinking(artifact: Artifact, options: EngineOptions, probe: Probe | None) -> Engine:
    if artifact.thought is None:
        raise Refusal(
            f"{artifact.path} is no Quiet-STaR model: it cannot think; choose --think off, or a "
            "model such as reference:thinker"
        )
    from convert.heads import read_talk_head
    from runtime.gate import Gate
    from runtime.thinking_engine import ThinkingEngine

    head = read_talk_head(artifact)
    gate = Gate(options.gate_by, options.gate) if options.think == "gated" else None
    engine = _open(artifact, options, probe)
    try:
        return ThinkingEngine(engine, head, gate=gate, temperature=options.thought_temperature)
    except ValueError:
        engine.close()
        raise


def _open(artifact: Artifact, options: EngineOptions, probe: Probe | None) -> Engine:
    devices.keep_numpy_single_threaded()
    if probe is not None:
        check_layers(probe.layers, artifact.shape.layers, artifact.path.name)
    vouched = verify(artifact)
    if artifact.format == "gguf":
        from runtime.gguf_engine import GgufEngine

        if not vouched:
            first_look(artifact.path)
        return GgufEngine(artifact, options, probe)
    if artifact.format == "onnx":
        if not vouched:
            raise Refusal(f"{artifact.manifest_path} names no hash of {artifact.path.name}")
        from runtime.onnx_engine import OnnxEngine

        return OnnxEngine(artifact, options, probe)
    if artifact.format == "torch":
        from runtime.torch_engine import TorchEngine

        return TorchEngine(artifact, options, probe)
    raise Refusal(
        f"{artifact.path} is in format {artifact.format}; choose a .gguf file or a checkpoint"
    )
