"""Opening ONNX files: what is missing, damaged, unknown or not to be had, each in one line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.artifact import read_artifact
from convert.files import sha256
from convert.onnx_files import data_path
from convert.verify import files_of
from runtime.load import EngineOptions, open_engine

ort = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")

Reference = Callable[[str, str], Path]
OPTIONS = EngineOptions(device="cpu", threads=1, context=512, max_branches=16)


def _copy(reference: Reference, folder: Path, level: str = "int4") -> Path:
    """The files of a model in a folder of their own."""
    path = reference("policy", level)
    artifact = read_artifact(path)
    for source in (*files_of(artifact), artifact.manifest_path):
        shutil.copy(source, folder)
    return folder / path.name


def _edit(path: Path, change: Callable[[Any], None]) -> None:
    model = onnx.load(path, load_external_data=False)
    change(model)
    path.write_bytes(model.SerializeToString())
    _vouch(path)


def _vouch(path: Path) -> None:
    """Let the manifest name the files as they are."""
    artifact = read_artifact(path)
    replace(artifact, sha256={f.name: sha256(f) for f in files_of(artifact)}).write()


def _without_input(model: Any) -> None:
    model.graph.input[3].name = "sizes"
    for node in model.graph.node:
        node.input[:] = ["sizes" if name == "lengths" else name for name in node.input]


def _rename(kind: str, name: str) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        next(n for n in model.graph.node if n.op_type == kind).op_type = name

    return change


def _opset(model: Any) -> None:
    model.opset_import[0].version = 99


def _format(model: Any) -> None:
    model.ir_version = 99


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_opset, r"int4.onnx has operators of opset 99, newer than onnxruntime .*; update"),
        (_format, r"int4.onnx has ONNX format version 99, newer than onnxruntime .*; update"),
        (_rename("MatMulNBits", "MatMulOne"), r"has operator com.microsoft:MatMulOne, which onnx"),
        (_rename("Sigmoid", "Sigma"), r"has operator Sigma, which onnxruntime [\d.]+ lacks; upd"),
        (_without_input, r"has no input 'lengths': not a decoder made by convert"),
        (lambda m: m.graph.node.pop(5), r"onnxruntime [\d.]+ cannot open .*: Invalid model"),
    ],
)
def test_graphs_that_cannot_run(
    reference: Reference, tmp_path: Path, change: Callable[[Any], None], said: str
) -> None:
    path = _copy(reference, tmp_path)
    _edit(path, change)
    with pytest.raises(ValueError, match=said) as raised:
        open_engine(path, OPTIONS)
    assert "\n" not in str(raised.value)


def test_files_that_are_missing_or_damaged(reference: Reference, tmp_path: Path) -> None:
    path = _copy(reference, tmp_path)
    graph, data = path.read_bytes(), data_path(path).read_bytes()
    for content in (b"", b"hello " * 100, graph[: len(graph) // 2]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"int4.onnx is not the file that policy-int4.on"):
            open_engine(path, OPTIONS)
        _vouch(path)
        with pytest.raises(ValueError, match=r"int4.onnx is not an ONNX model, or was cut short"):
            open_engine(path, OPTIONS)
    path.write_bytes(graph)
    data_path(path).write_bytes(data[: len(data) // 2])
    _vouch(path)
    with pytest.raises(ValueError, match=r"int4.onnx.data is cut short, or of another conversion"):
        open_engine(path, OPTIONS)
    for missing in (data_path(path), tmp_path / str(read_artifact(path).tokenizer)):
        data_path(path).write_bytes(data)
        _vouch(path)
        missing.unlink()
        with pytest.raises(FileNotFoundError, match=rf"{missing.name} is missing; it belongs"):
            open_engine(path, OPTIONS)
    (tmp_path / f"{path.name}.manifest.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no manifest beside it; give a file that"):
        open_engine(path, OPTIONS)


def test_options_that_do_not_fit(reference: Reference) -> None:
    path = reference("policy", "int4")
    device: Any = "tensorrt"
    for options, said in (
        (replace(OPTIONS, device=device), "unknown device 'tensorrt' for onnx; choose auto, cuda"),
        (replace(OPTIONS, kv_type="q8_0"), "--kv-type is for .gguf files"),
        (replace(OPTIONS, gpu_layers=3), "--gpu-layers is for .gguf files"),
        (replace(OPTIONS, context=99999), "--context 99999: this model's tables end at 32768"),
    ):
        with pytest.raises(ValueError, match=said):
            open_engine(path, options)


def test_no_card_is_one_line(
    reference: Reference, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = reference("policy", "int4")
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        with open_engine(path, replace(OPTIONS, device="auto")) as engine:
            assert engine.device.startswith("CPU, 1 thread (this onnxruntime has no CUDA")
        with pytest.raises(ValueError, match="--device cuda: this onnxruntime has no CUDA"):
            open_engine(path, replace(OPTIONS, device="cuda"))
    listed, session = ["CUDAExecutionProvider", "CPUExecutionProvider"], ort.InferenceSession
    monkeypatch.setattr(ort, "get_available_providers", lambda: listed)  # as onnxruntime-gpu lists

    def fall_back(*args: Any, providers: list[str], **options: Any) -> Any:
        return session(*args, providers=providers[-1:], **options)  # as it does without a driver

    monkeypatch.setattr(ort, "InferenceSession", fall_back)
    for level, why in (
        ("int4", "no CUDA driver, or"),
        ("fp32", "has no graph for CUDA; fp16, int8"),
    ):
        path = reference("policy", level)
        with open_engine(path, replace(OPTIONS, device="auto")) as engine:
            assert why in engine.device
            assert engine.device.startswith("CPU, 1 thread (")
            with engine.open([5, 6, 7]) as root:
                assert np.isfinite(engine.logits([root])).all()
        with pytest.raises(ValueError, match=f"--device cuda: .*{why}.*; choose auto or cpu"):
            open_engine(path, replace(OPTIONS, device="cuda"))
    assert "".join(capfd.readouterr()) == ""


def test_two_wheels_at_once_are_an_error(
    reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = reference("policy", "int4")
    monkeypatch.setattr("runtime.onnx_session._installed", lambda _: True)
    with pytest.raises(ValueError, match="onnxruntime and onnxruntime-gpu are both installed"):
        open_engine(path, OPTIONS)
    monkeypatch.setattr("runtime.onnx_session._installed", lambda _: False)
    with pytest.raises(ValueError, match=r"pip install 'starbase-edge\[onnx\]'"):
        open_engine(path, OPTIONS)
