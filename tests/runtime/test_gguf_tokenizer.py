"""What a GGUF says of its tokenizer, and what is made of one that says less."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convert.refusal import Refusal
from runtime import gguf_tokenizer
from runtime.gguf_tokenizer import GgufTokenizer
from tests.convert.export import export
from tests.convert.stock_llama import Stock


def test_a_file_of_others_with_mistrals_turns_has_no_space_behind_them(
    tmp_path: Path, tiny: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentencepiece import SentencePieceTrainer
    from transformers import MistralConfig, MistralForCausalLM

    SentencePieceTrainer.train(
        sentence_iterator=iter(["Add 2 and 3. What is it? It is 5."] * 40),
        model_prefix=str(tmp_path / "tokenizer"),
        vocab_size=279,
        byte_fallback=True,
        user_defined_symbols=["[INST]", "[/INST]"],
        minloglevel=2,
    )
    tiny(tmp_path / "m", MistralForCausalLM, MistralConfig, vocab_size=279)
    for path in (tmp_path / "m").glob("tokenizer*"):
        path.unlink()
    shutil.copy(tmp_path / "tokenizer.model", tmp_path / "m")
    export(tmp_path / "m", tmp_path / "m.gguf", "f16")
    monkeypatch.setattr(gguf_tokenizer, "_meta", lambda *_: "")
    with Stock(tmp_path / "m.gguf") as stock:
        ours = GgufTokenizer(stock.model)
        pieces = [ours.pieces[i] for i in ours.encode_chat("[INST] Add 2[/INST]It")]
        assert b"".join(pieces) == b"[INST] Add 2[/INST]It"
        theirs = stock.encode("[INST] Add 2[/INST]It", special=True, bos=False)
        assert b"".join(ours.pieces[i] for i in theirs) == b"[INST]  Add 2[/INST] It"
        assert ours.eos_ids == {2}


@pytest.mark.parametrize("stated", ["{", "[1.5]", '["a"]'])
def test_ends_that_are_none_are_refused(
    reference: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch, stated: str
) -> None:
    monkeypatch.setattr(gguf_tokenizer, "_meta", lambda *_: stated)
    with Stock(reference("policy", "q8_0")) as stock:
        with pytest.raises(Refusal, match=r"starbase.tokenizer.end_ids is no list of tokens"):
            GgufTokenizer(stock.model)
        monkeypatch.setattr(gguf_tokenizer, "_meta", lambda *_: "[7, -1, 5000]")
        assert GgufTokenizer(stock.model).eos_ids == {7}
