"""A question becomes tokens: the same text and ids for every format, and one line for bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sentencepiece import SentencePieceProcessor

from convert.artifact import PromptFormat
from convert.ensure import ensure
from convert.hf_files import default_template
from convert.refusal import Refusal
from runtime.load import EngineOptions, open_engine
from runtime.prompt import instruction, prompt_tokens
from runtime.scripted_engine import ScriptedEngine
from runtime.valid_text import known
from tests.conftest import REFERENCE

INSTRUCTION = instruction(PromptFormat())
OPTIONS = EngineOptions(device="cpu", threads=1, context=512, max_branches=4)
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% if loop.index > 1 %}{% break %}{% endif %}"
    "[{{ m.role }}] {{ m.content }}{{ eos_token }}{% endfor %}"
)


def _checkpoint(folder: Path, tiny: Callable[..., Any], template: Any) -> Path:
    """A tiny checkpoint with a chat template."""
    from transformers import MistralConfig, MistralForCausalLM

    tiny(folder, MistralForCausalLM, MistralConfig)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | {"chat_template": template}
    path.write_text(json.dumps(config), encoding="utf-8")
    return folder


def _ids(path: Path) -> tuple[list[int], str, str]:
    with open_engine(path, OPTIONS) as engine:
        tokenizer = engine.tokenizer
        return prompt_tokens(engine, "2 + 3?"), tokenizer.bos, tokenizer.eos


def test_every_format_renders_with_the_real_tokens(
    tmp_path: Path, tiny: Callable[..., Any]
) -> None:
    folder = _checkpoint(tmp_path / "m", tiny, TEMPLATE)
    found = [_ids(folder), _ids(ensure(str(folder), "f16", tmp_path).path)]
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    found.append(_ids(ensure(str(folder), "fp32", tmp_path).path))
    assert found[0] == found[1] == found[2]
    ids, bos, eos = found[0]
    assert (bos, eos) == ("<s>", "</s>")
    assert (ids[0], ids[-1]) == (1, 2)
    assert ids.count(1) == ids.count(2) == 1


def test_the_template_is_asked_as_transformers_asks_it() -> None:
    engine = ScriptedEngine({})
    engine.tokenizer.chat_template = (
        "{{ messages|tojson }}{{ tools is none and documents is none and add_generation_prompt }}"
    )
    text = engine.tokenizer.decode(prompt_tokens(engine, "Why?"))
    messages = [{"role": "user", "content": f"Why?\n\n{INSTRUCTION}"}]
    assert text == json.dumps(messages) + "True"


def test_several_templates_have_a_default(tmp_path: Path, tiny: Callable[..., Any]) -> None:
    named = [{"name": "tools", "template": "T"}, {"name": "default", "template": TEMPLATE}]
    folder = _checkpoint(tmp_path / "m", tiny, named)
    ids, _, _ = _ids(folder)
    assert ids[-1] == 2
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    assert _ids(ensure(str(folder), "fp32", tmp_path).path)[0] == ids


@pytest.mark.parametrize("template", [5, "\ud800"])
def test_a_template_that_is_no_text_is_one_line(
    tmp_path: Path, tiny: Callable[..., Any], template: Any
) -> None:
    folder = _checkpoint(tmp_path / "m", tiny, template)
    with pytest.raises(Refusal, match=r"m(/tokenizer_config.json)?\b.* chat_template .*;"):
        open_engine(folder, OPTIONS)
    with pytest.raises(Refusal, match=r"m: chat_template is (of type int|not valid Unicode)"):
        default_template(folder, template)


def test_a_template_in_a_gguf_that_is_not_utf8(
    reference: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = b"\xff\xfe\xc3\x28 {{ messages }}"
    monkeypatch.setattr("llama_cpp.llama_cpp.llama_model_chat_template", lambda *_: raw)
    with open_engine(reference("policy", "f16"), OPTIONS) as engine:
        assert engine.tokenizer.encode("still usable")
        engine.artifact = replace(engine.artifact, prompt=None)
        with pytest.raises(Refusal, match=r"f16.gguf: its chat template is not UTF-8; give a"):
            prompt_tokens(engine, "Why?")


def test_half_of_a_surrogate_pair_is_one_line(
    tmp_path: Path, tiny: Callable[..., Any], reference: Callable[[str, str], Path]
) -> None:
    said = "the question is not valid Unicode: it holds U[+]D83D, half of a surrogate pair; write"
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    folder = _checkpoint(tmp_path / "m", tiny, TEMPLATE)
    for path in (folder, reference("policy", "f16"), reference("policy", "fp32")):
        with open_engine(path, OPTIONS) as engine:
            with pytest.raises(Refusal, match=said):
                prompt_tokens(engine, "What is \ud83d?")
            for encode in (engine.tokenizer.encode, engine.tokenizer.encode_more):
                with pytest.raises(Refusal, match=said):
                    encode("\ud83d")
                assert encode("a\0b \U0001f600")  # and NUL is a character like others
    with pytest.raises(Refusal, match=said):
        ScriptedEngine({}).tokenizer.encode("\ud83d")


TRAP = """\
from pathlib import Path
Path({marker!r}).write_text("ran")
from transformers import LlamaTokenizerFast, MistralConfig, MistralForCausalLM
class Config(MistralConfig): pass
class Model(MistralForCausalLM): pass
class Tokenizer(LlamaTokenizerFast): pass
"""


@pytest.mark.parametrize("tokenizer_class", ["LlamaTokenizerFast", "Tokenizer"])
def test_code_in_a_checkpoint_never_runs(
    tmp_path: Path,
    tiny: Callable[..., Any],
    tokenizer_class: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, marker = _checkpoint(tmp_path / "m", tiny, TEMPLATE), tmp_path / "marker"
    (folder / "trap.py").write_text(TRAP.format(marker=str(marker)))
    maps = {
        "config.json": {"AutoConfig": "trap.Config", "AutoModelForCausalLM": "trap.Model"},
        "tokenizer_config.json": {"AutoTokenizer": [None, "trap.Tokenizer"]},
    }
    for name, auto_map in maps.items():
        config = json.loads((folder / name).read_text(encoding="utf-8")) | {"auto_map": auto_map}
        if name.startswith("tokenizer"):
            config["tokenizer_class"] = tokenizer_class
        (folder / name).write_text(json.dumps(config), encoding="utf-8")
    asked: list[object] = []
    monkeypatch.setattr("builtins.input", lambda *text: asked.append(text) or "y")
    pytest.importorskip("onnx")
    for use in (lambda: _ids(folder), lambda: ensure(str(folder), "fp32", tmp_path)):
        native = tokenizer_class != "Tokenizer"
        refused = pytest.raises(Refusal, match="m needs Python code that came with it")
        with nullcontext() if native else refused:
            use()
    assert not asked
    assert not marker.exists()


def test_a_token_that_the_model_does_not_embed_is_refused() -> None:
    assert known("tokenizer.json", [3, 7], 8) == [3, 7]
    with pytest.raises(Refusal, match=r"tokenizer.json: its tokenizer gives token 8 and the model"):
        known("tokenizer.json", [3, 8], 8)


def test_a_template_may_hold_control_tokens(reference: Callable[[str, str], Path]) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    found = []
    for path in (REFERENCE / "policy", reference("policy", "f16"), reference("policy", "fp32")):
        with open_engine(path, OPTIONS) as engine:
            plain = prompt_tokens(engine, "a</s>")
            assert plain == engine.tokenizer.encode("a</s>\n")
            assert 2 not in plain
            form = PromptFormat("<s>{question}</s>\n")
            engine.artifact = replace(engine.artifact, prompt=form)
            found.append(prompt_tokens(engine, "Why?"))
    assert found[0] == found[1] == found[2]
    assert (found[0].count(1), found[0].count(2)) == (1, 1)


def test_the_reference_models_are_asked_as_ever(
    reference: Callable[[str, str], Path], questions: list[str]
) -> None:
    pieces = SentencePieceProcessor(model_file=str(REFERENCE / "policy" / "tokenizer.model"))
    paths = [REFERENCE / "policy", reference("policy", "f16"), reference("thinker", "f16")]
    for path in paths:
        with open_engine(path, OPTIONS) as engine:
            form = engine.artifact.prompt
            assert form == PromptFormat("{question}\n", "\u043a\u0438", "The answer is:")
            for question in questions[:50]:
                assert prompt_tokens(engine, question) == [1, *pieces.encode(f"{question}\n")]
