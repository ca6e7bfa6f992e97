"""One suite for every engine: what methods may rely on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runtime.engine import ContextFull, Engine, Sampling
from runtime.options import EngineOptions
from runtime.scripted_engine import ScriptedEngine
from runtime.shared_engine import SharedEngine
from tests.runtime.shared import shared

CONTEXT = 512


def _scripted(_reference: Callable[[str, str], Path], options: EngineOptions) -> Engine:
    script = {
        "sells 20.": {" Step 1: one. ": 1, " Step 1: two. ": 1},
        ". ": {"More. ": 2, "Es. ": 1},
    }
    return ScriptedEngine(script, context=options.context, max_branches=options.max_branches)


def _gguf(reference: Callable[[str, str], Path], options: EngineOptions) -> Engine:
    from runtime.load import open_engine

    return open_engine(reference("policy", "f16"), options)


def _torch(_reference: Callable[[str, str], Path], options: EngineOptions) -> Engine:
    from runtime.load import open_engine
    from tests.conftest import REFERENCE

    return open_engine(REFERENCE / "policy", options)


def _onnx(reference: Callable[[str, str], Path], options: EngineOptions) -> Engine:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    from runtime.load import open_engine

    return open_engine(reference("policy", "fp32"), options)


def _streams(reference: Callable[[str, str], Path], options: EngineOptions) -> Engine:
    return _gguf(reference, replace(options, streams=True))


def _vulkan(reference: Callable[[str, str], Path], options: EngineOptions) -> Engine:
    from runtime import devices

    if not devices.llama_cards("vulkan"):
        pytest.skip("no Vulkan card, or llama.cpp was built without Vulkan; make test-vulkan")
    return _gguf(reference, replace(options, device="vulkan"))


ENGINES = {
    "scripted": _scripted,
    "gguf": _gguf,
    "streams": _streams,
    "torch": _torch,
    "onnx": _onnx,
}


ON_A_CARD = {"vulkan": _vulkan}
PARAMETERS = [
    *ENGINES,
    *(f"shared-{name}" for name in ENGINES),
    *(pytest.param(name, marks=pytest.mark.vulkan) for name in ("vulkan", "shared-vulkan")),
]


@pytest.fixture(params=PARAMETERS)
def engine(
    request: pytest.FixtureRequest, reference: Callable[[str, str], Path]
) -> Iterator[Engine]:
    name = request.param.removeprefix("shared-")
    options = EngineOptions(device="cpu", context=CONTEXT, max_branches=12, threads=1)
    with (ENGINES | ON_A_CARD)[name](reference, options) as opened:
        if name == request.param:
            yield opened
        else:
            with shared(opened, company=1) as view:
                yield view


@pytest.fixture
def prompt(engine: Engine) -> list[int]:
    return engine.tokenizer.encode("Mia bakes 6 trays of 8 rolls and sells 20.")


def _tokens(engine: Engine, text: str) -> list[int]:
    return engine.tokenizer.encode_more(text)


def _close(a: np.ndarray, b: np.ndarray) -> bool:  # type: ignore[type-arg]
    return bool(np.allclose(np.nan_to_num(a, neginf=-99), np.nan_to_num(b, neginf=-99), atol=5e-2))


def test_feeding_equals_opening(engine: Engine, prompt: list[int]) -> None:
    with engine.open(prompt) as branch:
        whole = engine.logits([branch]).copy()
    with engine.open(prompt[:4]) as branch:
        engine.feed([branch], [prompt[4:9]])
        engine.feed([branch], [prompt[9:]])
        assert engine.length(branch) == len(prompt)
        assert _close(engine.logits([branch]), whole)


def test_forks_are_independent(engine: Engine, prompt: list[int]) -> None:
    one, two = _tokens(engine, " Step 1: o"), _tokens(engine, " Step 1: two. M")
    with engine.open(prompt) as root:
        before = engine.logits([root]).copy()
        first, second = engine.fork(root, 2)
        assert first.parent == second.parent == root.id
        assert _close(engine.logits([first, second]), np.repeat(before, 2, axis=0))
        fed = engine.feed([first, second], [one, two]).logits.copy()
        assert _close(engine.logits([root]), before)
    for row, tokens in enumerate((one, two)):
        with engine.open([*prompt, *tokens]) as fresh:
            assert _close(engine.logits([fresh])[0], fed[row])


def test_branches_begin_together_in_an_empty_cache(engine: Engine, prompt: list[int]) -> None:
    texts = [prompt, prompt[: len(prompt) // 2]]
    with engine.open([]) as one, engine.open([]) as two:
        engine.feed([one, two], [text[:-3] for text in texts])
        rows = engine.feed([one, two], [text[-3:] for text in texts]).logits.copy()
    for row, text in zip(rows, texts, strict=True):
        with engine.open(text) as fresh:
            assert _close(engine.logits([fresh])[0], row)


def test_rows_survive_calls_they_sit_out(engine: Engine, prompt: list[int]) -> None:
    with engine.open(prompt) as root:
        first, second = engine.fork(root, 2)
        engine.feed([first, second], [_tokens(engine, " Step 1: o"), _tokens(engine, " Step 1: t")])
        kept = engine.logits([first]).copy()
        for _ in range(3):
            engine.feed([second], [_tokens(engine, "wo")])
        assert np.array_equal(engine.logits([first]), kept)
        assert _close(engine.logits([second, first])[1], kept[0])


def test_rewind_forgets(engine: Engine, prompt: list[int]) -> None:
    with engine.open(prompt) as root:
        (branch,) = engine.fork(root, 1)
        engine.feed([branch], [_tokens(engine, " Step 1: two. ")])
        engine.rewind(branch, len(prompt))
        with pytest.raises(ValueError, match="no logits"):
            engine.logits([branch])
        tokens = _tokens(engine, " Step 1: o")
        again = engine.feed([branch], [tokens]).logits.copy()
    with engine.open([*prompt, *tokens]) as fresh:
        assert _close(engine.logits([fresh]), again)


def test_extend_repeats_and_siblings_differ(engine: Engine, prompt: list[int]) -> None:
    sampling = Sampling(temperature=1.5, max_tokens=12, seed=5, stop=(". ",))
    runs = []
    for _ in range(2):
        with engine.open(prompt) as root:
            steps = engine.extend(engine.fork(root, 6), sampling)
            runs.append([step.text for step in steps])
            assert all(len(step.token_ids) == len(step.logprobs) <= 12 for step in steps)
            assert all(step.finish != "stop" or ". " in step.text for step in steps)
    assert runs[0] == runs[1]
    assert len(set(runs[0])) > 1


def test_a_step_ends_with_the_state_that_decoding_had(engine: Engine, prompt: list[int]) -> None:
    sampling = Sampling(temperature=1.5, max_tokens=6, seed=5, stop=(". ",))
    with engine.open(prompt) as root:
        branches = engine.fork(root, 3)
        assert engine.extend(engine.fork(root, 1), sampling)[0].state is None
        before = engine.usage
        steps = engine.extend(branches, replace(sampling, states=True))
        spent = engine.usage - before
        assert spent.tokens == spent.logit_rows == sum(len(step.token_ids) for step in steps)
    for step in steps:
        with engine.open(prompt) as fresh:
            told = engine.feed([fresh], [step.token_ids], hidden=True).hidden
        assert told is not None
        assert step.state is not None
        assert np.allclose(step.state, told[0], atol=2e-2)


def test_a_branch_can_go_on_after_extend(engine: Engine, prompt: list[int]) -> None:
    greedy = Sampling(temperature=0, max_tokens=4)
    with engine.open(prompt) as root:
        (branch,) = engine.fork(root, 1)
        parts = [engine.extend([branch], greedy)[0] for _ in range(2)]
        (other,) = engine.fork(root, 1)
        (whole,) = engine.extend([other], Sampling(temperature=0, max_tokens=8))
        assert "".join(step.text for step in parts) == whole.text
        assert engine.length(branch) == engine.length(other)


def test_usage_adds_up(engine: Engine, prompt: list[int]) -> None:
    before = engine.usage
    with engine.open(prompt) as root:
        steps = engine.extend(engine.fork(root, 3), Sampling(temperature=0, max_tokens=5))
        spent = engine.usage - before
    n = len(prompt)
    assert spent.prefill_tokens == n
    assert spent.decode_tokens == sum(len(step.token_ids) for step in steps)
    assert spent.logit_rows == 1 + spent.decode_tokens
    attended = n * (n + 1) // 2 + sum(
        n + k for step in steps for k in range(1, len(step.token_ids) + 1)
    )
    assert spent.context_tokens == attended
    assert spent.calls == 1 + max(len(step.token_ids) for step in steps)


def test_nothing_stays_live(engine: Engine, prompt: list[int]) -> None:
    for _ in range(3):
        with engine.open(prompt) as root:
            children = engine.fork(root, 8)
            engine.release(children[:3])
            assert len(engine.fork(children[4], 6)) == 6
            assert children[0].id == 1  # ids start alike in every tree
    with engine.open(prompt) as root:
        assert len(engine.fork(root, 11)) == 11


def test_too_many_branches(engine: Engine, prompt: list[int]) -> None:
    if isinstance(engine, SharedEngine):
        pytest.skip("branches of a shared engine take turns")
    with engine.open(prompt) as root, pytest.raises(ContextFull, match="12 branches"):
        engine.fork(root, 12)


def test_a_prompt_that_does_not_fit(engine: Engine, prompt: list[int]) -> None:
    with pytest.raises(ContextFull, match="512"), engine.open(prompt * 80):
        pass
    with engine.open(prompt):
        pass  # and the engine still works


def test_an_empty_feed_is_an_error(engine: Engine, prompt: list[int]) -> None:
    with engine.open(prompt) as root, pytest.raises(ValueError, match="at least 1 token"):
        engine.feed([root], [[]])


def test_tail_gives_the_rows_of_the_last_tokens(engine: Engine, prompt: list[int]) -> None:
    added = [_tokens(engine, "Step 1: Mia"), _tokens(engine, "Step 1: Mia bakes")]
    with engine.open(prompt) as root:
        pair = engine.fork(root, 2)
        both = engine.feed(pair, added, hidden=True, tail=2)
        rows, hidden = both.logits.copy(), both.hidden
        assert hidden is not None
        hidden = hidden.copy()
        assert _close(engine.logits(pair), rows[1::2])
    with engine.open(prompt) as root:
        pair = engine.fork(root, 2)
        before = engine.feed(pair, [ids[:-1] for ids in added], hidden=True)
        assert _close(before.logits, rows[::2])
        assert before.hidden is not None
        assert np.allclose(before.hidden, hidden[::2], atol=2e-2)
        with pytest.raises(ValueError, match="at least 2 token"):
            engine.feed(pair, [ids[-1:] for ids in added], tail=2)
