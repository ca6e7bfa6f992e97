"""How a Quiet-STaR checkpoint thinks, told from its files, and the one line for what is wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from convert.artifact import ThoughtProtocol
from convert.checkpoint import read_checkpoint
from convert.thoughts import thought_rows
from convert.torch_artifact import artifact_from_folder


@pytest.fixture
def thinker(tmp_path, tiny_thinker):
    return tiny_thinker(tmp_path / "thinker")


def _configure(folder, name="config.json", **changes):
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _forget_added(folder, *, known=()):
    path = folder / "tokenizer.json"
    document = json.loads(path.read_text())
    kept = [e for e in document["added_tokens"] if e["id"] < 1024 or e["content"] in known]
    path.write_text(json.dumps(document | {"added_tokens": kept}))


def test_a_thinker_is_told_by_its_talk_head(thinker):
    found = artifact_from_folder(thinker)
    assert found.role == "thinker"
    assert found.thought == ThoughtProtocol(1024, 1025, 8, "trained")
    assert artifact_from_folder(thinker, "policy").thought is None


def test_max_thoughts_gives_n_ahead(tmp_path, tiny_thinker):
    found = artifact_from_folder(tiny_thinker(tmp_path, max_thoughts=6))
    assert found.thought is not None
    assert found.thought.n_ahead == 4


@pytest.mark.parametrize("name", ["tokenizer.json", "added_tokens.json", "tokenizer_config.json"])
def test_ids_by_the_names_of_added_tokens(thinker, name):
    ids = {"<|startthought|>": 700, "<|endthought|>": 7}
    _forget_added(thinker)
    if name == "added_tokens.json":
        (thinker / name).write_text(json.dumps(ids))
    elif name == "tokenizer.json":
        entries = [{"content": token, "id": i} for token, i in ids.items()]
        _configure(thinker, name, added_tokens=entries)
    else:
        decoder = {str(i): {"content": token} for token, i in ids.items()}
        _configure(thinker, name, added_tokens_decoder=decoder)
    thought = artifact_from_folder(thinker).thought
    assert thought is not None
    assert (thought.start_id, thought.end_id) == (700, 7)


def test_the_last_two_ids_where_the_tokenizer_has_no_names(thinker):
    _forget_added(thinker)
    thought = artifact_from_folder(thinker).thought
    assert thought is not None
    assert (thought.start_id, thought.end_id) == (1024, 1025)


def test_protocol_file_and_option_win(thinker):
    given = {"start_id": 3, "end_id": 4, "n_ahead": 5, "embedding": "dash"}
    (thinker / "protocol.json").write_text(json.dumps({"thought": given}))
    assert artifact_from_folder(thinker).thought == ThoughtProtocol(3, 4, 5, "dash")
    assert artifact_from_folder(thinker, None, "trained").thought == ThoughtProtocol(
        3, 4, 5, "trained"
    )


def test_trained_rows_are_scaled(thinker):
    source = load_file(thinker / "model.safetensors")
    rows = thought_rows(read_checkpoint(thinker), "trained")
    expected = [source["start_embedding"][0] * 100, source["end_embedding"][0] * 100]
    np.testing.assert_allclose(rows, expected, rtol=1e-6)
    assert rows.dtype == np.float32


@pytest.mark.parametrize("sentencepiece", [True, False])
def test_dash_rows_are_the_embedding_of_its_first_token(thinker, sentencepiece):
    from transformers import AutoTokenizer

    (first, *_) = AutoTokenizer.from_pretrained(thinker).encode("---", add_special_tokens=False)
    if not sentencepiece:
        (thinker / "tokenizer.model").unlink()
    source = load_file(thinker / "model.safetensors")["model.embed_tokens.weight"]
    rows = thought_rows(read_checkpoint(thinker), "dash")
    np.testing.assert_array_equal(rows, [source[first], source[first]])


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"talk_head.0.2.weight": None}, r"thinker lacks tensor talk_head.0.2.weight, which every"),
        ({"talk_head.0.0.bias": None}, r"lacks tensor talk_head.0.0.bias"),
        ({"start_embedding": None}, r"thinker lacks tensor start_embedding"),
        ({"end_embedding": (1, 256)}, r"end_embedding has shape \[1, 256\], expected \[2, 256\]"),
        ({"talk_head.0.0.weight": (256, 256)}, r"0.0.weight has shape \[256, 256\], .* \[256, 512"),
        ({"talk_head.0.4.weight": (256, 256)}, r"0.4.weight has shape \[256, 256\], .* \[1, 256"),
        (
            {"talk_head.0.6.weight": (1, 1)},
            r"holds tensor talk_head.0.6.weight, which no talk head",
        ),
    ],
)
def test_a_talk_head_that_does_not_fit(thinker, edit, tensors, message):
    edit(thinker, **{n: s if s is None else np.ones(s, np.float32) for n, s in tensors.items()})
    with pytest.raises(ValueError, match=message):
        artifact_from_folder(thinker)


def test_a_plain_model_is_no_thinker(mistral):
    with pytest.raises(ValueError, match=r"mistral lacks tensor talk_head.0.0.weight"):
        artifact_from_folder(mistral, "thinker")


def test_embeddings_without_a_talk_head_are_no_policy(mistral, edit):
    edit(mistral, start_embedding=np.ones((2, 256), np.float32))
    with pytest.raises(ValueError, match=r"mistral lacks tensor talk_head.0.0.weight"):
        artifact_from_folder(mistral)


@pytest.mark.parametrize(
    ("most", "message"),
    [
        (5, r"max_thoughts 5, so n_ahead 3; at least 4 are needed"),
        (None, r"config.json has max_thoughts None, no number"),
        ("10", r"config.json has max_thoughts '10', no number"),
    ],
)
def test_max_thoughts_that_leave_no_thought(thinker, most, message):
    _configure(thinker, max_thoughts=most)
    with pytest.raises(ValueError, match=message):
        artifact_from_folder(thinker)


def test_ids_out_of_the_vocabulary(thinker):
    stated = {"thought": {"start_id": 1024, "end_id": 1026, "n_ahead": 8}}
    (thinker / "protocol.json").write_text(json.dumps(stated), "utf-8")
    with pytest.raises(ValueError, match=r"<\|endthought\|> the id 1026, .* has 1026 tokens"):
        artifact_from_folder(thinker)


def test_one_name_of_two(thinker):
    _forget_added(thinker, known=("<|endthought|>",))
    with pytest.raises(ValueError, match=r"tokenizer of .* has only one of"):
        artifact_from_folder(thinker)


@pytest.mark.parametrize(
    ("thought", "message"),
    [
        ({"start_id": 3}, r"protocol.json: thought: Object missing required field `end_id`"),
        (
            {"start_id": "3", "end_id": 4},
            r"protocol.json: thought: start_id: Expected `int`, got `str`",
        ),
        (
            {"start_id": 3, "end_id": 4, "embedding": "dashed"},
            r"thought.embedding 'dashed'; choose trained, dash",
        ),
    ],
)
def test_bad_protocol(thinker, thought, message):
    (thinker / "protocol.json").write_text(json.dumps({"thought": thought}))
    with pytest.raises(ValueError, match=message):
        artifact_from_folder(thinker)
