"""Two models on one card: settled together, said in one line, and as `profile plan` says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from convert.units import GIB, MIB
from profiles.plan.measure import Choice, SearchSize, need
from profiles.plan.model_tensors import model_tensors
from runtime import devices, shared_card
from runtime.devices import Card
from runtime.engine_footprint import engine_footprint
from runtime.footprint import MARGIN_BYTES
from runtime.load import EngineOptions, describe_model
from runtime.options import BATCHES
from runtime.shared_card import share_card

Reference = Callable[[str, str], Path]
SEARCH = SearchSize(width=8, context=256, prompt=64)


@pytest.fixture(autouse=True)
def sound_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_card.selftest, "card_fault", lambda _: "")


def free(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(
        devices, "llama_cards", lambda _="auto": [Card("A card", size, size, "CUDA")]
    )


def pair(reference: Reference, options: EngineOptions) -> list[tuple[object, EngineOptions]]:
    paths = (reference("policy", "q4_k_m"), reference("reward", "q4_k_m"))
    return [(describe_model(path), options) for path in paths]


def test_the_plan_is_what_is_done_on_a_card_of_any_size(
    reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [str(reference(role, "q4_k_m")) for role in ("policy", "reward")]
    options = EngineOptions(context=SEARCH.shared_cells, max_branches=SEARCH.branches)
    planned = Choice(
        tuple(need(model_tensors(n), "q4_k_m", SEARCH, scores=i > 0) for i, n in enumerate(names))
    )
    seen = set()
    for spare in range(0, 40 * MIB, 2 * MIB):
        free(monkeypatch, MARGIN_BYTES + spare)
        settled = share_card(pair(reference, options), SEARCH.width, 96)
        place = planned.on(MARGIN_BYTES + spare)
        found = [(one.gpu_layers, one.batch) for one in settled]
        assert found == [(seat.layers, seat.batch) for seat in place.seats]
        assert place.card_bytes <= spare
        seen.add(tuple(found))
    assert {layers for ((layers, _), _) in seen} >= {0, 5}
    assert ((5, BATCHES[0]), (9, BATCHES[0])) in seen
    assert len(seen) > 4


def test_one_line_says_where_both_models_go(
    reference: Reference, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = EngineOptions(context=2048, max_branches=18)
    free(monkeypatch, 8 * GIB)
    models = pair(reference, options)
    settled = share_card(models, 8, 96)
    said = capsys.readouterr().err
    assert said == (
        "card: A card, 8.0 GiB free: policy 5 of 5 layers, reward 9 of 9 layers; "
        "8.0 GiB left, 1 of them for the desktop\n"
    )
    assert [one.gpu_layers for one in settled] == [5, 9]
    share_card(models[:1], 8, 96)
    assert "reward" not in capsys.readouterr().err


def test_what_is_settled_stays_within_the_card(
    reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told from the very footprints that the engines would place by."""
    from convert.gguf_header import read_header

    models = pair(reference, EngineOptions(context=8192, max_branches=18))
    for spare in (0, 6 * MIB, 60 * MIB, 150 * MIB):
        free(monkeypatch, MARGIN_BYTES + spare)
        held = 0
        for (artifact, _), one in zip(models, share_card(models, 8, 96), strict=True):
            assert one.gpu_layers is not None
            found = engine_footprint(read_header(artifact.path), artifact.shape, one)  # type: ignore[attr-defined]
            held += found.card_bytes(one.gpu_layers)
        assert held <= spare


@pytest.mark.parametrize(
    "options", [EngineOptions(device="cpu"), EngineOptions(gpu_layers=3)], ids=["cpu", "settled"]
)
def test_what_the_user_settled_stays(
    reference: Reference, monkeypatch: pytest.MonkeyPatch, options: EngineOptions
) -> None:
    free(monkeypatch, 8 * GIB)
    assert share_card(pair(reference, options), 8, 96) == [options, options]


def test_without_a_card_nothing_is_said(
    reference: Reference, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(devices, "llama_cards", lambda _: [])
    options = EngineOptions()
    assert share_card(pair(reference, options), 8, 96) == [options, options]
    assert not capsys.readouterr().err


def test_a_kv_cache_whose_branches_take_turns_makes_room_for_layers(
    reference: Reference, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    models = pair(reference, EngineOptions(context=16384, max_branches=64))
    free(monkeypatch, MARGIN_BYTES + 20 * MIB)
    whole, smaller = share_card(models, 32, 96), share_card(models, 32, 96, least=4096)
    said = capsys.readouterr().err.splitlines()
    assert {one.context for one in whole} == {16384}
    assert {one.context for one in smaller} == {4096}
    assert sum(one.gpu_layers or 0 for one in smaller) > sum(one.gpu_layers or 0 for one in whole)
    assert ["KV caches at" in line for line in said] == [False, True]
    assert share_card(models, 32, 96, least=10_000) == whole
