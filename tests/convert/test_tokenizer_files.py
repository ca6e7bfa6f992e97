"""Tokenizer files of another form: refused before the crate, SentencePiece or transformers look."""

from __future__ import annotations

import json
import shutil

import pytest

from convert.refusal import Refusal
from convert.tokenizer_files import (
    added_decoder,
    added_ids,
    check_tokenizer,
    has_pieces,
    open_pieces,
)
from tests.conftest import REFERENCE
from tests.convert.export import export

BEYOND = 1 << 31


@pytest.fixture
def folder(tmp_path):
    for path in (REFERENCE / "policy").glob("tokenizer*"):
        shutil.copy(path, tmp_path)
    return tmp_path


def _bpe(**changes):
    model = {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}
    return {"model": model | changes, "added_tokens": []}


@pytest.mark.parametrize(
    ("name", "document", "message"),
    [
        ("tokenizer.json", _bpe(vocab=["a"]), r"gives vocab \['a'\]; choose a table of ids"),
        ("tokenizer.json", _bpe(vocab=None), r"gives vocab None; choose a table of ids"),
        ("tokenizer.json", _bpe(vocab={"a": BEYOND}), r"vocab\['a'\] 2147483648; choose a whole"),
        ("tokenizer.json", _bpe(vocab={"a": -1}), r"vocab\['a'\] -1; choose a whole number"),
        ("tokenizer.json", _bpe(vocab={"a": 1.0}), r"vocab\['a'\] 1.0; choose a whole number"),
        ("tokenizer.json", _bpe(vocab={"a": True}), r"vocab\['a'\] True; choose a whole number"),
        ("tokenizer.json", _bpe(merges=[1, 2]), r"gives the merge 1; choose two texts"),
        ("tokenizer.json", _bpe(merges=[["a"]]), r"gives the merge \['a'\]; choose two texts"),
        ("tokenizer.json", _bpe(merges="a b"), r"gives merges 'a b'; choose a list"),
        (
            "tokenizer.json",
            _bpe(vocab={"\ud800": 1}),
            r"vocab, a token of it, .*; choose valid Uni",
        ),
        ("tokenizer.json", _bpe(merges=[["\ud800", "b"]]), r"a merge .*; choose valid Unicode"),
        ("tokenizer_config.json", {"chat_template": "\ud800"}, r"chat_template .* valid Unicode"),
        ("tokenizer_config.json", {"chat_template": 3}, r"chat_template 3; choose a text"),
        ("tokenizer_config.json", {"chat_template": [3]}, r"chat_template 3; choose a table"),
        ("tokenizer.json", {"model": "BPE"}, r"gives model 'BPE'; choose a table"),
        ("tokenizer.json", {"added_tokens": {"a": 1}}, r"gives added_tokens .*; choose a list"),
        ("tokenizer.json", {"added_tokens": ["a"]}, r"the added token 'a'; choose a table with"),
        ("tokenizer.json", {"added_tokens": [{"id": 3}]}, r"choose a table with its content"),
        ("tokenizer.json", {"added_tokens": [{"content": "a"}]}, r"added_tokens.id None; choose"),
        (
            "tokenizer.json",
            {"added_tokens": [{"content": "a", "id": BEYOND}]},
            r"added_tokens.id 2147483648; choose a whole number from 0 to 4194303",
        ),
        ("tokenizer.json", [], r"tokenizer.json is not a table"),
        ("added_tokens.json", {"a": BEYOND}, r"\['a'\] 2147483648; choose a whole number"),
        ("added_tokens.json", {"a": "3"}, r"\['a'\] '3'; choose a whole number"),
        ("tokenizer_config.json", {"added_tokens_decoder": []}, r"choose a table"),
        ("tokenizer_config.json", {"added_tokens_decoder": {"x": {"content": "a"}}}, r"id 'x'"),
        ("tokenizer_config.json", {"added_tokens_decoder": {"3": "a"}}, r"with its content"),
        (
            "tokenizer_config.json",
            {"added_tokens_decoder": {str(BEYOND): {"content": "a"}}},
            r"added_tokens_decoder 2147483648; choose a whole number",
        ),
        ("tokenizer_config.json", 3, r"tokenizer_config.json is not a table"),
    ],
)
def test_a_file_of_another_form(folder, name, document, message):
    (folder / name).write_text(json.dumps(document))
    with pytest.raises(Refusal, match=message):
        check_tokenizer(folder)


def test_files_that_are_not_there_hold_nothing(tmp_path):
    check_tokenizer(tmp_path)
    assert added_ids(tmp_path) == {}
    assert list(added_decoder(tmp_path)) == []


def test_a_sentencepiece_model_that_is_none(folder):
    (folder / "tokenizer.model").write_bytes(b"\x00\x01 no protobuf")
    with pytest.raises(Refusal, match=r"tokenizer.model cannot be read: RuntimeError"):
        open_pieces(folder)


@pytest.mark.parametrize("pre", [{"type": "Split"}, {"pretokenizers": [3]}, "x", [1]])
def test_a_pre_tokenizer_of_another_form(mistral, pre):

    (mistral / "tokenizer.model").unlink()
    document = _bpe() | {"pre_tokenizer": pre}
    (mistral / "tokenizer.json").write_text(json.dumps(document))
    with pytest.raises(Refusal, match=r"tokenizer.json cannot be read"):
        export(mistral, mistral / "out.gguf", "f16")


def test_tokens_that_llama_cpp_would_end_on(mistral):

    (mistral / "added_tokens.json").write_text(json.dumps({"[PAD7]": 5, "<s>": 6}))
    with pytest.raises(Refusal, match=r"holds token '<s>' twice, as 1 and 6"):
        export(mistral, mistral / "out.gguf", "f16")


def test_a_tiktoken_file_gives_way(tmp_path):
    assert not has_pieces(tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(b"IQ== 0\nIg== 1\n")
    with pytest.raises(Refusal, match=r"tokenizer.model is a tiktoken file, .* put tokenizer.json"):
        has_pieces(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    assert not has_pieces(tmp_path)
    shutil.copy(REFERENCE / "policy" / "tokenizer.model", tmp_path)
    assert has_pieces(tmp_path)
