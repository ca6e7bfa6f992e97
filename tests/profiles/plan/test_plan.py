"""The planner: cells, cards, choices, and what the engines would do by themselves."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convert.gguf_header import read_header
from convert.levels import LEVELS
from convert.tensors import open_tensors
from convert.units import GIB
from profiles.cli import main, parser
from profiles.plan import command
from profiles.plan.measure import Choice, SearchSize, best, choices, even, need, stated_loss
from profiles.plan.model_tensors import KNOWN, model_tensors
from runtime.devices import Card
from runtime.footprint import MARGIN_BYTES
from runtime.gguf_engine import _placement
from runtime.load import describe_model
from runtime.options import EngineOptions
from tests.conftest import ROOT
from tests.runtime.test_footprint import resident

PUBLISHED = {  # parameters by the models' cards
    "mistral-7b": 7_241_732_096,
    "mistral-nemo-12b": 12_247_782_400,
    "llama-2-7b": 6_738_415_616,
    "llama-3-8b": 8_030_261_248,
    "llama-3.2-1b": 1_235_814_400,
    "llama-3.2-3b": 3_212_749_824,
    "tinyllama-1.1b": 1_100_048_384,
    "qwen2.5-0.5b": 494_032_768,
    "qwen2.5-1.5b": 1_543_714_304,
    "qwen2.5-3b": 3_085_938_688,
    "qwen2.5-7b": 7_615_616_512,
    "qwen2.5-14b": 14_770_033_664,
    "qwen3-0.6b": 596_049_920,
    "qwen3-1.7b": 1_720_574_976,
    "qwen3-4b": 4_022_468_096,
    "qwen3-8b": 8_190_735_360,
    "qwen3-14b": 14_768_307_200,
    "smollm2-135m": 134_515_008,
    "smollm2-360m": 361_821_120,
    "smollm2-1.7b": 1_711_376_384,
}
SEARCH = SearchSize(width=16, context=1024, prompt=128)
PAIR = (model_tensors("mistral-7b"), model_tensors("mistral-7b"))


def planned(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["plan", *arguments, "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize("name", KNOWN)
def test_known_shapes_have_the_published_number_of_weights(name: str) -> None:
    assert model_tensors(name).weights == PUBLISHED[name]


def test_the_prompt_is_held_once() -> None:
    assert SEARCH.shared_cells == 128 + 16 * 896
    assert SEARCH.unshared_cells == 16 * 1024
    assert replace(SEARCH, cells=5000).shared_cells == 5000
    assert replace(SEARCH, width=1).shared_cells == replace(SEARCH, width=1).unshared_cells == 1024


@pytest.mark.parametrize("level", ["f16", "q4_k_m"])
def test_a_thinking_process_holds_what_was_foretold(
    level: str, reference: Callable[[str, str], Path]
) -> None:
    path = reference("thinker", level)
    told, held = {}, {}
    for think in ("off", "on"):
        search = SearchSize(width=16, context=110, prompt=100, think=think == "on", cells=2048)
        found = need(model_tensors(str(path)), level, search, thinks=search.think)
        before, after = resident(path, 2048, 34, 16, 9, think)
        told[think], held[think] = found.ram_bytes(), after - before
        # of 18 and 24 MiB; libraries' pages differ between kernels
        assert held[think] == pytest.approx(told[think], abs=4 << 20)
    thoughts = told["on"] - told["off"]
    assert held["on"] - held["off"] == pytest.approx(thoughts, abs=2 << 20)  # 4.9 to 6 MiB


def test_thoughts_take_seven_cells_a_path_and_a_talk_head() -> None:
    thinking = replace(SEARCH, think=True)
    assert thinking.shared_cells - SEARCH.shared_cells == 16 * 7
    plain = choices(PAIR, ["q4_k_m"], SEARCH)[0]
    found = choices(PAIR, ["q4_k_m"], thinking)[0]
    assert [n.talk_head for n in found.needs] == [(3 * 4096**2 + 4096) * 4, 0]
    assert [n.footprint.kv for n in found.needs] == [
        14_592 * 128 * 1024  # 14,576 cells, rounded up to 256
    ] * 2
    logits = found.needs[0].footprint.rows - plain.needs[0].footprint.rows
    assert logits == 2 * 16 * 4 * 32000
    assert found.ram_bytes - plain.ram_bytes >= found.needs[0].talk_head + logits


def test_a_7b_cache_is_128_kib_a_token() -> None:
    assert need(PAIR[0], "q4_k_m", replace(SEARCH, cells=8192)).footprint.kv == GIB
    eighth = need(PAIR[0], "q4_k_m", replace(SEARCH, cells=8192, kv_type="q8_0"))
    assert eighth.footprint.kv == GIB * 34 // 64


def test_what_fits_leaves_the_margin_free() -> None:
    found = choices(PAIR, ["q8_0", "q4_k_m", "q2_k"], SEARCH)
    assert len(found) == 9
    for choice in found:
        exact = choice.card_bytes + MARGIN_BYTES
        assert choice.on(exact).fits
        assert not choice.on(exact - 1).fits
        assert choice.on(exact).spare_bytes == 0
    chosen = best(found, 13 * GIB)
    assert chosen
    assert all(choice.card_bytes <= 12 * GIB for choice in chosen)
    losses = [choice.loss for choice in chosen]
    assert losses == sorted(losses)
    better = [c for c in found if c.loss < losses[0]]
    assert all(c.card_bytes > 12 * GIB for c in better)


def test_the_table_shows_models_at_one_level_and_keeps_files_as_they_are(
    reference: Callable[[str, str], Path],
) -> None:
    assert [c.levels for c in even(choices(PAIR, ["q8_0", "q2_k"], SEARCH))] == [
        ["q8_0", "q8_0"],
        ["q2_k", "q2_k"],
    ]
    file = model_tensors(str(reference("reward", "q8_0")))
    mixed = choices((model_tensors("reference:policy"), file), None, SEARCH)
    assert {c.levels[1] for c in mixed} == {"q8_0"}
    assert len(list(even(mixed))) == len(mixed) == 7


def test_layers_are_those_that_the_engine_chooses(
    reference: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a card of any size, told from the placement that the engine makes before it loads."""
    path = reference("policy", "q4_k_m")
    options = EngineOptions(context=SEARCH.shared_cells, max_branches=SEARCH.branches)
    planned = need(model_tensors(str(path)), "q4_k_m", SEARCH).footprint
    monkeypatch.setattr("runtime.gguf_engine.selftest.card_fault", lambda _: "")
    counts = []
    for spare in range(0, 60 << 20, 2 << 20):
        free = MARGIN_BYTES + spare
        monkeypatch.setattr(
            "runtime.devices.llama_cards", lambda _, f=free: [Card("a card", f, f, "CUDA")]
        )
        layers, card, _ = _placement(read_header(path), describe_model(path), options)
        assert card is not None
        assert (layers, card.name) == (planned.layers_that_fit(free), "a card")
        counts.append(layers)
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 5)


def test_two_models_share_a_card_as_is_quickest() -> None:
    pair = choices(PAIR, ["q4_k_m"], SEARCH)[0]
    small, large = pair.on(8 * GIB), pair.on(24 * GIB)
    assert small.seats[0].layers > small.seats[1].layers
    assert tuple(seat.layers for seat in large.seats) == pair.card_layers == (33, 33)
    assert large.card_bytes == pair.card_bytes
    alone = Choice(pair.needs[:1])
    assert alone.on(8 * GIB).seats[0].layers >= small.seats[0].layers
    assert pair.ram_bytes > small.ram_bytes > large.ram_bytes


def test_the_order_of_levels_follows_the_stated_loss() -> None:
    assert stated_loss("q8_0") < stated_loss("q4_k_m") < stated_loss("q2_k")
    assert stated_loss("f16") == stated_loss("bf16") == 0
    assert stated_loss("iq4_xs") == stated_loss("q3_k_m")  # none stated: as the next lower one
    assert all(stated_loss(level) >= 0 for level in LEVELS)


def test_the_command_prints_a_table_and_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    pair = ["--policy", "mistral-7b", "--reward", "mistral-7b", "--width", "16"]
    assert main(["plan", *pair, "--vram", "8", "12", "24"]) == 0
    shown = capsys.readouterr().out
    assert "open with: --width 16 --context 14464" in shown
    assert "8 GiB card" in shown
    assert "no: 33/33 + 6/33 layers" in shown
    document = planned(capsys, *pair, "--vram", "24", "--quant", "q4_k_m", "Q8_0")
    first = document["choices"][0]
    assert first["levels"] == ["q4_k_m", "q4_k_m"]
    parts = first["models"][0]
    assert parts["weights_bytes"] == pytest.approx(4.37e9, rel=0.01)  # of the files on the hub
    assert document["best"][0]["levels"][0] == ["q8_0", "q8_0"]
    assert document["cells"] == 14464


def test_a_talk_head_is_counted(
    tiny_thinker: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny_thinker(tmp_path / "thinker")
    path = ["--policy", str(folder), "--method", "majority", "--context", "512"]
    document = planned(capsys, *path, "--think")
    head = document["choices"][0]["models"][0]["talk_head_bytes"]
    stored = sum(t.elements for n, t in open_tensors(folder).items() if n.startswith("talk_head"))
    assert head == pytest.approx(4 * stored, rel=0.01)
    assert document["cells"] == planned(capsys, *path)["cells"] + 8 * 7


def test_thinking_asks_for_the_reference_thinker() -> None:
    options = parser().parse_args(["plan", "--think"])
    assert command.models_of(options) == ["reference:thinker", "reference:reward"]
    assert command.models_of(parser().parse_args(["plan"])) == [
        "reference:policy",
        "reference:reward",
    ]


def test_methods_without_a_reward_model_plan_one(capsys: pytest.CaptureFixture[str]) -> None:
    document = planned(capsys, "--policy", "qwen2.5-7b", "--method", "majority", "--width", "4")
    assert [model["name"] for model in document["models"]] == ["qwen2.5-7b"]
    greedy = planned(capsys, "--policy", "qwen2.5-7b", "--method", "greedy", "--width", "4")
    assert greedy["width"] == 1
    assert greedy["branches"] == 4


def test_a_hub_id_that_is_not_here_is_planned_from_its_published_shape(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    document = planned(
        capsys,
        *("--policy", "mistralai/Mistral-7B-v0.1"),
        *("--reward", "peiyi9979/math-shepherd-mistral-7b-prm"),
    )
    assert [model["weights"] for model in document["models"]] == [PUBLISHED["mistral-7b"]] * 2
    assert "which is not here" in document["models"][0]["origin"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--policy", "no/such", "--method", "greedy"], 1, "a shape by name: mistral-7b,"),
        (["--policy", "none.gguf", "--method", "greedy"], 1, "none.gguf is neither here"),
        (["--policy", "mistral-7b"], 1, "rebase needs a reward model"),
        (["--width", "256", "--method", "majority"], 1, "llama.cpp holds 255 paths at most"),
        (["--width", "200"], 1, "--width 200 of rebase needs 402 branches at once"),
        (["--vram", "1e308"], 2, "is no size in GiB"),
        (["--prompt", "1024"], 1, "leaves nothing of a path of 1024"),
        (["--vram", "big"], 2, "'big' is not a positive number"),
        (["--vram", "-8"], 2, "'-8' is not a positive number"),
        (["--quant", "q4"], 2, "unknown level 'q4'"),
        (["--context", "0"], 2, "'0' is not a positive number"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if code == 2:
        with pytest.raises(SystemExit) as stopped:
            main(["plan", *arguments])
        assert stopped.value.code == 2
    else:
        assert main(["plan", *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert said in captured.err


def test_a_path_longer_than_the_model_was_made_for_is_a_warning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert (
        main(["plan", "--policy", "tinyllama-1.1b", "--method", "greedy", "--context", "4096"]) == 0
    )
    assert "was made for 2048 tokens" in capsys.readouterr().err


def test_planning_loads_no_torch() -> None:
    program = (
        "import sys, profiles.cli\n"
        "assert profiles.cli.main(['plan']) == 0\n"
        "print([m for m in ('torch', 'transformers', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
