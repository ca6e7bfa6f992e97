"""Quirks of tokenizers beyond those of known repositories: prompt ids and greedy text equal."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from convert.artifact import PromptFormat
from convert.ensure import ensure
from convert.prompt_presets import PRESETS
from runtime.engine import Sampling
from runtime.load import EngineOptions, open_engine
from runtime.prompt import instruction, prompt_tokens
from tests.conftest import REFERENCE, save_tiny
from tests.layouts.templates import CHATML, INST, LLAMA3, ZEPHYR
from tests.layouts.vocabularies import package_file, settings, write_fast

INSTRUCTION = instruction(PromptFormat())
OPTIONS = EngineOptions(device="cpu", threads=1, context=1024, max_branches=4)
QUESTIONS = ("2 + 3?", "  Ann's 1,024 \u00e9ggs\n\nand \U0001f600: how many?", "a</s>b [INST] c")


def _model(folder: Path, vocab: int, **changes: Any) -> None:
    """A two-layer Llama whose weights float16 holds, large enough that greedy tokens are clear."""
    import transformers as tf

    sizes = {"hidden_size": 64, "intermediate_size": 128, "initializer_range": 0.1}
    kept = {"vocab_size": vocab, "max_position_embeddings": 2048, **sizes}
    model = save_tiny(folder, tf.LlamaForCausalLM, tf.LlamaConfig, **kept | changes)
    model.half().float().save_pretrained(folder)
    for path in folder.glob("tokenizer*"):
        path.unlink()


def mistral_v7(folder: Path) -> None:
    """User-defined symbols that stand in the SentencePiece model only."""
    _model(folder, 32768)
    shutil.copy(package_file("*.model.v7"), folder / "tokenizer.model")
    symbol = "[REFERENCE_DOC_0]"
    settings(folder, INST.replace("[INST] ", f"{symbol} {symbol}"), legacy=False)


def mistral_sft(folder: Path) -> None:
    """A SentencePiece model alone, and a pad token that is none."""
    _model(folder, 1024)
    shutil.copy(REFERENCE / "policy" / "tokenizer.model", folder)
    settings(folder, ZEPHYR)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"pad_token_id": -1}))


def ends_its_prompts(folder: Path) -> None:
    """A tokenizer that puts an end-of-sequence token behind every text."""
    mistral_sft(folder)
    settings(folder, ZEPHYR, add_eos_token=True)
    write_fast(folder)


def chatml_on_sentencepiece(folder: Path) -> None:
    """Added tokens that stand in tokenizer.json only, and an end that generation_config names."""
    mistral_sft(folder)
    _model(folder, 1026)
    shutil.copy(REFERENCE / "policy" / "tokenizer.model", folder)
    settings(folder, CHATML)
    write_fast(folder, ("<|im_start|>", "<|im_end|>"))
    (folder / "generation_config.json").write_text('{"eos_token_id": [1025, 700]}')


def _byte_level(special: list[str], template: Any, pre: str, **tokens: str) -> Any:
    import transformers as tf
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    from convert.gguf_tokenizer import PRE_TYPES

    (pattern,) = (p for p, name in PRE_TYPES.items() if name == pre)
    backend = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    backend.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator([INSTRUCTION, *QUESTIONS], trainer)
    made = tf.PreTrainedTokenizerFast(tokenizer_object=backend, **tokens)
    made.chat_template = template
    return made


def qwen3(folder: Path) -> None:
    """Two ends, templates by name, and thinking that is off unless asked for."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    named = {"default": CHATML, "tool_use": "T"}
    made = _byte_level(special, named, "qwen2", eos_token=special[2])
    made.add_tokens(["<think>", "</think>"])
    _model(folder, 600, eos_token_id=2, bos_token_id=0)
    made.save_pretrained(folder)
    (folder / "generation_config.json").write_text('{"eos_token_id": [2, 0, 40]}')


def llama3_with_tiktoken(folder: Path) -> None:
    """tokenizer.model is no SentencePiece model: tokenizer.json counts."""
    special = ["<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"]
    made = _byte_level(special, LLAMA3, "llama-bpe", bos_token=special[0], eos_token=special[1])
    _model(folder, 600, eos_token_id=1, bos_token_id=0)
    made.save_pretrained(folder)
    (folder / "tokenizer.model").write_bytes(b"IQ== 0\nIg== 1\nIw== 2\n")


LAYOUTS = (
    mistral_v7,
    mistral_sft,
    ends_its_prompts,
    chatml_on_sentencepiece,
    qwen3,
    llama3_with_tiktoken,
)


def _paths(folder: Path, out: Path) -> Iterator[Path]:
    """The model as torch, GGUF f16 and ONNX fp32."""
    yield folder
    yield ensure(str(folder), "f16", out).path
    if importlib.util.find_spec("onnxruntime") and importlib.util.find_spec("onnx"):
        yield ensure(str(folder), "fp32", out).path


@pytest.mark.parametrize("layout", LAYOUTS)
def test_prompts_ends_and_greedy_text(layout: Callable[[Path], None], tmp_path: Path) -> None:
    import transformers as tf

    folder = tmp_path / "m"
    folder.mkdir()
    layout(folder)
    theirs = tf.AutoTokenizer.from_pretrained(folder)
    greedy = Sampling(temperature=0, max_tokens=8)
    steps, ends, plain = [], [], []
    for path in _paths(folder, tmp_path / "out"):
        with open_engine(path, OPTIONS) as engine:
            for question in QUESTIONS:
                content = f"{question}\n\n{INSTRUCTION}"
                expected = theirs.apply_chat_template(
                    [{"role": "user", "content": content}],
                    add_generation_prompt=True,
                    enable_thinking=False,
                )
                assert prompt_tokens(engine, question) == expected, (path.name, question)
            plain.append([engine.tokenizer.encode(q) for q in QUESTIONS])
            ends.append(engine.tokenizer.eos_ids)
            with engine.open(expected) as root:
                steps += engine.extend([root], greedy)
    assert all(found == plain[0] for found in plain)
    assert all(found == ends[0] for found in ends)
    assert not any(ids[-1] in ends[0] for ids in plain[0])
    assert len({step.text for step in steps}) == len({step.token_ids for step in steps}) == 1


@pytest.mark.parametrize(
    ("name", "preset"),
    [("Mistral-7B-v0.1", "few-shot"), ("mistral-7b-sft", "math-shepherd"), ("other", "few-shot")],
)
def test_a_preset_reaches_every_format(name: str, preset: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    mistral_sft(folder)
    settings(folder, None)
    found = []
    for path in _paths(folder, tmp_path / "out"):
        with open_engine(path, OPTIONS) as engine:
            assert engine.artifact.prompt == PRESETS[preset]
            found.append(prompt_tokens(engine, QUESTIONS[0]))
    assert all(ids == found[0] for ids in found)
