"""A model is converted once, and again only when its source changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import convert
from convert.ensure import ensure, ensure_all


@pytest.fixture
def builds(monkeypatch):
    """The levels of every build."""
    from convert.build import build as real

    seen = []

    def build(order, progress=None):
        seen.append([level.name for level in order.levels])
        return real(order, progress)

    monkeypatch.setattr("convert.build.build", build)
    return seen


def test_only_what_is_missing_is_built(tmp_path, builds):
    first = ensure("reference:policy", "q8_0", tmp_path)
    again = ensure_all("reference:policy", ["Q4_K", "q8_0", "q4_k_m"], tmp_path)
    assert [artifact.level for artifact in again] == ["q4_k_m", "q8_0", "q4_k_m"]
    assert again[1] == first
    assert builds == [["q8_0"], ["q4_k_m"]]


def test_a_changed_source_is_converted_again(mistral, tmp_path, builds, edit):
    first = ensure(str(mistral), "f16", tmp_path / "cache")
    assert ensure(str(mistral), "f16", tmp_path / "cache") == first
    edit(mistral, **{"model.norm.weight": np.full(256, 2, np.float32)})
    os.utime(mistral / "model.safetensors", ns=(1, 1))
    assert ensure(str(mistral), "f16", tmp_path / "cache").sha256 != first.sha256
    assert len(builds) == 2


def test_a_role_of_its_own_is_another_artifact(mistral, tmp_path):
    policy = ensure(str(mistral), "f16", tmp_path / "cache")
    reward = ensure(str(mistral), "f16", tmp_path / "cache", "reward")
    assert (policy.role, reward.role) == ("policy", "reward")
    assert policy.path != reward.path


def test_a_damaged_file_is_converted_again(tmp_path, builds):
    artifact = ensure("reference:policy", "q8_0", tmp_path)
    artifact.path.write_bytes(artifact.path.read_bytes()[:-1])
    assert ensure("reference:policy", "q8_0", tmp_path) == artifact
    assert artifact.path.stat().st_size == artifact.size_bytes
    assert len(builds) == 2


def test_the_default_folder_is_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _: tmp_path / "cache")
    path = ensure("reference:policy", "q2_k").path
    assert path.is_relative_to(tmp_path / "cache" / "models")


def test_two_processes_share_one_conversion(tmp_path):
    code = (
        "import sys; from pathlib import Path; from convert.ensure import ensure;"
        "print(ensure('reference:policy', 'q8_0', Path(sys.argv[1])).sha256)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(convert.__file__).parents[1])}
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, tmp_path],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(2)
    ]
    outputs = [child.communicate(timeout=60)[0] for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert outputs[0] == outputs[1] != ""
