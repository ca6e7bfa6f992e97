"""What a card computes by Vulkan is what the CPU computes: whole and in part, both models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convert.gguf_header import read_header
from convert.llama_log import RECENT
from runtime import devices
from runtime.engine import Sampling
from runtime.engine_footprint import engine_footprint
from runtime.gguf_engine import GgufEngine
from runtime.load import EngineOptions, describe_model, open_engine
from runtime.scheduler import Scheduler
from tests.methods.scored_path import line_scores, solved

pytestmark = pytest.mark.vulkan
Reference = Callable[[str, str], Path]
OPTIONS = EngineOptions(device="vulkan", context=1024, max_branches=24, threads=1)
ROOT = Path(__file__).parents[2]
LAYERS = 5  # of the reference models, the output counted


@pytest.fixture(autouse=True)
def card() -> devices.Card:
    found = devices.llama_cards("vulkan")
    if not found:
        pytest.skip("no Vulkan card, or llama.cpp was built without Vulkan; make test-vulkan")
    return found[0]


def walk(path: Path, options: EngineOptions, text: str) -> list[np.ndarray]:  # type: ignore[type-arg]
    """Rows of a prompt, of ragged forks, of more forks than the fast kernels take, of a rewind."""
    rows = []
    with open_engine(path, options) as engine:
        ids = engine.tokenizer.encode(text)
        with engine.open(ids[:40]) as root:
            rows.append(engine.logits([root]).copy())
            branches = engine.fork(root, 3)
            rows.append(engine.feed(branches, [ids[40:45], ids[40:60], ids[50:53]]).logits.copy())
            engine.rewind(branches[1], 50)
            fed = engine.feed(branches[1:2], [ids[60:63]], hidden=True)
            assert fed.hidden is not None
            rows += [fed.logits.copy(), fed.hidden.copy()]
            many = engine.fork(branches[0], 12)
            rows.append(engine.feed(many, [[ids[70 + n]] for n in range(12)]).logits.copy())
            engine.release(branches)
            rows.append(engine.feed(many[:1], [ids[80:82]]).logits.copy())
    return rows


@pytest.mark.parametrize("layers", [LAYERS, 2, 1])
@pytest.mark.parametrize("level", ["f16", "q8_0", "q4_k_m", "q2_k"])
def test_rows_are_those_of_the_cpu(
    reference: Reference, questions: list[str], layers: int, level: str
) -> None:
    """The CPU rounds activations to eight bits for quantized weights; a card need not."""
    path, text = reference("policy", level), " ".join(questions[:3])
    here = walk(path, replace(OPTIONS, device="cpu"), text)
    there = walk(path, replace(OPTIONS, gpu_layers=layers), text)
    for ours, theirs in zip(here, there, strict=True):
        error = np.abs(ours - theirs).max() / ours.std()
        assert error < (0.02 if level == "f16" else 0.25)


@pytest.mark.parametrize("layers", [99, 2])
def test_a_search_with_both_models_scores_as_on_the_cpu(
    reference: Reference, questions: list[str], solutions: list[str], layers: int
) -> None:
    scores = []
    for options in (replace(OPTIONS, device="cpu"), replace(OPTIONS, gpu_layers=layers)):
        with (
            open_engine(reference("policy", "f16"), options) as policy,
            open_engine(reference("reward", "q8_0"), options) as reward,
        ):
            assert [" layers" in engine.device for engine in (policy, reward)] == (
                [options.device == "vulkan"] * 2
            )
            with policy.open(policy.tokenizer.encode(questions[0] + "\n")) as root:
                steps = policy.extend(policy.fork(root, 4), Sampling(0.0, max_tokens=40))
            found = line_scores(reward, questions[0], solved(solutions)[0], "ки")
            scores.append(([step.text for step in steps], found))
    assert scores[0][0] == scores[1][0]
    assert scores[0][1] == pytest.approx(scores[1][1], abs=0.02)


def test_solve_runs_both_models_on_the_card(reference: Reference, card: devices.Card) -> None:
    question = "Mia bakes 6 trays of 8 rolls and sells 20. How many are left?"
    models = ["--policy", str(reference("policy", "q4_k_m"))]
    models += ["--reward", str(reference("reward", "q4_k_m"))]
    command = [sys.executable, "-m", "methods", *models, "--device", "vulkan", "--json"]
    done = subprocess.run(
        [*command, "--method", "rebase", "--width", "8", question],
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["answer"] == "28"
    for layers in ("5 of 5", "9 of 9"):  # the policy's and the reward model's
        assert f"; {card.name}, {layers} layers\n" in done.stderr


OPEN = """
import sys
from pathlib import Path
from runtime.load import EngineOptions, open_engine
options = EngineOptions(device="auto", context=1024, max_branches=24, threads=1)
with open_engine(Path(sys.argv[1]), options) as engine, engine.open([5, 6, 7]) as root:
    print(engine.device, engine.logits([root]).argmax(), sep="|")
"""


def opened(path: Path, largest: int) -> tuple[str, str]:
    """The device, and the likeliest token, where the card gives no buffer beyond a size."""
    limits = {"GGML_VK_FORCE_MAX_BUFFER_SIZE": str(largest)}
    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(path)],
        env=os.environ | limits,
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    device, token = done.stdout.split("|")
    return device, token


def test_out_of_memory_means_fewer_layers_then_the_cpu(
    reference: Reference, card: devices.Card
) -> None:
    path = reference("policy", "f32")
    whole, token = opened(path, 1 << 30)
    assert whole == f"{card.name}, 5 of 5 layers"
    weights = read_header(path)
    most = sum(t.size_bytes for t in weights.tensors if t.name.startswith("blk.")) * 7 // 8
    part, same = opened(path, most)
    assert part.startswith(f"{card.name}, 3 of 5 layers; the rest on CPU, 1 thread"), part
    none, also = opened(path, 5 << 20)
    assert none == "CPU, 1 thread (the card's memory is too small)"
    assert token == same == also


def test_the_planner_forecasts_what_the_card_is_asked_for(reference: Reference) -> None:
    path = reference("policy", "q8_0")
    options = replace(OPTIONS, context=8192, max_branches=34)
    RECENT.clear()
    with open_engine(path, options):
        asked = sum(float(text.split("=")[1].split()[0]) for _, text in RECENT if _is_buffer(text))
    artifact = describe_model(path)
    foretold = engine_footprint(read_header(path), artifact.shape, options).card_bytes(LAYERS)
    assert asked * (1 << 20) == pytest.approx(foretold, rel=0.1)


def test_the_cpu_leaves_the_card_alone(reference: Reference) -> None:
    RECENT.clear()
    with open_engine(reference("policy", "q8_0"), replace(OPTIONS, device="cpu")):
        lines = [text for _, text in RECENT]
    assert any("CPU compute buffer size" in text for text in lines)
    assert not any("Vulkan" in text for text in lines)


def test_the_batch_target_stays_in_the_fast_kernels(reference: Reference) -> None:
    with open_engine(reference("policy", "q8_0"), OPTIONS) as engine:
        assert isinstance(engine, GgufEngine)
        assert engine.fast_rows == 8
        with Scheduler(engine) as scheduler:
            assert scheduler.branches == 8
        with Scheduler(engine, branches=16) as scheduler:
            assert scheduler.branches == 16
    with open_engine(reference("policy", "q8_0"), replace(OPTIONS, device="cpu")) as engine:
        assert Scheduler(engine).branches == 32


def test_the_card_and_its_memory_are_told(card: devices.Card) -> None:
    assert card.name
    assert card.family == "Vulkan"
    assert 1 << 28 < card.free_bytes <= card.total_bytes
    assert devices.llama_cards("cuda") == []


def _is_buffer(text: str) -> bool:
    """A line such as `Vulkan0 model buffer size = 10.5 MiB`."""
    return "Vulkan0" in text and "buffer size" in text
