"""What a judge reads while a model thinks: the text's states, and how its tokens were drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import log_softmax
from scipy.stats import entropy

from runtime.engine import Engine, Sampling, Step
from runtime.load import open_engine
from runtime.options import Thinking
from runtime.probe import FINAL, Probe
from tests.runtime.recording import OPTIONS, TEXT

PROBE = Probe((2, FINAL))


def _step(engine: Engine, ids: list[int]) -> Step:
    with engine.open(ids) as root:
        (step,) = engine.extend([root], Sampling(max_tokens=24, states=True))
    return step


@pytest.mark.parametrize("think", ["on", "gated"])
def test_numbers_are_of_the_mixed_distribution_and_states_of_the_text(
    reference: Callable[[str, str], Path], think: Thinking
) -> None:
    path = reference("thinker", "f16")
    with open_engine(path, replace(OPTIONS, think=think), probe=PROBE) as engine:
        ids = engine.tokenizer.encode(TEXT)[:12]  # it goes on with the question, unsure how
        step = _step(engine, ids)
        rows, usage = [], engine.usage
        with engine.open(ids) as root:
            for token in step.token_ids:
                rows.append(engine.logits([root])[0].copy())
                last = engine.feed([root], [[token]], hidden=True).hidden
    assert usage.thoughts > 0
    assert (think == "gated") == (usage.skipped_thoughts > 0)
    drawn = log_softmax(np.stack(rows).astype(np.float64), axis=1)
    own = [row[token] for row, token in zip(drawn, step.token_ids, strict=True)]
    assert step.logprobs == pytest.approx(own, abs=1e-2)
    assert step.entropies == pytest.approx(entropy(np.exp(drawn), axis=1), abs=1e-2)
    assert last is not None
    assert step.state == pytest.approx(last[0], abs=1e-2)
    with open_engine(path, OPTIONS, probe=PROBE) as plain, plain.open(ids) as root:
        text = plain.feed([root], [step.token_ids], tail=len(step.token_ids))
        assert np.stack(step.readings) == pytest.approx(text.readings, abs=5e-2)
        before = log_softmax(text.logits[:-1].astype(np.float64), axis=1)
    unmixed = [row[token] for row, token in zip(before, step.token_ids[1:], strict=True)]
    assert np.abs(np.array(step.logprobs[1:]) - unmixed).max() > 1e-2
