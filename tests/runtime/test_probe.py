"""States read while a model decodes, against what the same model in torch says of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import llama_cpp.llama_cpp as llama
import numpy as np
import pytest

from convert.refusal import Refusal
from runtime import gguf_states
from runtime.branching import BranchEngine
from runtime.engine import Engine, Sampling, Step
from runtime.load import EngineOptions, open_engine
from runtime.probe import FINAL, Probe
from tests.conftest import REFERENCE
from tests.runtime.shared import shared

OPTIONS = EngineOptions(device="cpu", context=512, max_branches=8, threads=1)
QUESTION = "Mia bakes 6 trays of 8 rolls and sells 20. How many are left?\n"
LAYERS = (1, 3, FINAL)
Reference = Callable[[str, str], Path]


def _step(engine: Engine) -> tuple[list[int], Step]:
    ids = engine.tokenizer.encode(QUESTION)
    with engine.open(ids) as root:
        engine.fork(root, 1)
        (step,) = engine.extend([root], Sampling(max_tokens=12, seed=3))
    return ids, step


def _told_by_torch(ids: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """(T, 3 D) states and (T,) entropies of the next token, of the whole text read at once."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(REFERENCE / "policy", dtype=torch.float32)
    with torch.inference_mode():
        found = model(torch.tensor([ids]), output_hidden_states=True)
    states = torch.cat([found.hidden_states[n][0] for n in LAYERS], dim=1)
    entropies = torch.distributions.Categorical(logits=found.logits[0]).entropy()
    return states.numpy(), entropies.numpy()


@pytest.mark.parametrize("way", ["inputs", "outputs", "torch", "shared"])
def test_states_and_entropies_are_those_of_the_model(
    way: str, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "outputs":
        monkeypatch.setattr(gguf_states, "GIVING", ())
    path = REFERENCE / "policy" if way == "torch" else reference("policy", "f16")
    with open_engine(path, OPTIONS, probe=Probe(LAYERS)) as engine:
        assert way not in ("inputs", "outputs") or way in type(engine._states).__name__.lower()
        if way == "shared":
            with shared(engine, company=1) as view:
                ids, step = _step(view)
        else:
            ids, step = _step(engine)
    states, entropies = _told_by_torch([*ids, *step.token_ids])
    ours = np.stack(step.readings)
    assert ours.shape == (len(step.token_ids), states.shape[1])
    for n in range(len(LAYERS)):
        part = slice(n * 256, (n + 1) * 256)
        error = np.linalg.norm(ours[:, part] - states[len(ids) :, part], axis=1)
        assert (error < 0.02 * np.linalg.norm(states[len(ids) :, part], axis=1)).all()
    assert step.entropies == pytest.approx(entropies[len(ids) - 1 : -1], abs=0.02)


def test_what_is_read_is_a_linear_map_of_the_states(reference: Reference) -> None:
    draw = np.random.default_rng(0)
    weight = draw.normal(size=(2, 512)).astype(np.float32)
    steps = []
    for probe in (Probe((1, 2)), Probe((1, 2), weight)):
        with open_engine(reference("policy", "f16"), OPTIONS, probe=probe) as engine:
            steps.append(_step(engine)[1])
    whole, read = (np.stack(step.readings) for step in steps)
    assert read == pytest.approx(whole @ weight.T, abs=1e-3)


def test_without_a_probe_nothing_is_kept(reference: Reference) -> None:
    with open_engine(reference("policy", "f16"), OPTIONS) as engine:
        _, step = _step(engine)
    assert (step.entropies, step.readings) == ((), ())


def test_a_probe_of_no_layer_gives_entropies_alone(reference: Reference) -> None:
    with open_engine(reference("policy", "f16"), OPTIONS, probe=Probe(())) as engine:
        _, step = _step(engine)
    assert len(step.entropies) == len(step.token_ids)
    assert step.readings == ()


def test_layers_that_are_none(reference: Reference) -> None:
    with pytest.raises(Refusal, match=r"layer 4 is not between two of the 4 .*choose 1 to 3, or"):
        open_engine(reference("policy", "f16"), OPTIONS, probe=Probe((4,)))


def test_an_onnx_file_has_the_final_state_alone(reference: Reference) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    path = reference("policy", "fp32")
    with pytest.raises(Refusal, match="gives no states of layer 2"):
        open_engine(path, OPTIONS, probe=Probe((2, FINAL)))
    with open_engine(path, OPTIONS, probe=Probe((FINAL,))) as engine:
        ids, step = _step(engine)
    states, _ = _told_by_torch([*ids, *step.token_ids])
    assert np.stack(step.readings) == pytest.approx(states[len(ids) :, 512:], abs=1e-2)


@pytest.mark.parametrize("streams", [False, True])
def test_rows_of_a_ragged_call_keep_their_places(streams: bool, reference: Reference) -> None:
    options = replace(OPTIONS, streams=streams)
    found = []
    with open_engine(reference("policy", "f16"), options, probe=Probe((2, FINAL))) as engine:
        assert isinstance(engine, BranchEngine)
        texts = [engine.tokenizer.encode(t) for t in (QUESTION, "Tom has 3.\n", "A\n")]
        together, _ = engine.evaluate([2, 0, 1], [0] * 3, texts, hidden=False, tails=[1] * 3)
        assert together.readings is not None
        for slot, ids in enumerate(texts, 3):
            alone, _ = engine.evaluate([slot], [0], [ids], hidden=False, tails=[1])
            assert alone.readings is not None
            found.append(alone.readings[0])
    assert together.readings == pytest.approx(np.stack(found), abs=0.05)


def test_states_of_more_tokens_than_are_kept_at_a_time(reference: Reference) -> None:
    """llama.cpp keeps those of one call, and holds memory for as many."""
    found = []
    for batch in (512, 64):
        options = replace(OPTIONS, batch=batch)
        with open_engine(reference("policy", "f16"), options, probe=Probe((2, 3))) as engine:
            ids = engine.tokenizer.encode(4 * QUESTION)
            assert len(ids) > 64
            with engine.open([]) as root:
                found.append(engine.feed([root], [ids], tail=len(ids)).readings)
            assert llama.llama_n_batch(engine._context) == batch  # type: ignore[attr-defined]
    assert found[0] == pytest.approx(found[1], abs=0.05)
