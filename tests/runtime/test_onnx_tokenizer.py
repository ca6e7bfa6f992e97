"""The tokenizer beside an ONNX model, id for id against transformers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from convert.refusal import Refusal
from runtime.hf_tokenizer import HfTokenizer
from runtime.onnx_tokenizer import JsonTokenizer
from runtime.pieces import sentencepiece_bytes
from runtime.valid_text import without_guard
from tests.conftest import REFERENCE

TEXTS = (
    "Mia bakes 6 trays of 8 rolls and sells 20.\nStep 1: 6 * 8 = 48 rolls. ки\n",
    " leading space",
    "",
    "\n\n  two  spaces\t",
    "<s> and </s> in a text",
    "\u00e9\u0301 \U0001f600 \u6570\u5b66 \u200b \x00",
    "The answer is: 1,024.5%",
)


def _both(folder: Path, tmp_path: Path) -> tuple[HfTokenizer, JsonTokenizer]:
    pytest.importorskip("onnx")
    from convert.checkpoint import read_checkpoint
    from convert.to_onnx import tokenizer_facts

    checkpoint = read_checkpoint(folder)
    facts = tokenizer_facts(checkpoint, tmp_path / "t.json")
    size = checkpoint.shape.vocab
    ours = JsonTokenizer(
        tmp_path / "t.json", size, [2], bos=facts["starbase.bos"], eos=facts["starbase.eos"]
    )
    return HfTokenizer(folder, [2], size), ours


def _same(theirs: HfTokenizer, ours: JsonTokenizer, texts: Any) -> None:
    for text in texts:
        for special in (False, True):
            assert ours.encode(text, special=special) == theirs.encode(text, special=special), text
            whole = theirs.bos + text
            assert ours.encode(whole, special=special) == theirs.encode(whole, special=special)
        assert ours.encode_more(text) == theirs.encode_more(text), text
        ids = ours.encode(text)
        assert ours.decode(ids) == theirs.decode(ids)
    assert ours.pieces == theirs.pieces
    assert (ours.bos, ours.eos, ours.size) == (theirs.bos, theirs.eos, theirs.size)
    assert ours.eos == "</s>"


def test_sentencepiece(tmp_path: Path, questions: list[str]) -> None:
    theirs, ours = _both(REFERENCE / "policy", tmp_path)
    _same(theirs, ours, (*TEXTS, *questions[:100]))


def test_a_folder_with_a_sentencepiece_model_only(tmp_path: Path, tiny: Callable[..., Any]) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    tiny(tmp_path / "m", LlamaForCausalLM, LlamaConfig)
    (tmp_path / "m" / "tokenizer.json").unlink()
    theirs, ours = _both(tmp_path / "m", tmp_path)
    _same(theirs, ours, TEXTS)


def test_byte_level(tmp_path: Path, tiny: Callable[..., Any], questions: list[str]) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tiny(tmp_path / "m", LlamaForCausalLM, LlamaConfig)
    for path in (tmp_path / "m").glob("tokenizer*"):
        path.unlink()
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<pad>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=special, initial_alphabet=alphabet)
    backend.train_from_iterator(questions[:200], trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    ).save_pretrained(tmp_path / "m")
    theirs, ours = _both(tmp_path / "m", tmp_path)
    _same(theirs, ours, (*TEXTS, *questions[:100]))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text("{}")
    with pytest.raises(ValueError, match=r"t.json cannot be read: "):
        JsonTokenizer(tmp_path / "t.json", 10, [])


def test_what_shows_only_in_use_is_named(tmp_path: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        shutil.copy(REFERENCE / "policy" / name, tmp_path)
    path = tmp_path / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | {"model_max_length": "long"}
    path.write_text(json.dumps(config), encoding="utf-8")
    tokenizer = HfTokenizer(tmp_path, [2], 1024)
    with pytest.raises(Refusal, match=rf"{tmp_path.name} cannot be read: TypeError: '>' not"):
        tokenizer.encode("text")


def test_a_panic_of_the_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):  # as pyo3 derives it
        pass

    def panic(*_: Any, **__: Any) -> Any:
        raise PanicException("no entry\nfound for key")

    tokenizer = JsonTokenizer(REFERENCE / "policy" / "tokenizer.json", 1024, [2])
    monkeypatch.setattr(tokenizer, "_backend", SimpleNamespace(encode=panic))
    with pytest.raises(Refusal, match=r"tokenizer.json cannot be read: no entry found for key"):
        tokenizer.encode("text")


def test_pieces_that_look_like_bytes_but_are_none() -> None:
    assert sentencepiece_bytes("<0x0A>") == b"\n"
    for piece in ("<0x>A>", "<0x 1>", "<0x-1>", "<0x+1>"):
        assert sentencepiece_bytes(piece) == piece.encode()


def test_a_guard_that_was_merged_is_refused() -> None:
    assert without_guard("m", [9, 8, 7], [9]) == [8, 7]
    with pytest.raises(Refusal, match=r"m: its tokenizer joins a line end with the text behind"):
        without_guard("m", [5, 7], [9])
