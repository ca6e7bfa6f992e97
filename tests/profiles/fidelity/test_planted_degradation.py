"""One percent of noise on the weights of one layer: seen in KL, not in a hundred answers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from profiles.cli import main

REFERENCE = Path(__file__).parents[3] / "convert" / "reference" / "policy"
NOISE, LAYER = 0.01, "model.layers.1."


def planted(folder: Path) -> Path:
    """The reference policy with noise of 1 % of a matrix's spread on every matrix of a layer."""
    shutil.copytree(REFERENCE, folder)
    weights = {name: t.float() for name, t in load_file(folder / "model.safetensors").items()}
    torch.manual_seed(0)
    touched = [name for name, t in weights.items() if name.startswith(LAYER) and t.dim() == 2]
    assert len(touched) == 7
    for name in touched:
        weights[name] += NOISE * weights[name].std() * torch.randn_like(weights[name])
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def converted(folder: Path, models: Path, name: str) -> str:
    from convert.ensure import ensure

    return str(shutil.copy(ensure(str(folder), "f16", models).path, models / name))


@pytest.mark.slow
def test_a_planted_degradation_is_significant_in_kl_and_not_in_accuracy(tmp_path: Path) -> None:
    models = tmp_path / "models"
    clean = converted(REFERENCE, models, "clean-f16.gguf")
    noisy = converted(planted(tmp_path / "planted"), models, "noisy-f16.gguf")
    text = tmp_path / "text"
    from profiles.reference_text import benchmark_solutions

    text.write_text(benchmark_solutions().content)
    given = ["--policy", clean, noisy, "--device", "cpu"]
    out = tmp_path / "f.json"
    chunks = ["--text", str(text), "--chunks", "20", "--context", "256", "-o", str(out)]
    assert main(["fidelity", *given, *chunks]) == 0
    document = json.loads(out.read_text())
    _, noise, row = document["rows"]
    assert row["kl_excess_low_nats"] > abs(noise["kl_mean_nats"])
    assert "nats above the self-noise" in document["findings"][-1]
    assert ": detected;" in document["findings"][-1]

    report = tmp_path / "report"
    asked = ["--methods", "greedy", "--limit", "100", "-o", str(report)]
    assert main(["run", *given, *asked]) == 0
    rows = json.loads((report / "summary.json").read_text())["rows"]
    assert rows[1]["delta_low"] <= 0 <= rows[1]["delta_high"]
    said = (report / "report.md").read_text()
    limit = f"{-100 * rows[1]['delta_low']:.1f}"
    assert f"no difference detected; a drop above {limit} points would have been" in said, (
        "the sentence that claims no more than the interval allows"
    )
