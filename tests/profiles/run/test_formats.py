"""GGUF and ONNX in one run: levels, names, and a report of both."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from convert.levels import UnknownLevel
from profiles.cli import main
from profiles.records.configuration import fingerprint
from profiles.run.arguments import LEVELS
from profiles.run.request import resolve_levels


def _resolved(formats: list[str], levels: list[str] | None, **more: object) -> Namespace:
    given = {"think_levels": None, "reward_level": "same"} | more
    options = Namespace(formats=formats, levels=levels, **given)
    resolve_levels(options)
    return options


def test_a_level_belongs_to_a_wanted_format() -> None:
    assert _resolved(["gguf"], None).levels == LEVELS["gguf"]
    assert _resolved(["gguf", "onnx"], None).levels == LEVELS["gguf"] + LEVELS["onnx"]
    assert _resolved(["gguf"], ["FP16", "q4_k"]).levels == ("f16", "q4_k_m")
    assert _resolved(["gguf", "onnx"], ["fp16", "f16", "INT4"]).levels == ("fp16", "f16", "int4")
    found = _resolved(["onnx"], ["int4"], think_levels=["INT4"], reward_level="INT8")
    assert (found.think_levels, found.reward_level) == (["int4"], "int8")
    with pytest.raises(UnknownLevel, match=r"'int4' for gguf; choose f32"):
        _resolved(["gguf"], ["int4"])
    with pytest.raises(UnknownLevel, match=r"'q4_k_m' for onnx; choose fp32"):
        _resolved(["onnx"], ["q4_k_m"])


def test_a_wrong_level_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["run", "--formats", "onnx", "--levels", "q4_k_m"])
    assert stopped.value.code == 2
    assert "unknown level 'q4_k_m' for onnx; choose fp32" in capsys.readouterr().err


def test_new_weights_under_an_old_graph_are_noticed(tmp_path: Path) -> None:
    graph, data = tmp_path / "m.onnx", tmp_path / "m.onnx.data"
    graph.write_bytes(b"graph")
    data.write_bytes(b"weights")
    before = fingerprint(graph)
    data.write_bytes(b"others!")
    assert fingerprint(graph) != before


def test_one_report_of_both_formats(
    tmp_path: Path, reference: Callable[[str, str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    models = [str(reference("policy", level)) for level in ("q8_0", "int8")]
    judge = str(reference("reward", "int8"))
    out = tmp_path / "report"
    size = ["--methods", "greedy", "rebase", "--width", "2", "--limit", "2"]
    arguments = ["--policy", *models, "--reward", judge, *size, "-o", str(out), "--json"]
    assert main(["run", *arguments]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {(row["format"], row["level"]) for row in rows} == {("gguf", "q8_0"), ("onnx", "int8")}
    methods = [row["method"] for row in rows if row["format"] == "onnx"]
    assert {"greedy", "rebase"} <= set(methods)
    assert all(row["decode_tok_per_s"] > 0 for row in rows)
    assert len(list((out / "records").glob("policy-onnx-int8-*[0-9].jsonl"))) == 2
