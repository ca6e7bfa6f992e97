"""The tokenizer beside an ONNX model, id for id against transformers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.hf_tokenizer import HfTokenizer
from runtime.onnx_tokenizer import JsonTokenizer
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
    ours = JsonTokenizer(tmp_path / "t.json", size, [2], facts["starbase.bos"], None)
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
    assert (ours.bos, ours.size) == (theirs.bos, theirs.size)


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
    with pytest.raises(ValueError, match=r"t.json is not a tokenizer"):
        JsonTokenizer(tmp_path / "t.json", 10, [], "", None)
