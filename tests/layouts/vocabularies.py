"""Tokenizer files as public repositories have them: real ones where a package ships them.

Each maker writes into a folder. Byte-level vocabularies that no package ships are trained on a few
questions, with the same special tokens at the same end of the vocabulary, and the same quirks.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import transformers as tf
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from convert.gguf_tokenizer import PRE_TYPES
from tests.conftest import BENCHMARK, REFERENCE
from tests.layouts import templates

Vocabulary = Callable[[Path], None]
PATTERNS = {name: pattern for pattern, name in PRE_TYPES.items()}
QWEN_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
LLAMA_SPECIAL = (
    *("<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>"),
    *("<|finetune_right_pad_id|>", "<|start_header_id|>", "<|end_header_id|>"),
    *("<|eom_id|>", "<|eot_id|>", "<|python_tag|>"),
)
SMOLLM_SPECIAL = (*QWEN_SPECIAL, "<repo_name>", "<reponame>", "<file_sep>")
TEKKEN_SPECIAL = ("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]")
TEKKEN_RESERVED, TEKKEN_KEPT = 100, 3000  # of 1,000 and of 130,072


def package_file(pattern: str) -> Path:
    """A tokenizer file of Mistral's, from the package that ships them."""
    found = importlib.util.find_spec("mistral_common")
    if found is None:
        pytest.skip("mistral-common is not installed")
    (path,) = (Path(str(found.origin)).parent / "data").glob(pattern)
    return path


def settings(folder: Path, template: Any = None, **changes: Any) -> None:
    """tokenizer_config.json beside a SentencePiece model."""
    base = {
        "tokenizer_class": "LlamaTokenizer",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "add_bos_token": True,
        "add_eos_token": False,
        "legacy": True,
    }
    if template is not None:
        base["chat_template"] = template
    (folder / "tokenizer_config.json").write_text(json.dumps(base | changes))


def write_fast(folder: Path, special: Sequence[str] = ()) -> None:
    """Write what transformers makes of a SentencePiece model as tokenizer.json."""
    made = tf.AutoTokenizer.from_pretrained(folder)
    made.add_tokens([AddedToken(name, special=True, normalized=False) for name in special])
    made.backend_tokenizer.save(str(folder / "tokenizer.json"))


def mistral_v1(folder: Path) -> None:
    """SentencePiece alone: a space in front of every text and behind every token."""
    shutil.copy(package_file("*.model.v1"), folder / "tokenizer.model")
    settings(folder)


def mistral_v1_both(folder: Path) -> None:
    """The same with a tokenizer.json."""
    mistral_v1(folder)
    write_fast(folder)


def quiet_star(folder: Path) -> None:
    """Two tokens for thoughts behind Mistral's own."""
    mistral_v1(folder)
    write_fast(folder, ("<|startthought|>", "<|endthought|>"))


def mistral_v3(folder: Path) -> None:
    """[INST] is a token, and what follows it has no space in front."""
    shutil.copy(package_file("*.model.v3"), folder / "tokenizer.model")
    settings(folder, legacy=False)
    write_fast(folder)


def mistral_v3_chat(folder: Path) -> None:
    """The same with a chat template."""
    mistral_v3(folder)
    settings(folder, templates.INST_V3, legacy=False)


def reference_chat(folder: Path) -> None:
    """A small SentencePiece model, and a template that begins without <s>."""
    shutil.copy(REFERENCE / "policy" / "tokenizer.model", folder)
    settings(folder, templates.ZEPHYR, legacy=False)
    write_fast(folder)


def tekken(folder: Path, template: str | None = None) -> None:
    """Mistral's byte-level BPE, its first merges: special tokens before all others."""
    document = json.loads(package_file("tekken_240911.json").read_text(encoding="utf-8"))
    ranked = [base64.b64decode(entry["token_bytes"]) for entry in document["vocab"][:TEKKEN_KEPT]]
    assert document["config"]["pattern"] == PATTERNS["tekken"]
    fill = [f"<SPECIAL_{i}>" for i in range(len(TEKKEN_SPECIAL), TEKKEN_RESERVED)]
    special = [*TEKKEN_SPECIAL, *fill]
    vocab = {name: i for i, name in enumerate(special)}
    vocab |= {_printed(token): TEKKEN_RESERVED + rank for rank, token in enumerate(ranked)}
    merges = [(_printed(a), _printed(b)) for a, b in _merges(ranked)]
    backend = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=True))
    _cut(backend, PATTERNS["tekken"])
    _begin(backend, "<s>", 1)
    _save(folder, backend, special, template, bos_token="<s>", eos_token="</s>")


def tekken_chat(folder: Path) -> None:
    """The same with a chat template."""
    tekken(folder, templates.TEKKEN)


def _merges(ranked: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """The two parts that each token of several bytes is made of, by the ranks below its own."""
    rank = {token: i for i, token in enumerate(ranked)}
    for limit, token in enumerate(ranked):
        parts = [token[i : i + 1] for i in range(len(token))]
        while len(parts) > 2:
            pairs = [rank.get(a + b, limit) for a, b in pairwise(parts)]
            i = pairs.index(min(pairs))
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        if len(parts) == 2:
            yield parts[0], parts[1]


def _printed(token: bytes) -> str:
    """A token in the letters that byte-level vocabularies write bytes with."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in kept]
    letters = {byte: chr(byte) for byte in kept}
    letters |= {byte: chr(256 + i) for i, byte in enumerate(others)}
    return "".join(letters[byte] for byte in token)


def qwen2(folder: Path) -> None:
    """Chat with a system message of its own; no beginning-of-sequence token."""
    _qwen(folder, templates.QWEN)


def qwen2_math(folder: Path) -> None:
    """Likewise, another message."""
    _qwen(folder, templates.QWEN_MATH)


def qwen_prm(folder: Path) -> None:
    """A token to score at."""
    _qwen(folder, templates.QWEN_MATH, extra=("<extra_0>",))


def skywork(folder: Path) -> None:
    """A beginning-of-sequence token is named, and not put in front."""
    _qwen(folder, templates.QWEN_MATH, bos_token="<|endoftext|>")


def qwen3(folder: Path) -> None:
    """Thinking, in tokens that are not special, unless it is turned off."""
    _qwen(folder, templates.CHATML, added=("<think>", "</think>"))


def _qwen(
    folder: Path,
    template: str,
    *,
    extra: Sequence[str] = (),
    added: Sequence[str] = (),
    bos_token: str | None = None,
) -> None:
    special = [*QWEN_SPECIAL, *extra]
    backend = _trained(PATTERNS["qwen2"], special)
    backend.normalizer = normalizers.NFC()
    backend.add_tokens([AddedToken(name, normalized=False) for name in added])
    tokens = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "bos_token": bos_token}
    _save(folder, backend, special, template, "Qwen2Tokenizer", **tokens)
    backend.model.save(str(folder))  # vocab.json and merges.txt too


def llama3(folder: Path) -> None:
    """A base model: <|begin_of_text|> in front, no template."""
    _llama(folder, None, eos_token="<|end_of_text|>")


def llama32_chat(folder: Path) -> None:
    """A template that writes today's date."""
    _llama(folder, templates.LLAMA32, eos_token="<|eot_id|>")


def rlhflow(folder: Path) -> None:
    """Llama 3.1's template, whose dates stand still."""
    _llama(folder, templates.LLAMA31, eos_token="<|eot_id|>")


def _llama(folder: Path, template: str | None, **tokens: str) -> None:
    backend = _trained(PATTERNS["llama-bpe"], LLAMA_SPECIAL, ignore_merges=True)
    bos = LLAMA_SPECIAL[0]
    _begin(backend, bos, backend.token_to_id(bos))
    _save(folder, backend, LLAMA_SPECIAL, template, bos_token=bos, **tokens)


def smollm2(folder: Path) -> None:
    """Special tokens first, digits one by one."""
    backend = Tokenizer(models.BPE())
    digits = pre_tokenizers.Digits(individual_digits=True)
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    backend.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level])
    backend.decoder = decoders.ByteLevel()
    _train(backend, SMOLLM_SPECIAL)
    tokens = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "unk_token": "<|endoftext|>"}
    _save(folder, backend, SMOLLM_SPECIAL, templates.SMOLLM, "GPT2Tokenizer", **tokens)


def _trained(pattern: str, special: Sequence[str], *, ignore_merges: bool = False) -> Tokenizer:
    """A byte-level BPE with its special tokens behind all others."""
    backend = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    _cut(backend, pattern)
    _train(backend)
    backend.add_special_tokens([AddedToken(name, normalized=False) for name in special])
    return backend


def _cut(backend: Tokenizer, pattern: str) -> None:
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    backend.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    backend.decoder = decoders.ByteLevel()


def _begin(backend: Tokenizer, bos: str, i: int) -> None:
    front = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, i)])
    backend.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), front])


def _train(backend: Tokenizer, special: Sequence[str] = ()) -> None:
    """Merges of the benchmark's first questions, the ends of lines and steps among them."""
    lines = BENCHMARK.read_text(encoding="utf-8").splitlines()[:60]
    entries = [json.loads(line) for line in lines]
    texts = [
        f"{entry[key]}\n{entry[key]}\n\n" for entry in entries for key in ("question", "answer")
    ]
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)


def _save(
    folder: Path,
    backend: Tokenizer,
    special: Sequence[str],
    template: str | None,
    tokenizer_class: str = "PreTrainedTokenizerFast",
    **tokens: str | None,
) -> None:
    backend.add_special_tokens([AddedToken(name, normalized=False) for name in special])
    backend.save(str(folder / "tokenizer.json"))
    table: dict[str, Any] = {
        "tokenizer_class": tokenizer_class,
        "clean_up_tokenization_spaces": False,
        "added_tokens_decoder": {
            str(i): {"content": t.content, "special": t.special, "normalized": t.normalized}
            for i, t in backend.get_added_tokens_decoder().items()
        },
        **tokens,
    }
    if template is not None:
        table["chat_template"] = template
    (folder / "tokenizer_config.json").write_text(json.dumps(table), encoding="utf-8")
