"""Opening an ONNX file with onnxruntime: which provider, and one clear line where it cannot be."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from convert.artifact import Artifact
from convert.onnx_files import cuda_path, model_files
from convert.refusal import Refusal
from runtime import devices
from runtime.onnx_errors import reason
from runtime.options import EngineOptions

DEVICES = ("auto", "cuda", "cpu")
WHEELS = ("onnxruntime", "onnxruntime-gpu")
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
INPUTS = ("input_ids", "position_ids", "attention_bias", "lengths", "rows")
SILENT = 4  # severity: only what ends the process


@dataclass(frozen=True, slots=True)
class Opened:
    """A session, where it runs, and what the file says of itself."""

    session: Any
    device: str  # one line for people
    cuda: bool
    facts: dict[str, str]


def open_session(artifact: Artifact, options: EngineOptions) -> Opened:
    """A session on CUDA where it can be had, else on the CPU.

    Raises:
        FileNotFoundError: if a file of the model is gone.
        Refusal: for a device that is unknown or cannot be had, a file that is no decoder of
            ours, or operators that this onnxruntime lacks.
        Refusal: if two onnxruntime wheels overwrote each other.
    """
    if options.device not in DEVICES:
        raise Refusal(f"unknown device {options.device!r} for onnx; choose {', '.join(DEVICES)}")
    for name, given in (("kv-type", options.kv_type != "f16"), ("gpu-layers", options.gpu_layers)):
        if given:
            raise Refusal(f"--{name} is for .gguf files; leave it out for {artifact.path.name}")
    _check_wheels()
    _check_files(artifact)
    import onnxruntime as ort

    ort.set_default_logger_severity(SILENT)
    threads = options.threads or devices.threads()
    why_not = ""
    if options.device != "cpu":
        session, why_not = _on_cuda(ort, artifact.path, threads)
        if session is not None:
            return _opened(artifact, session, "CUDA, float16", cuda=True)
        if options.device == "cuda":
            raise Refusal(f"--device cuda: {why_not}; choose auto or cpu")
    session = _session(ort, artifact.path, threads, [CPU])
    return _opened(artifact, session, devices.describe_cpu(threads, why_not), cuda=False)


def _on_cuda(ort: Any, path: Path, threads: int) -> tuple[Any, str]:
    """A session on a card; or None, and why not."""
    if CUDA not in ort.get_available_providers():
        return None, "this onnxruntime has no CUDA; onnxruntime-gpu has"
    graph = cuda_path(path)
    if not graph.exists():
        return None, f"{path.name} has no graph for CUDA; fp16, int8 and int4 have"
    with redirect_stdout(io.StringIO()):  # it prints what it does not find
        ort.preload_dlls(directory="")
    try:
        session = _session(ort, graph, threads, [CUDA, CPU])
        if session.get_providers()[0] != CUDA:  # onnxruntime falls back without a word
            return None, "no CUDA driver, or not the libraries that onnxruntime-gpu needs"
        _try(session)
    except ValueError as error:
        return None, str(error)
    return session, ""


def _try(session: Any) -> None:
    """Two tokens after two others: what an attention kernel refuses, it refuses when it runs.

    Raises:
        Refusal: if the session cannot do that; in onnxruntime's words.
    """
    feeds = {
        "input_ids": np.zeros((1, 2), np.int64),
        "position_ids": np.array([[2, 3]]),
        "attention_bias": np.zeros((1, 1, 2, 4), np.float32),
        "lengths": np.array([4]),
        "rows": np.array([1]),
    }
    for value in session.get_inputs()[len(feeds) :]:
        _, heads, _, size = value.shape
        feeds[value.name] = np.zeros((1, heads, 2, size), np.float16)
    try:
        session.run(["hidden_states"], feeds)
    except Exception as error:  # onnxruntime's own classes derive from it directly
        raise Refusal(f"onnxruntime refuses: {' '.join(str(error).split())}") from error


def _session(ort: Any, path: Path, threads: int, providers: list[str]) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = SILENT
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
    except Exception as error:  # onnxruntime's own classes derive from it directly
        raise Refusal(reason(path, str(error), ort.__version__)) from error


def _opened(artifact: Artifact, session: Any, device: str, *, cuda: bool) -> Opened:
    names = {value.name for value in session.get_inputs()}
    missing = [name for name in INPUTS if name not in names]
    if missing:
        raise Refusal(f"{artifact.path} has no input {missing[0]!r}: not a decoder made by convert")
    _check_shape(artifact, session)
    facts = dict(session.get_modelmeta().custom_metadata_map)
    return Opened(session, device, cuda, facts)


def _check_shape(artifact: Artifact, session: Any) -> None:
    """The manifest's sizes are those of the graph: memory is laid out by them."""
    shape = artifact.shape
    caches = [value.shape for value in session.get_inputs()[len(INPUTS) :]]
    widths = {value.name: value.shape[-1] for value in session.get_outputs()}
    found = [len(caches) // 2, *{(c[1], c[3]) for c in caches}, widths.get("hidden_states")]
    wanted = [shape.layers, (shape.kv_heads, shape.head_dim), shape.hidden]
    if found != wanted or widths.get("logits", shape.vocab) != shape.vocab:
        raise Refusal(
            f"{artifact.manifest_path} gives other sizes than {artifact.path.name} has; convert "
            "the model again"
        )


def _check_wheels() -> None:
    """Two wheels in one environment overwrite each other's files."""
    found = [name for name in WHEELS if _installed(name)]
    if len(found) > 1:
        raise Refusal(
            f"{' and '.join(found)} are both installed and overwrite each other; "
            "uninstall both, then install one"
        )
    if not found:
        raise Refusal("onnxruntime is not installed; pip install 'starbase-edge[onnx]'")


def _installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


def _check_files(artifact: Artifact) -> None:
    """The model's files, and its tokenizer, stand where the manifest says."""
    others = [artifact.path.with_name(artifact.tokenizer)] if artifact.tokenizer else []
    for path in (*model_files(artifact.path), *others):
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing; it belongs beside {artifact.path.name}")
