"""Divergences against an independent computation, and what the command refuses."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import t as student

from profiles.cli import main
from profiles.fidelity.coded_logprobs import encode
from profiles.fidelity.divergence import divergences, losses
from profiles.fidelity.document import findings
from profiles.fidelity.measure import Fidelity, FidelityRequest, measure
from profiles.fidelity.rows import chunk_interval, percentile
from runtime.engine import Engine
from runtime.load import open_engine
from runtime.options import EngineOptions

CONTEXT, CHUNKS = 32, 3


def cpu(path: Path) -> Engine:
    return open_engine(
        path, EngineOptions(device="cpu", context=CONTEXT, max_branches=2, threads=1)
    )


@pytest.fixture
def text(questions: list[str]) -> str:
    return "\n".join(questions[:12])


@pytest.fixture
def pair(tmp_path: Path, tiny: Callable[..., Any]) -> tuple[Path, Path]:
    """A seeded checkpoint, and the same with noise on every weight."""
    from transformers import MistralConfig, MistralForCausalLM

    for name in ("clean", "noisy"):
        model = tiny(tmp_path / name, MistralForCausalLM, MistralConfig, initializer_range=0.15)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.05 * weight.std() * torch.randn_like(weight) if weight.dim() > 1 else 0
    model.save_pretrained(tmp_path / "noisy")
    return tmp_path / "clean", tmp_path / "noisy"


def by_hand(folder: Path, text: str) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, V) log-probabilities and (n,) next tokens: transformers on whole chunks, by itself."""
    from transformers import AutoTokenizer, MistralForCausalLM

    model = MistralForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = AutoTokenizer.from_pretrained(folder)(text)["input_ids"]
    rows, targets = [], []
    for chunk in range(CHUNKS):
        tokens = torch.tensor([[1, *ids[chunk * CONTEXT + 1 : (chunk + 1) * CONTEXT]]])
        with torch.inference_mode():
            logits = model(tokens).logits[0].double()
        for i in range(CONTEXT // 2, CONTEXT - 1):
            rows.append(torch.log_softmax(logits[i], -1))
            targets.append(tokens[0, i + 1])
    return torch.stack(rows), torch.stack(targets)


def compared(pair: tuple[Path, Path], text: str) -> Fidelity:
    return measure(FidelityRequest(pair[0], [pair[1]], text, context=CONTEXT, chunks=CHUNKS), cpu)


def test_figures_equal_an_independent_computation(pair: tuple[Path, Path], text: str) -> None:
    base, noise, row = compared(pair, text).rows
    (p, targets), (q, _) = by_hand(pair[0], text), by_hand(pair[1], text)
    n = torch.arange(len(targets))
    kl = (p.exp() * (p - q)).sum(-1)
    change = q.exp()[n, targets] - p.exp()[n, targets]
    rms = float(change.pow(2).mean().sqrt())
    assert row.positions == len(targets) == CHUNKS * 15
    assert base.perplexity == pytest.approx(math.exp(-p[n, targets].mean()), rel=1e-5)
    assert row.perplexity == pytest.approx(math.exp(-q[n, targets].mean()), rel=1e-5)
    error = math.exp(-q[n, targets].mean()) * q[n, targets].std() / math.sqrt(len(n))
    assert row.perplexity_se == pytest.approx(float(error), rel=1e-4)
    ratio, found, own = (
        math.exp((p - q)[n, targets].mean()),
        row.divergence,
        noise.divergence,
    )
    assert found is not None
    assert own is not None
    assert found.perplexity_ratio == pytest.approx(ratio, rel=1e-5)
    assert found.kl_mean_nats == pytest.approx(float(kl.mean()), rel=1e-3)
    assert found.kl_mean_se_nats == pytest.approx(float(kl.std() / math.sqrt(len(n))), rel=1e-3)
    assert found.kl_median_nats == pytest.approx(float(np.median(kl)), rel=1e-3)
    assert found.kl_p99_nats == pytest.approx(float(np.percentile(kl, 99)), rel=1e-3)
    assert found.same_top == float((p.argmax(-1) == q.argmax(-1)).double().mean()) < 1
    assert found.probability_change_rms == pytest.approx(rms, rel=1e-3)
    assert own.kl_mean_nats == pytest.approx(0, abs=5e-6)  # float32 at log-probabilities of 10
    assert noise.batch_tokens == 7
    assert row.excess is not None
    assert (row.excess.kl_excess_low_nats or 0) > 0


def test_calls_of_any_size_give_the_same_figures(pair: tuple[Path, Path], text: str) -> None:
    whole = compared(pair, text).rows[2]
    parts = measure(FidelityRequest(*pair_plan(pair), text, CONTEXT, CHUNKS, batch=5), cpu).rows[2]
    assert parts.perplexity == pytest.approx(whole.perplexity, rel=1e-5)
    assert parts.divergence is not None
    assert whole.divergence is not None
    assert parts.divergence.kl_mean_nats == pytest.approx(whole.divergence.kl_mean_nats, rel=1e-3)


def pair_plan(pair: tuple[Path, Path]) -> tuple[Path, list[Path]]:
    return pair[0], [pair[1]]


def test_a_distribution_worked_by_hand() -> None:
    p, q = np.log([[0.5, 0.25, 0.25]]), np.log([[0.25, 0.5, 0.25]])
    logits, targets = (q + 3).astype(np.float32), np.array([1])
    found = divergences(logits, targets, encode((p - 2).astype(np.float32)))
    assert found.kl[0] == pytest.approx(0.5 * math.log(2) - 0.25 * math.log(2), rel=1e-4)
    assert found.same_top[0] == 0
    assert found.probability_change[0] == pytest.approx(0.25, rel=1e-4)
    assert losses(logits, targets)[0] == pytest.approx(math.log(2), rel=1e-6)


def test_codes_hold_sixteen_nats_to_half_a_step() -> None:
    logits = np.random.default_rng(0).normal(0, 4, (7, 50)).astype(np.float32)
    logits[3, 7] = -100
    exact = torch.log_softmax(torch.from_numpy(logits).double(), -1).numpy()
    coded = encode(logits).logprobs()
    near = np.maximum(exact, exact.max(axis=1, keepdims=True) - 16)
    assert np.abs(coded - near).max() < 0.51 * 16 / 65535 + 4e-6
    assert coded[3, 7] == pytest.approx(exact[3].max() - 16, abs=1e-5)
    alike = np.ones((1, 4), np.float32)
    assert encode(alike).logprobs() == pytest.approx(np.log(0.25), abs=1e-6)


def test_intervals_take_chunks_as_units() -> None:
    values = np.random.default_rng(1).normal(0, 1, 60)
    means = values.reshape(6, 10).mean(axis=1)
    expected = student.interval(0.95, 5, means.mean(), means.std(ddof=1) / math.sqrt(6))
    assert chunk_interval(values, 6) == pytest.approx(expected)
    assert chunk_interval(values, 1) == (None, None)
    assert percentile(values, 0.99) == pytest.approx(np.percentile(values, 99), rel=1e-5)


def test_sentences_claim_no_more_than_the_intervals(pair: tuple[Path, Path], text: str) -> None:
    found = compared(pair, text)
    said = findings(found)
    assert "detected; perplexity" in said[-1] or "no difference detected in perplexity" in said[-1]
    same = measure(FidelityRequest(pair[0], [pair[0]], text, CONTEXT, CHUNKS), cpu)
    assert "no difference detected in KL; a mean above the self-noise by" in findings(same)[-1]
    assert "no difference detected in perplexity; a rise above" in findings(same)[-1]
    alone = measure(FidelityRequest(pair[0], [pair[1]], text, CONTEXT, 1), cpu)
    assert "no interval can be stated" in findings(alone)[-1]


def test_the_command_writes_every_form(
    pair: tuple[Path, Path], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").write_text(text)
    given = ["--policy", str(pair[0]), "--levels", "q8_0", "--text", str(tmp_path / "text")]
    given += ["--context", "32", "--chunks", "2", "--device", "cpu", "--threads", "1"]
    out = [tmp_path / name for name in ("f.json", "f.csv", "f.md")]
    assert main(["fidelity", *given, "-o", *map(str, out)]) == 0
    printed = capsys.readouterr().out
    assert printed == out[2].read_text()
    assert re.match(r"\| model +\| level +\| format +\|", printed)
    document = json.loads(out[0].read_text())
    assert [row["kind"] for row in document["rows"]] == ["baseline", "self-noise", "level"]
    assert document["header"]["chunks"] == 2
    assert str(tmp_path) not in out[0].read_text()
    assert out[1].read_text().count("\n") == 4
    assert main(["fidelity", *given, "-o", str(out[0])]) == 1
    assert "give --force to overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--context", "2000"], "--context 2000 is not in 4..512, which clean knows"),
        (["--context", "512"], "tokens and 1024 are needed"),
        (["--policy", "a.gguf", "b"], "b is no model file"),
        (["--policy", "a.gguf"], "a.gguf does not exist"),
        (["--policy", "reference:reward"], "is a reward model, which writes no text"),
        (["-o", "none/f.json"], "none is not a folder"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    arguments: list[str],
    said: str,
    pair: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "text").write_text("Ann has 2 pens. " * 30)
    given = ["--policy", str(pair[0]), "--text", str(tmp_path / "text"), "--levels", "f16"]
    assert main(["fidelity", *given, "--device", "cpu", *arguments]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert said in error


def test_a_policy_of_ones_own_needs_a_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fidelity", "--policy", "a.gguf"]) == 1
    assert "give --text FILE" in capsys.readouterr().err


def test_another_suffix_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["fidelity", "-o", "f.txt"])
    assert stopped.value.code == 2
    assert "does not end in .json, .csv, .md" in capsys.readouterr().err


def test_ctrl_c_leaves_nothing_behind(
    pair: tuple[Path, Path], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("profiles.fidelity.measure.divergences", interrupt)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    (tmp_path / "text").write_text(text)
    given = ["--policy", str(pair[0]), "--levels", "f16", "--text", str(tmp_path / "text")]
    given += ["--context", "32", "--device", "cpu", "-o", str(tmp_path / "f.json")]
    assert main(["fidelity", *given]) == 130
    assert list((tmp_path / "temporary").iterdir()) == []
    assert not (tmp_path / "f.json").exists()
