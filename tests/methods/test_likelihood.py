"""Log-probabilities of a given text against torch's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from methods.likelihood import CHUNK, likelihoods
from runtime.load import open_engine
from tests.conftest import REFERENCE


@pytest.mark.parametrize("length", [2, CHUNK + 1, 300])
def test_every_token_of_a_text(
    reference: Callable[[str, str], Path], questions: list[str], length: int
) -> None:
    from transformers import AutoModelForCausalLM

    with open_engine(reference("policy", "f16")) as engine:
        ids = engine.tokenizer.encode("\n".join(questions[:20]))[:length]
        found = list(likelihoods(engine, ids, top=2))
    model = AutoModelForCausalLM.from_pretrained(REFERENCE / "policy", dtype=torch.float32)
    with torch.no_grad():
        rows = torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), -1)[:-1]
    exact = rows[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].numpy()
    assert [p.token for p in found] == ids[1:]
    assert np.abs(np.array([p.logprob for p in found]) - exact).max() < 0.03
    best = rows.argmax(1).tolist()
    agree = [p.top[0][0] == token for p, token in zip(found, best, strict=True)]
    assert np.mean(agree) > 0.98
    assert all(p.greedy == (p.token == p.top[0][0]) for p in found)
    assert all(p.top[0][1] >= p.top[1][1] for p in found)
