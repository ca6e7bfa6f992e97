"""Token for token: llama.cpp with what was written against the tokenizer of the checkpoint."""

from __future__ import annotations

import json
import shutil

import gguf
import pytest
import transformers as tf
from sentencepiece import SentencePieceProcessor
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from convert.gguf_tokenizer import PRE_TYPES
from tests.conftest import REFERENCE
from tests.convert.export import export
from tests.convert.stock_llama import Stock

HOSTILE = [
    "",
    " ",
    "  two",
    "trailing  ",
    "tab\there",
    "\r",
    "a\r\nb\n\n\nc",
    "\x07bell\x1besc\x7f",
    "\u00a0nbsp\u2003em\u3000wide",
    "zero\u200bwidth\u200djoin\u2060er",
    "\ufeffbom\ufffd",
    "e\u0301 \u00e9 \u212b \u00c5",
    "\ufb01 \ufdfa ½ ² ³ Ⅷ ①",
    "Z\u0338\u0321\u0356a\u0337\u033c",
    "👨‍👩‍👧‍👦 👩🏽‍🚀 🇩🇪 🏳️‍🌈",
    "مرحبا بالعالم ١٢٣",
    "שלום\u200f עולם",
    "नमस्ते १२३",
    "กรุงเทพ",
    "中文测试，标点。",
    "日本語テスト〜",
    "한국어 시험",
    "Ωμέγα ΑΒΓ",
    "ЖЗИ ки ки",
    "+ - ки",
    "ßæøŋ ÀÉÎ",
    "<s></s><unk>",
    "[INST] x [/INST]",
    "<|im_start|>user",
    "<0x0A>",
    "\u2581literal\u2581",
    "'RE you 'll I've DON'T can't",
    "3.14e-10 1,000,000 12345678901234567890",
    "mixed中en英123ki",
    "x" * 300,
    "ab" * 100,
    "!?!?...;;;---===",
    "C:\\path /usr/bin",
    "http://a.b/c?d=e&f=%20#g",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟙𝟚𝟛",
    "\U0010ffff\U000e0001",
]


@pytest.fixture
def vocabulary_of(tmp_path, tiny):
    """A function from tokenizer files in a checkpoint folder to llama.cpp with that vocabulary."""

    def make(folder, family=(tf.Qwen2ForCausalLM, tf.Qwen2Config)):
        kept = {p.name: p.read_bytes() for p in folder.glob("*")}
        tiny(folder, *family, bos_token_id=0 if family[0] is tf.Qwen2ForCausalLM else 1)
        for path in folder.glob("tokenizer*"):
            path.unlink()
        for name, content in kept.items():
            (folder / name).write_bytes(content)
        out = tmp_path / f"{folder.name}.gguf"
        export(folder, out, "f16")
        return Stock(out, context=256)

    return make


def test_sentencepiece_agrees(reference, questions, solutions):
    pieces = SentencePieceProcessor(model_file=str(REFERENCE / "policy" / "tokenizer.model"))
    ours = tf.AutoTokenizer.from_pretrained(REFERENCE / "policy")
    with Stock(reference("policy", "q8_0")) as stock:
        for text in (*questions[:100], *solutions[:100], *HOSTILE, "\n".join(HOSTILE)):
            ids = stock.encode(text, bos=False)
            assert ids == pieces.encode(text), text
            found = ours.encode(text, add_special_tokens=False, split_special_tokens=True)
            assert ids == found, text
        assert stock.encode("a")[0] == 1
        assert stock.encode("</s>", special=True)[1:] == [2]


def test_tokenizer_json_alone_agrees_with_its_sentencepiece(tmp_path, vocabulary_of, questions):
    folder = tmp_path / "json"
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(REFERENCE / "policy" / name, folder)
    pieces = SentencePieceProcessor(model_file=str(REFERENCE / "policy" / "tokenizer.model"))
    with vocabulary_of(folder, (tf.MistralForCausalLM, tf.MistralConfig)) as stock:
        for text in (*questions[:100], *HOSTILE):
            assert stock.encode(text, bos=False) == pieces.encode(text), text


def _train(folder, pre, questions, *, bos=False):
    """A byte-level BPE tokenizer of a family, trained on the benchmark's questions."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=pre == "llama-bpe"))
    regex = {name: pattern for pattern, name in PRE_TYPES.items()}.get(pre)
    parts = {
        "gpt-2": [],
        "smollm": [pre_tokenizers.Digits(individual_digits=True)],
    }.get(pre, [pre_tokenizers.Split(Regex(regex), "isolated")] if regex else [])
    parts.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=regex is None))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(parts) if len(parts) > 1 else parts[0]
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*questions, *HOSTILE], trainer)
    tokenizer.add_tokens(["<tool_call>"])
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", 0)]
        )
    made = tf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|endoftext|>", eos_token="<|im_end|>"
    )
    made.chat_template = "{% for m in messages %}<|im_start|>{{ m.content }}{% endfor %}"
    made.save_pretrained(folder)
    return made


@pytest.mark.parametrize("pre", ["llama-bpe", "qwen2", "tekken", "smollm", "gpt-2"])
@pytest.mark.parametrize("bos", [False, True], ids=["no bos", "bos"])
def test_byte_level_bpe_agrees(tmp_path, vocabulary_of, questions, pre, bos):
    folder = tmp_path / "bpe"
    theirs = _train(folder, pre, questions[:200], bos=bos)
    with vocabulary_of(folder) as stock:
        for text in (*questions[200:300], *HOSTILE, "\n".join(HOSTILE)):
            assert stock.encode(text) == theirs.encode(text, split_special_tokens=True), text
        marked = "<|im_start|>user\nWhat is 3 + 4?<|im_end|><tool_call>x"
        assert stock.encode(marked, special=True) == theirs.encode(marked)
    fields = gguf.GGUFReader(tmp_path / "bpe.gguf").fields
    assert fields["tokenizer.ggml.pre"].contents() == pre
    assert fields["tokenizer.chat_template"].contents() == theirs.chat_template
    assert fields["tokenizer.ggml.eos_token_id"].contents() == 2


def test_an_unknown_way_to_cut_text_is_refused(tmp_path, vocabulary_of, questions):
    folder = tmp_path / "odd"
    _train(folder, "qwen2", questions[:20])
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace("|\\\\p{N}|", "|\\\\p{N}{1,7}|"))
    with pytest.raises(ValueError, match=r"tokenizer.json cuts text in a way.*Llama 3, Qwen2"):
        vocabulary_of(folder)


def test_added_tokens_win_over_pieces(mistral):
    path = mistral / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config["added_tokens_decoder"] = {
        "5": {"content": "[INST]", "special": True},
        "6": {"content": "two\u2581words", "special": False},
    }
    path.write_text(json.dumps(config))
    out = mistral / "out.gguf"
    export(mistral, out, "f16")
    with Stock(out, context=256) as stock:
        assert stock.encode("[INST]two words", special=True, bos=False)[-2:] == [5, 6]
        assert 5 not in stock.encode("[INST]", special=False)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.model", "no protobuf", r"tokenizer.model cannot be read: RuntimeError"),
        ("tokenizer.json", "{", r"tokenizer.json is not valid JSON"),
        ("tokenizer.json", '{"model": {"type": "Unigram"}}', r"holds a Unigram model; only BPE"),
    ],
)
def test_bad_files_are_named(mistral, name, content, message):
    for path in mistral.glob("tokenizer*"):
        path.unlink()
    (mistral / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        export(mistral, mistral / "out.gguf", "f16")


def test_more_tokens_than_embeddings_are_refused(tmp_path, tiny):
    tiny(tmp_path, tf.MistralForCausalLM, tf.MistralConfig, vocab_size=1000)
    with pytest.raises(ValueError, match=r"has 1024 tokens, the model embeds only 1000"):
        export(tmp_path, tmp_path / "out.gguf", "f16")


def test_more_embeddings_than_tokens_are_padded(tmp_path, tiny):
    tiny(tmp_path, tf.MistralForCausalLM, tf.MistralConfig, vocab_size=1100)
    export(tmp_path, tmp_path / "out.gguf", "f16")
    with Stock(tmp_path / "out.gguf") as stock:
        assert stock.logits([1, 5]).shape == (2, 1100)
