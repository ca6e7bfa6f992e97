"""Counted work and its rates; seconds themselves are not tested."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from statistics import stdev
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from profiles.cli import main
from profiles.latency import ceilings
from profiles.latency.bytes_read import kv_bytes_per_token, weight_bytes
from profiles.latency.ceilings import Ceilings
from profiles.latency.document import document
from profiles.latency.measure import Bench, measure, row
from runtime.engine import Engine, Usage
from runtime.load import open_engine
from runtime.options import EngineOptions
from runtime.scripted_engine import ScriptedEngine

BENCH = Bench(prompts=(8, 20), branches=(1, 3), depth=5, steps=4, repeats=3, warm_up=2)
LIMITS = Ceilings(1e9, 2e9, "a kernel")


def scripted(_: Path) -> Engine:
    engine = ScriptedEngine({"": {"a": 1}})
    engine.tokenizer.size = 256  # its end of sequence cannot be read
    return engine


def test_every_test_runs_its_tokens_and_the_warm_up_does_not_count() -> None:
    timed = measure(BENCH, [Path("m")], scripted)
    assert [(t.kind, t.size) for t in timed] == [
        *(("prefill", 8), ("prefill", 20)),
        *(("decode", 1), ("decode", 3)),
    ]
    assert [t.usage.tokens for t in timed] == [8, 20, 4, 12]
    assert [t.usage.calls for t in timed] == [1, 1, 4, 4]
    assert all(len(t.seconds) == 3 for t in timed)
    assert [len(t.ttft_s) for t in timed] == [3, 3, 0, 0]
    assert all(a < b for t in timed[:2] for a, b in zip(t.seconds, t.ttft_s, strict=True))
    # each of 3 branches attends to 6, 7, 8, 9 tokens: every repeat starts at the same depth
    assert timed[3].usage.context_tokens == 3 * (6 + 7 + 8 + 9)
    assert BENCH.context == 20


def test_rates_and_spreads_by_hand() -> None:
    timed = measure(BENCH, [Path("m")], scripted)[3]
    shape = replace(timed.model.shape, layers=2, hidden=4, feed_forward=8, vocab=10)
    model = replace(timed.model, shape=shape)
    used = Usage(decode_tokens=12, context_tokens=90, logit_rows=12, calls=4)
    fixed = replace(timed, model=model, seconds=(0.5, 1.0, 1.5), usage=used, bytes_read=4e8)
    found = row(fixed, LIMITS)
    linear = 2 * (2 * 4 * 1 * (1 + 1) + 3 * 4 * 8)
    work = 2 * linear * 12 + 2 * (4 * 10) * 12 + 4 * 2 * 1 * 1 * 90
    assert found.test == "decode x3"
    assert found.mean_s == 1.0
    assert found.call_s == 0.25
    assert found.std_s == 0.5
    assert found.tok_per_s_mean == pytest.approx((24 + 12 + 8) / 3)
    assert found.tok_per_s_std == pytest.approx(stdev([24, 12, 8]))
    assert found.flop_per_s == work
    assert found.flop_utilization == work / 1e9
    assert found.bytes_utilization == pytest.approx(0.2)
    assert row(fixed, Ceilings(None, None, "none")).flop_utilization is None


def test_bytes_of_a_call_are_those_of_the_weights(reference: Any) -> None:
    path = reference("policy", "q8_0")
    options = EngineOptions(device="cpu", context=256, threads=1)
    with open_engine(path, options) as engine:
        shape = engine.artifact.shape
        table = shape.hidden * shape.vocab * 8.5 / 8  # looked up, not multiplied
        assert weight_bytes(engine) == pytest.approx(engine.artifact.size_bytes - table, rel=0.02)
        timed = measure(replace(BENCH, repeats=1), [path], lambda _: open_engine(path, options))
    per_token = 2 * shape.layers * shape.kv_heads * shape.head_dim * 2
    decoded = timed[3]
    read = 4 * weight_bytes(engine) + 3 * (6 + 7 + 8 + 9) * per_token
    assert decoded.bytes_read == pytest.approx(read)
    assert timed[0].bytes_read == pytest.approx(weight_bytes(engine) + 8 * per_token)


def test_a_checkpoint_is_read_at_the_precision_it_runs_in() -> None:
    import convert

    folder = Path(convert.__file__).parent / "reference" / "policy"
    with open_engine(folder, EngineOptions(device="cpu", threads=1)) as engine:
        shape = engine.artifact.shape
        weights = shape.linear_parameters + shape.head_parameters
        assert weight_bytes(engine) == 4 * weights
        assert kv_bytes_per_token(engine) == shape.kv_bytes_per_token(4)


def test_keys_and_values_count_as_the_cache_holds_them(reference: Any) -> None:
    options = EngineOptions(device="cpu", context=256, threads=1)
    path = reference("policy", "q8_0")
    for kv_type, size in (("f16", 2), ("q8_0", 34 / 32), ("q4_0", 18 / 32)):
        with open_engine(path, replace(options, kv_type=kv_type)) as engine:
            assert kv_bytes_per_token(engine) == engine.artifact.shape.kv_bytes_per_token(size)
            assert kv_bytes_per_token(engine) == engine.kv_bytes / 256
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    with open_engine(reference("policy", "int8"), options) as engine:
        assert kv_bytes_per_token(engine) == engine.kv_bytes / 256
        assert kv_bytes_per_token(engine) == engine.artifact.shape.kv_bytes_per_token(4)


def test_a_device_called_anything_is_no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def measure(*, on_cuda: bool, **_: int) -> Ceilings:
        asked.append(on_cuda)
        return LIMITS

    monkeypatch.setattr(ceilings, "measure", measure)
    monkeypatch.setattr("runtime.load.open_engine", lambda path, _: scripted(path))
    given = ["--policy", "m.gguf", "--prefill", "8", "--decode", "1", "--decode-tokens", "2"]
    monkeypatch.setattr("profiles.latency.command._paths", lambda _: (Path("m.gguf"),))
    assert main(["latency", *given, "--repeats", "1"]) == 0
    assert asked == [False, False]  # its device reads "script"


def test_ceilings_are_of_the_work_they_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceilings, "SIZE", 64)
    monkeypatch.setattr(ceilings, "BYTES", 1 << 12)
    monkeypatch.setattr(ceilings, "REPEATS", 2)
    monkeypatch.setattr(ceilings, "SECONDS", 0.0)
    seconds = iter([0.0, 9.0, 0.0, 2.0, 0.0, 4.0] * 3)  # the first run of each does not count
    monkeypatch.setattr("profiles.latency.ceilings.time.perf_counter", lambda: next(seconds))
    with FlopCounterMode(display=False) as counter:
        found = ceilings.measure(on_cuda=False, threads=1)
    assert found.flop_per_s == counter.get_total_flops() / 3 / 2.0
    assert found.bytes_per_s == max(2 * 4096 / 2.0, 4096 / 2.0)
    if not torch.cuda.is_available():
        assert ceilings.measure(on_cuda=True, threads=1).flop_per_s is None


def test_two_readings_give_the_best_and_how_far_they_differ() -> None:
    other = Ceilings(8e8, 2e9, "a kernel")
    assert ceilings.best(LIMITS, other) == LIMITS
    assert ceilings.unsteady(LIMITS, other) == pytest.approx(0.2)
    timed = measure(BENCH, [Path("m")], scripted)
    rows = [row(t, LIMITS) for t in timed]
    assert "not idle" in document(rows, LIMITS, 0.2, {}).markdown
    assert "not idle" not in document(rows, LIMITS, 0.05, {}).markdown


@pytest.mark.usefixtures("small")
def test_the_command_writes_every_form(
    reference: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--policy", str(reference("policy", "q4_k_m")), "--device", "cpu", "--threads", "1"]
    given += ["--prefill", "8", "--decode", "1", "2", "--decode-tokens", "2", "--repeats", "2"]
    out = [tmp_path / name for name in ("l.json", "l.csv", "l.md")]
    assert main(["latency", *given, "-o", *map(str, out)]) == 0
    assert capsys.readouterr().out == out[2].read_text()
    document = json.loads(out[0].read_text())
    assert [r["test"] for r in document["rows"]] == ["prefill 8", "decode x1", "decode x2"]
    assert document["header"]["ceilings"]["flop_per_s"] > 0
    assert str(tmp_path) not in out[0].read_text()
    rows = list(csv.DictReader(out[1].read_text().splitlines()))
    assert float(rows[2]["tok_per_s_mean"]) == document["rows"][2]["tok_per_s_mean"]
    assert main(["latency", *given, "-o", str(out[1])]) == 1
    assert "give --force to overwrite" in capsys.readouterr().err


@pytest.mark.usefixtures("small")
def test_a_test_longer_than_the_model_knows_is_one_line(
    reference: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--policy", str(reference("policy", "q4_k_m")), "--device", "cpu"]
    assert main(["latency", *given, "--prefill", "4096"]) == 1
    assert "4096 tokens is longer than the 1024" in capsys.readouterr().err


@pytest.mark.usefixtures("small")
def test_ctrl_c_leaves_no_file(
    reference: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("profiles.latency.measure._decode", interrupt)
    given = ["--policy", str(reference("policy", "q4_k_m")), "--device", "cpu"]
    assert main(["latency", *given, "-o", str(tmp_path / "l.json")]) == 130
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ceilings of a moment."""
    monkeypatch.setattr(ceilings, "SIZE", 64)
    monkeypatch.setattr(ceilings, "BYTES", 1 << 16)
