"""The `convert` command: exit codes, streams, one-line errors, Ctrl-C."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import convert
from convert.cli import main

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(convert.__file__).parents[1])}


def _failure(capsys, arguments):
    """The one line that a known error prints."""
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("convert: error: ")
    return line


def test_files_are_listed_on_stdout(tmp_path, capsys):
    assert main(["--quant", "Q8_0", "q4_k", "-o", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert [line.split()[0] for line in out.splitlines()] == ["level", "q8_0", "q4_k_m"]
    assert str(tmp_path / "policy-q4_k_m.gguf") in out


def test_json_is_one_document(tmp_path, capsys):
    assert main(["reference:reward", "--quant", "q8_0", "-o", str(tmp_path), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["level"] == "q8_0"
    assert found["reward"]["good_id"] == 312
    assert Path(found["path"]).exists()


def test_list_and_dry_run_write_nothing(tmp_path, capsys):
    assert main(["--list"]) == 0
    text = capsys.readouterr().out
    assert "q4_k_m           4.89" in text
    assert "+0.1754" in text
    assert "iq1_s" in text
    out = tmp_path / "out"
    assert main(["--quant", "q4_k_m", "q8_0", "--dry-run", "-o", str(out)]) == 0
    assert "3.7 M weights, role policy; nothing written" in capsys.readouterr().out
    assert main(["--quant", "q8_0", "--dry-run", "--json", "-o", str(out)]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["exists"] is False
    assert row["size_bytes_estimated"] == pytest.approx(3.67e6 * 8.5 / 8, rel=0.01)
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--quant", "q4km"], "unknown level 'q4km' for gguf; choose f32, bf16"),
        (["--quant", "q4_k_m", "owner/name"], "put SOURCE before --quant: owner/name"),
        (["--format", "exl2"], "choose from"),
        (["--format", "onnx", "--quant", "q4_k_m"], "unknown level 'q4_k_m' for onnx; choose fp32"),
        (["--role", "poet"], "choose from"),
        (["--thought-embedding", "dashed"], "choose from"),
        (["--quant"], "expected at least one argument"),
    ],
)
def test_bad_usage_is_exit_code_2(capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_a_thinker_shows_its_embedding_at_q8_0(tmp_path, tiny_thinker, capsys):
    source, out = str(tiny_thinker(tmp_path / "thinker")), str(tmp_path / "out")
    options = [source, "--quant", "q4_k_m", "-o", out, "--thought-embedding", "dash", "--json"]
    assert main([*options, "--dry-run"]) == 0
    (planned,) = json.loads(capsys.readouterr().out)
    assert main([*options, "--role", "thinker"]) == 0
    (made,) = json.loads(capsys.readouterr().out)
    assert planned["bits_per_weight"] == pytest.approx(made["bits_per_weight"], abs=0.3)
    assert made["bits_per_weight"] > 5.3
    assert made["thought"] == {"start_id": 1024, "end_id": 1025, "n_ahead": 8, "embedding": "dash"}
    assert main([source, "--role", "thinker", "--dry-run"]) == 0
    assert "1.9 M weights, role thinker; nothing written" in capsys.readouterr().out


def test_known_errors_are_one_line(mistral, tmp_path, capsys, edit):
    out = str(tmp_path / "out")
    assert "does not exist" in _failure(capsys, ["nowhere", "-o", out])
    assert "needs an importance matrix" in _failure(capsys, ["--quant", "iq1_s", "-o", out])
    both = ["--imatrix", __file__, "--calibrate", __file__]
    assert "not both" in _failure(capsys, [*both, "-o", out])
    assert "not an importance matrix" in _failure(capsys, ["--imatrix", __file__, "-o", out])
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    assert "x.gguf is cut short" in _failure(capsys, [str(tmp_path / "x.gguf"), "-o", out])
    (tmp_path / "x.gguf").write_bytes(b"else")
    assert "x.gguf is not a GGUF" in _failure(capsys, [str(tmp_path / "x.gguf"), "-o", out])
    assert f"{__file__}: file exists" in _failure(capsys, ["-o", __file__])
    plain = [str(mistral), "--role", "thinker", "-o", out]
    assert "mistral lacks tensor talk_head.0.0.weight" in _failure(capsys, plain)
    edit(mistral, **{"lm_head.weight": np.full((1024, 256), np.nan, np.float32)})
    assert "lm_head.weight holds NaN" in _failure(capsys, [str(mistral), "-o", out])
    assert not any(Path(out).glob("*"))


def test_requantizing_is_said(reference, tmp_path, capsys):
    path = str(reference("policy", "q8_0"))
    assert main([path, "--quant", "q2_k", "-o", str(tmp_path)]) == 0
    assert "convert: warning: policy-q8_0.gguf is already quantized" in capsys.readouterr().err


def test_force(tmp_path, capsys):
    arguments = ["--quant", "q8_0", "-o", str(tmp_path)]
    assert main(arguments) == 0
    capsys.readouterr()
    assert "exists; give --force" in _failure(capsys, arguments)
    assert main([*arguments, "--force"]) == 0


def test_help_is_instant_and_loads_no_backend():
    code = (
        "import sys, convert.cli; from convert import artifact, levels, command;"
        "heavy = {'torch', 'transformers', 'llama_cpp', 'numpy', 'gguf', 'sentencepiece', 'tqdm'};"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, check=False)
    assert done.returncode == 0
