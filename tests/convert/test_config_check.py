"""A config.json with values beyond reason, or of another type: one line that names them."""

from __future__ import annotations

import json
import os
import re
import time

import pytest

from convert.checkpoint import read_checkpoint
from convert.config_check import check_config, rope_table
from convert.refusal import Refusal
from tests.conftest import REFERENCE

NAN, INF = float("nan"), float("inf")
CONFIG = json.loads((REFERENCE / "policy" / "config.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("key", "values", "choice"),
    [
        ("num_hidden_layers", (0, -1, 513, 1 << 31, 4.0, "4", True, None, [4]), r"1 to 512"),
        ("hidden_size", (0, 1 << 31, 256.0), r"from 1 to 131072"),
        ("num_attention_heads", (0, 1 << 31), r"from 1 to 4096"),
        ("num_key_value_heads", (0, -2), r"from 1 to 4096"),
        ("num_key_value_heads", (3,), r"a divisor of the heads"),
        ("head_dim", (0, 1 << 31), r"from 2 to 4096"),
        ("head_dim", (63,), r"an even number"),
        ("intermediate_size", (0, 1 << 31), r"from 1 to 2097152"),
        ("vocab_size", (0, 1 << 31), r"from 1 to 4194304"),
        ("max_position_embeddings", (0, 1 << 31), r"from 1 to 2147483647"),
        ("rms_norm_eps", (NAN, INF, -1, 0.5, "1e-6", True), r"from 0.0 to 0.1"),
        ("sliding_window", (0, "x", 1.5), r"from 1 to"),
        ("tie_word_embeddings", ("false", 1), r"true or false"),
        ("architectures", ("MistralForCausalLM", [3], {"a": 1}), r"a list of names"),
        ("eos_token_id", (-2, 1024, "2", [2, 5000]), r"from 0 to 1023"),
        ("rope_scaling", ("linear", [1], 3), r"a table"),
        ("rope_scaling", ({"type": "linear", "factor": NAN},), r"finite number"),
        ("rope_scaling", ({"type": "linear", "factor": "2"},), r"from 0.001 to 1e\+06"),
        ("rope_scaling", ({"type": "yarn", "factor": 0}, {"factor": -1.0}), r"from 0.001 to"),
        ("rope_scaling", ({"type": 3}, {"rope_type": ["x"]}), r"a text"),
        ("rope_scaling", ({"original_max_position_embeddings": 0.5},), r"from 1 to"),
        ("rope_scaling", ({"type": "llama3", "low_freq_factor": 9.0},), r"below the high one"),
        ("rope_parameters", ({"rope_theta": NAN}, {"rope_theta": 0.0}), r"2.0 to 1e\+12"),
    ],
)
def test_a_value_beyond_reason(tmp_path, key, values, choice):
    path = tmp_path / "config.json"
    for value in values:
        with pytest.raises(Refusal) as caught:
            check_config(path, CONFIG | {"rope_parameters": None} | {key: value})
        said = str(caught.value)
        assert said.startswith(f"{path} ")
        assert key in said or key.startswith(("rope", "num_key"))
        assert re.search(choice, said), said


def test_what_may_be_left_out(tmp_path):
    path = tmp_path / "config.json"
    bare = {key: CONFIG[key] for key in CONFIG if "rope" not in key and key != "head_dim"}
    shape = check_config(path, bare | {"rms_norm_eps": 0, "eos_token_id": [1, 2]})
    assert (shape.kv_heads, shape.head_dim) == (2, 64)
    assert rope_table(path, bare) == {"rope_theta": 10000.0, "rope_type": "default"}
    scaled = bare | {"rope_scaling": {"type": "yarn", "factor": 4.0, "beta_fast": None}}
    assert "beta_fast" not in rope_table(path, scaled)


@pytest.mark.parametrize("content", ["[]", "3", '"x"', "[" * 100_000, "\udcff", ""])
def test_a_document_of_another_form(mistral, content):
    (mistral / "config.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(Refusal, match=r"config.json is not"):
        read_checkpoint(mistral)


@pytest.mark.parametrize("value", [["mistral"], {"a": 1}, 3])
def test_a_model_type_of_another_type(mistral, value):
    (mistral / "config.json").write_text(json.dumps(CONFIG | {"model_type": value}))
    with pytest.raises(Refusal, match=r"has model_type .*; choose a model of mistral, .*llama"):
        read_checkpoint(mistral)


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "tokenizer.model",
        "tokenizer.json",
        "tokenizer_config.json",
        "protocol.json",
        "generation_config.json",
        "added_tokens.json",
        "special_tokens_map.json",
        "model.safetensors",
        "model.safetensors.index.json",
    ],
)
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_a_pipe_or_a_folder_in_place_of_a_file(tmp_path, name, kind):
    for path in (REFERENCE / "policy").iterdir():
        (tmp_path / path.name).symlink_to(path)
    path = tmp_path / name
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    begin = time.perf_counter()
    with pytest.raises(Refusal, match=rf"{name} is a (folder|pipe or a device); give a file"):
        _ = read_checkpoint(tmp_path).tensors
    assert time.perf_counter() - begin < 1
