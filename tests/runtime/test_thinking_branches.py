"""A thinking engine as an engine: branches, limits, and models that cannot think."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.heads import read_talk_head
from runtime.engine import ContextFull, Engine, Output, Sampling
from runtime.load import describe_model, open_engine
from runtime.scripted_engine import ScriptedEngine
from runtime.thinking_engine import ThinkingEngine
from tests.conftest import REFERENCE
from tests.runtime.recording import OPTIONS, TEXT, Recording, or_skip, recorded

Tiny = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path, tiny_thinker: Tiny) -> Path:
    return tiny_thinker(tmp_path / "thinker")


@pytest.fixture
def engine(folder: Path) -> Iterator[Engine]:
    with open_engine(folder, OPTIONS) as opened:
        yield opened


def test_thought_tokens_stay_inside(tmp_path: Path, tiny_thinker: Tiny) -> None:
    folder = tiny_thinker(tmp_path / "thinker")
    with open_engine(folder, OPTIONS) as inner:
        rows = inner._head.detach()  # type: ignore[attr-defined]
        rows[-2:] = 10 * rows[5]
        engine, recording = recorded(inner)
        with engine.open(engine.tokenizer.encode("How many?")) as root:
            steps = engine.extend(engine.fork(root, 8), Sampling(max_tokens=20))
        last = engine.artifact.shape.vocab - 2
        assert all(token < last for step in steps for token in step.token_ids)
        inside = [t for call in recording.calls for tokens in call for t in tokens]
        assert inside.count(last) == inside.count(last + 1) == engine.usage.thoughts


def test_runs_repeat_and_seeds_differ(engine: Engine) -> None:
    thinking, _ = recorded(engine)
    found = []
    for seed in (1, 1, 2):
        with thinking.open(thinking.tokenizer.encode(TEXT)) as root:
            steps = thinking.extend(thinking.fork(root, 3), Sampling(max_tokens=12, seed=seed))
            found.append([step.token_ids for step in steps])
    assert found[0] == found[1] != found[2]


def test_no_random_number_is_used_twice(engine: Engine) -> None:
    thinking, _ = recorded(engine)
    draw, seen = thinking._sampler.draw, []

    def spy(logits: Any, sampling: Sampling, branches: Any, positions: Any, **more: Any) -> Any:
        seen.extend((sampling.seed, *place) for place in zip(branches, positions, strict=True))
        return draw(logits, sampling, branches, positions, **more)

    thinking._sampler.draw = spy  # type: ignore[method-assign]
    with thinking.open(thinking.tokenizer.encode("How many?")) as root:
        thinking.extend(thinking.fork(root, 3), Sampling(max_tokens=6, seed=1))
    assert len(seen) > 3 * 6 * 5
    assert len(set(seen)) == len(seen)


def test_forks_rewind_and_release(engine: Engine) -> None:
    thinking, _ = recorded(engine)
    with thinking.open(thinking.tokenizer.encode("How many?")) as root:
        a, b = thinking.fork(root, 2)
        assert np.array_equal(thinking.logits([a]), thinking.logits([b]))
        row = thinking.logits([a]).copy()
        thinking.feed([b], [thinking.tokenizer.encode_more(" Three")])
        assert np.array_equal(thinking.logits([a]), row)
        thinking.rewind(b, thinking.length(root))
        with pytest.raises(ValueError, match="holds no logits"):
            thinking.logits([b])
        thinking.release([b])
        assert np.array_equal(thinking.logits([root]), row)


@pytest.mark.parametrize("level", ["f16", "fp32"])
def test_a_full_cache_leaves_branches_as_they_were(
    reference: Callable[[str, str], Path], level: str
) -> None:
    options = replace(OPTIONS, context=256, max_branches=4, think="on")
    with open_engine(or_skip(reference, level), options) as engine:
        prompt = [5] * 246
        with engine.open(prompt) as root:
            row = engine.logits([root]).copy()
            with pytest.raises(ContextFull, match="KV cache"):
                engine.feed([root], [[5, 5, 5, 5]])
            assert engine.length(root) == len(prompt)
            assert np.array_equal(engine.logits([root]), row)
            engine.feed([root], [[5]])


def test_what_cannot_think(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"is no Quiet-STaR model: it cannot think; .*--think off"):
        open_engine(REFERENCE / "policy", replace(OPTIONS, think="on"))
    artifact = describe_model(folder)
    assert artifact.thought is not None
    head = read_talk_head(artifact)
    engine = ScriptedEngine({})
    with pytest.raises(ValueError, match="no Quiet-STaR model"):
        ThinkingEngine(engine, head)
    engine.artifact = replace(
        engine.artifact, thought=replace(artifact.thought, start_id=1, end_id=2, n_ahead=3)
    )
    with pytest.raises(ValueError, match="n_ahead is 3, at least 4"):
        ThinkingEngine(engine, head)
    engine.artifact = replace(engine.artifact, thought=artifact.thought)
    with pytest.raises(ValueError, match=r"thought token 1024 is not in the 257"):
        ThinkingEngine(engine, head)


def test_an_engine_without_hidden_states(engine: Engine) -> None:
    class Blind(Recording):
        def feed(self, *arguments: Any, **options: Any) -> Output:
            return Output(super().feed(*arguments, **options).logits)

    head = read_talk_head(engine.artifact)
    thinking = ThinkingEngine(Blind(engine), head)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="gives no hidden states"), thinking.open([5, 6]):
        pass
