"""Thinking, against the parallel forward of the original and against its own naive calls."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from convert.ensure import ensure
from convert.heads import read_talk_head
from runtime.engine import Engine, Sampling
from runtime.gate import Gate
from runtime.load import open_engine
from runtime.thinking_engine import ThinkingEngine
from tests.conftest import REFERENCE
from tests.runtime.recording import OPTIONS, TEXT, Recording, or_skip, recorded
from tests.runtime.thought_oracle import parallel_logits

Tiny = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path, tiny_thinker: Tiny) -> Path:
    return tiny_thinker(tmp_path / "thinker")


@pytest.fixture
def engine(folder: Path) -> Iterator[Engine]:
    with open_engine(folder, OPTIONS) as opened:
        yield opened


def _read(engine: ThinkingEngine, recording: Recording, text: list[int]) -> tuple[Any, Any]:
    """(L, V) logits after every token of a text, and the thoughts sampled there."""
    thought = engine.artifact.thought
    assert thought is not None
    rows, thoughts = [], []
    with engine.open(text[:1]) as root:
        for token in text[1:]:
            recording.calls.clear()
            rows.append(engine.feed([root], [[token]], work="decode").logits[0].copy())
            tokens = [t for call in recording.calls for t in call[0]]
            thoughts.append([t for t in tokens[1:] if t not in (thought.start_id, thought.end_id)])
    return np.stack(rows), thoughts


def _oracle(folder: Path, text: list[int], thoughts: list[list[int]]) -> Any:
    """The parallel forward, its START and END read from their own tensors."""
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    tensors = {n: t.float() for n, t in load_file(folder / "model.safetensors").items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    layers: list[torch.nn.Module] = []
    for number in (0, 2, 4):
        weight = tensors[f"talk_head.0.{number}.weight"]
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=number != 4)
        layer.weight.data = weight
        if number != 4:
            layer.bias.data = tensors[f"talk_head.0.{number}.bias"]
        layers += [layer, torch.nn.ReLU()]
    rows = torch.stack([tensors["start_embedding"][0], tensors["end_embedding"][0]]) * 100
    full = [[0] * len(thoughts[0]), *thoughts]  # nothing was asked at the first token
    return parallel_logits(model, torch.nn.Sequential(*layers[:-1]), text, full, rows)[1:]


def _divergence(a: Any, b: Any) -> float:
    """Mean KL of two sets of logits, in nats; impossible tokens left out."""
    both = np.isfinite(a).all(axis=0)
    p, q = (log_softmax(x[:, both].astype(np.float64), axis=1) for x in (a, b))
    return float((np.exp(p) * (p - q)).sum(axis=1).mean())


@pytest.mark.parametrize(
    ("max_thoughts", "form"), [(6, "torch"), (8, "torch"), (10, "torch"), (8, "onnx")]
)
def test_parity_with_the_parallel_forward(
    max_thoughts: int, form: str, tmp_path: Path, tiny_thinker: Tiny
) -> None:
    folder = path = tiny_thinker(tmp_path / "thinker", max_thoughts=max_thoughts)
    if form == "onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnx")
        path = ensure(str(folder), "fp32", tmp_path / "out").path
    with open_engine(path, OPTIONS) as inner:
        engine, recording = recorded(inner)
        text = engine.tokenizer.encode(TEXT)[:60]
        ours, thoughts = _read(engine, recording, text)
        hidden = [engine.artifact.thought.start_id, engine.artifact.thought.end_id]  # type: ignore[union-attr]
        assert {len(t) for t in thoughts} == {max_thoughts - 5}
        assert np.isneginf(ours[:, hidden]).all()
        theirs = _oracle(folder, text, thoughts)
        seen = np.isfinite(ours)
        assert np.abs(ours - theirs)[seen].max() < 1e-4
        others = _oracle(folder, text, [[t // 2 for t in thought] for thought in thoughts])
        assert np.abs(ours - others)[seen].max() > 1e-2  # thoughts do matter


@pytest.mark.parametrize("level", ["f16", "fp32", "fp16"])
def test_a_quantizable_file_thinks_as_torch_does(
    reference: Callable[[str, str], Path], level: str
) -> None:
    path = or_skip(reference, level)
    with open_engine(path, OPTIONS) as inner:
        engine, recording = recorded(inner)
        text = engine.tokenizer.encode(TEXT)[:121]
        ours, thoughts = _read(engine, recording, text)
    theirs = _oracle(REFERENCE / "thinker", text, thoughts)
    assert len(ours) >= 100
    assert _divergence(ours, theirs) < 1e-3
    with open_engine(path, OPTIONS) as plain, plain.open(text) as root:
        base = plain.logits([root]).copy()
    assert _divergence(ours[-1:], base) > 1e-6


def test_fused_and_naive_calls_agree(engine: Engine) -> None:
    thinking, recording = recorded(engine)
    text = thinking.tokenizer.encode(TEXT)[:30]
    ours, thoughts = _read(thinking, recording, text)
    head, thought = read_talk_head(engine.artifact), engine.artifact.thought
    assert thought is not None
    with engine.open(text[:1]) as root:
        for row, token, sampled in zip(ours, text[1:], thoughts, strict=True):
            base = engine.feed([root], [[token]], hidden=True)
            logits, states = base.logits.copy(), base.hidden
            assert states is not None
            states, length = states.copy(), engine.length(root)
            for inside in (thought.start_id, *sampled, thought.end_id):
                end = engine.feed([root], [[inside]], hidden=True, work="thought")
            assert end.hidden is not None
            weight = head(np.concatenate([states, end.hidden], axis=1))
            mixed = ((1 - weight) * logits + weight * end.logits)[0]
            engine.rewind(root, length)
            seen = np.isfinite(row)
            assert np.abs(mixed - row)[seen].max() < 1e-4


@pytest.mark.parametrize("max_thoughts", [6, 7, 10])
def test_calls_per_token_and_length_of_the_cache(
    max_thoughts: int, tmp_path: Path, tiny_thinker: Tiny
) -> None:
    ahead = max_thoughts - 2
    with open_engine(tiny_thinker(tmp_path / "t", max_thoughts=max_thoughts), OPTIONS) as inner:
        engine, recording = recorded(inner)
        engine.tokenizer.eos_ids = frozenset()
        with engine.open(engine.tokenizer.encode("How many?")) as root:
            branches = engine.fork(root, 4)
            prefix = engine.length(root)
            for number in range(1, 6):
                recording.calls.clear()
                engine.extend(branches, Sampling(max_tokens=1, seed=number))
                assert len(recording.calls) == ahead - 2
                assert {len(call) for call in recording.calls} == {4}  # all think together
                assert sum(len(t) for call in recording.calls for t in call) == 4 * ahead
                assert [engine.length(b) for b in branches] == [prefix + number] * 4


def test_the_cache_holds_the_text_alone(reference: Callable[[str, str], Path]) -> None:
    import llama_cpp.llama_cpp as llama

    with open_engine(reference("thinker", "q4_k_m"), replace(OPTIONS, think="on")) as engine:
        inner: Any = engine.inner  # type: ignore[attr-defined]
        with engine.open(engine.tokenizer.encode("How many?")) as root:
            (branch,) = engine.fork(root, 1)
            engine.extend([branch], Sampling(max_tokens=7))
            slot = inner._slots[branch.id]
            last = llama.llama_memory_seq_pos_max(inner._memory, slot)
            assert last == engine.length(branch) - 1


def test_gated_calls(engine: Engine) -> None:
    thinking, recording = recorded(engine, gate=Gate("probability", 0.0))
    thinking.tokenizer.eos_ids = frozenset()
    with thinking.open(thinking.tokenizer.encode("How many?")) as root:
        branches = thinking.fork(root, 3)
        recording.calls.clear()
        thinking.extend(branches, Sampling(max_tokens=5))
        assert len(recording.calls) == 5  # one a token
        assert thinking.usage.thoughts == thinking.usage.thought_tokens == 0
        assert thinking.usage.skipped_thoughts == 1 + 3 * 5
    thinking, recording = recorded(engine, gate=Gate("probability", 1.0))
    with thinking.open(thinking.tokenizer.encode("How many?")) as root:
        recording.calls.clear()
        thinking.extend([root], Sampling(max_tokens=5))
        assert len(recording.calls) == 5 * 7  # START waits for the gate


def test_only_unsure_branches_think(engine: Engine) -> None:
    text = engine.tokenizer.encode(TEXT)
    with engine.open(text) as root:
        base = engine.logits([root]).copy()
    top = float(np.exp(log_softmax(base.astype(np.float64), axis=1)).max())
    for threshold, thinks in ((top - 1e-4, False), (top + 1e-4, True)):
        thinking, _ = recorded(engine, gate=Gate("probability", threshold))
        with thinking.open(text) as root:
            same = np.abs(thinking.logits([root]) - base)[np.isfinite(thinking.logits([root]))]
            assert (same.max() > 1e-3) == thinks
            assert thinking.usage.thoughts == int(thinks)


def test_a_gate_that_lets_all_in_changes_nothing(engine: Engine) -> None:
    text = engine.tokenizer.encode(TEXT)[:40]
    found = []
    for gate in (None, Gate("probability", 1.0), Gate("entropy", 0.0)):
        thinking, recording = recorded(engine, gate=gate)
        rows, thoughts = _read(thinking, recording, text)
        found.append((np.nan_to_num(rows, neginf=0), thoughts))
    for rows, thoughts in found[1:]:
        assert thoughts == found[0][1]
        assert np.allclose(rows, found[0][0], atol=1e-4)


def test_usage_books_thoughts_apart(engine: Engine) -> None:
    thinking, _ = recorded(engine)
    thinking.tokenizer.eos_ids = frozenset()
    prompt = thinking.tokenizer.encode("How many?")
    before = thinking.usage
    with thinking.open(prompt) as root:
        thinking.extend(thinking.fork(root, 3), Sampling(max_tokens=4))
    spent = thinking.usage - before
    assert spent.prefill_tokens == len(prompt)
    assert spent.decode_tokens == 3 * 4
    assert spent.thoughts == 1 + 3 * 4
    assert spent.thought_tokens == 7 * spent.thoughts
    assert min(spent.prefill_s, spent.decode_s, spent.thought_s) > 0
    lengths = [len(prompt)] + [len(prompt) + n for n in range(1, 5)] * 3
    attended = sum(range(1, len(prompt) + 1)) + sum(lengths[1:])
    attended += sum(sum(range(n + 1, n + 8)) for n in lengths)
    assert spent.context_tokens == attended
