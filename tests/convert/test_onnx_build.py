"""ONNX levels built from a checkpoint: files, manifests, the command line, failures."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.artifact import read_artifact
from convert.cli import main
from convert.ensure import ensure, ensure_all
from convert.files import sha256

onnx = pytest.importorskip("onnx")

from convert.onnx_weights import dequantize, quantize  # noqa: E402


def _tensor(path: Path, name: str) -> Any:
    """An external tensor as the graph describes it."""
    model = onnx.load(path, load_external_data=False)
    found = next(t for t in model.graph.initializer if t.name == name)
    return onnx.numpy_helper.to_array(found, base_dir=str(path.parent))


def test_the_command_writes_a_model_and_its_manifest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--format", "onnx", "--quant", "fp32", "INT4", "-o", str(tmp_path), "--json"]
    assert main(["reference:policy", *arguments]) == 0
    full, small = json.loads(capsys.readouterr().out)
    names = [p.name for p in sorted(tmp_path.iterdir())]
    assert re.fullmatch(r"policy-[0-9a-f]{12}\.tokenizer\.json", names.pop(0))
    assert names == [
        "policy-fp32.onnx",
        "policy-fp32.onnx.data",
        "policy-fp32.onnx.manifest.json",
        "policy-int4.cuda.onnx",
        "policy-int4.onnx",
        "policy-int4.onnx.data",
        "policy-int4.onnx.manifest.json",
    ]
    artifact = read_artifact(tmp_path / "policy-int4.onnx")
    assert (artifact.format, artifact.level, artifact.role) == ("onnx", "int4", "policy")
    assert artifact.tokenizer is not None
    assert (tmp_path / artifact.tokenizer).exists()
    assert artifact.prompt is not None
    for name, digest in artifact.sha256.items():
        assert sha256(tmp_path / name) == digest
    assert set(artifact.tools) == {"onnx", "starbase-edge"}
    assert 32 <= full["bits_per_weight"] < 32.2
    assert 4.5 < small["bits_per_weight"] < 5.3  # embeddings and output projection at 8.5
    files = [tmp_path / "policy-int4.onnx", tmp_path / "policy-int4.onnx.data"]
    assert artifact.size_bytes == sum(file.stat().st_size for file in files)


def test_existing_files_need_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--format", "onnx", "--quant", "int8", "-o", str(tmp_path)]
    assert main(arguments) == 0
    assert main(arguments) == 1
    assert "policy-int8.onnx exists; give --force" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0


def test_the_list_and_a_dry_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--format", "onnx", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["fp32", "fp16", "int8"]
    assert "a scale per 32 weights" in lines[3]
    quant = ["--quant", "int4", "int4_asym_b64"]
    assert main(["--format", "onnx", *quant, "--dry-run", "--json", "-o", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [entry["level"] for entry in found] == ["int4", "int4_asym_b64"]
    made = ensure("reference:policy", "int4", tmp_path)
    assert abs(found[0]["size_bytes_estimated"] / made.size_bytes - 1) < 0.03
    assert found[0]["bits_per_weight"] == pytest.approx(made.bits_per_weight, rel=0.02)


def test_what_cannot_become_onnx(
    tmp_path: Path, mistral: Path, edit: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["-o", str(tmp_path / "out")]
    gguf = ensure("reference:policy", "q8_0", tmp_path).path
    assert main([str(gguf), "--format", "onnx", *out]) == 1
    assert "cannot become onnx; give its checkpoint" in capsys.readouterr().err
    name = "model.layers.1.mlp.up_proj.weight"
    edit(mistral, **{name: np.full((512, 256), 1e6, np.float32)})
    assert main([str(mistral), "--format", "onnx", "--quant", "fp16", *out]) == 1
    said = "up_proj exceeds float16; choose fp32, int8 or int4"
    assert said in capsys.readouterr().err
    edit(mistral, **{name: np.full((512, 256), np.nan, np.float32)})
    assert main([str(mistral), "--format", "onnx", "--quant", "int4", *out]) == 1
    assert f"tensor {name} holds NaN" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*.onnx*"))  # nothing half-made stays


def test_settings_that_no_graph_here_has(
    tmp_path: Path, tiny: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    rope = {"rope_type": "dynamic", "factor": 2.0}
    cases: list[tuple[Any, Any, dict[str, Any], str]] = [
        (LlamaForCausalLM, LlamaConfig, {"rope_scaling": rope}, "rope scaling 'dynamic' has no"),
        (Qwen2ForCausalLM, Qwen2Config, {"use_sliding_window": True}, "use_sliding_window in"),
        (LlamaForCausalLM, LlamaConfig, {"hidden_size": 240}, "hidden size 240"),
    ]
    for number, (model, config, changes, said) in enumerate(cases):
        folder = tmp_path / str(number)
        tiny(folder, model, config, **changes)
        assert main([str(folder), "--format", "onnx", "-o", str(tmp_path / "out")]) == 1
        assert said in capsys.readouterr().err


def test_without_onnx_one_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    monkeypatch.delitem(sys.modules, "convert.onnx_build", raising=False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "convert.onnx_graph", raising=False)
    assert main(["--format", "onnx", "-o", str(tmp_path / "out")]) == 1
    assert "onnx is not installed; pip install 'starbase-edge[onnx]'" in capsys.readouterr().err


def test_one_order_may_hold_both_formats(tmp_path: Path) -> None:
    made = ensure_all("reference:policy", ["q8_0", "int8", "f16"], tmp_path)
    assert [a.path.name for a in made] == [
        "policy-q8_0.gguf",
        "policy-int8.onnx",
        "policy-f16.gguf",
    ]
    before = made[1].path.stat().st_mtime_ns
    (again,) = ensure_all("reference:policy", ["int8"], tmp_path)
    assert (again, again.path.stat().st_mtime_ns) == (made[1], before)
    made[1].path.with_name("policy-int8.onnx.data").write_bytes(b"cut")
    (whole,) = ensure_all("reference:policy", ["int8"], tmp_path)
    assert whole.path.with_name("policy-int8.onnx.data").stat().st_size > 10**6


def test_a_reward_models_head_and_protocol_come_along(tmp_path: Path) -> None:
    reward = ensure("reference:reward", "int8", tmp_path)
    assert reward.role == "reward"
    assert reward.reward is not None
    assert reward.reward == ensure("reference:reward", "q8_0", tmp_path).reward


@pytest.mark.parametrize("level", ["fp16", "int4"])
def test_a_thinkers_two_rows_stand_in_its_embeddings(
    level: str, tmp_path: Path, tiny_thinker: Callable[..., Path]
) -> None:
    from safetensors.numpy import load_file

    folder = tiny_thinker(tmp_path / "t")
    artifact = ensure(str(folder), level, tmp_path / "out")
    assert artifact.thought is not None
    assert artifact.heads_path is not None
    assert artifact.heads_path.exists()
    source = load_file(folder / "model.safetensors")
    wanted = source["model.embed_tokens.weight"].astype(np.float32)
    ids = [artifact.thought.start_id, artifact.thought.end_id]
    wanted[ids] = 100 * np.stack([source[f"{n}_embedding"][0] for n in ("start", "end")])
    if level == "fp16":
        stored = _tensor(artifact.path, "embed").astype(np.float32)
        assert np.array_equal(stored, wanted.astype(np.float16).astype(np.float32))
    else:
        exact = dequantize(quantize(wanted, 8, 32, symmetric=True), 8, 256)
        codes, scales = (_tensor(artifact.path, f"embed.{x}") for x in ("codes", "scales"))
        assert np.array_equal(
            (codes.astype(np.float32) - 128) * scales.astype(np.float32)[..., None],
            exact.reshape(codes.shape),
        )
