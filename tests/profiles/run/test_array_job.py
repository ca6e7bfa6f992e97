"""Tasks of array jobs, as the environment names them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from convert.refusal import Refusal
from profiles.cli import main
from profiles.records.shard import Shard
from profiles.run.array_job import assigned
from profiles.run.command import resume_command


def slurm(task: str, count: str, first: str = "0") -> dict[str, str]:
    names = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN")
    return dict(zip(names, (task, count, first), strict=True))


@pytest.mark.parametrize(
    ("environment", "shard"),
    [
        (slurm("3", "8"), Shard(3, 8)),
        (slurm("8", "8", "1"), Shard(7, 8)),
        ({"NEL_SHARD_IDX": "0", "NEL_TOTAL_SHARDS": "4"}, Shard(0, 4)),
        ({"SLURM_ARRAY_TASK_ID": "3"}, None),
        ({}, None),
    ],
)
def test_a_task_is_a_shard(environment: dict[str, str], shard: Shard | None) -> None:
    found = assigned(environment)
    assert (found and found[0]) == shard


@pytest.mark.parametrize(
    "environment", [slurm("5", "1", "5"), slurm("7", "3", "3"), slurm("x", "2")]
)
def test_an_array_with_gaps_has_to_say(environment: dict[str, str]) -> None:
    """`sbatch --array=5` repeats one task, and Slurm then says that there is but one."""
    with pytest.raises(Refusal, match=r"SLURM_ARRAY_TASK_ID=.* give --shard I/K, or --shard 0/1"):
        assigned(environment)


def test_every_task_has_a_folder_and_only_its_questions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of two questions in four shards: some are empty, and say so."""
    for name in slurm("0", "4"):
        monkeypatch.delenv(name, raising=False)
    data, out = tmp_path / "two.jsonl", tmp_path / "shards"
    lines = [json.dumps({"question": f"Q{n}?", "answer": "#### 5"}) for n in range(2)]
    data.write_text("\n".join(lines))
    held = [Shard(i, 4).held([("0", "Q0?"), ("1", "Q1?")]) for i in range(4)]
    home = held.index(set())
    for name, value in slurm(str(home), "4").items():
        monkeypatch.setenv(name, value)
    command = ["run", "--policy", "reference:policy", "--levels", "q8_0", "--no-baseline"]
    command += ["--methods", "greedy", "--data", str(data), "-o", str(out)]
    assert main(command) == 0
    said = capsys.readouterr().err
    assert f"shard {home}/4, as SLURM_ARRAY_TASK_ID={home}" in said
    assert "holds no question" in said
    run = json.loads((out / Shard(home, 4).folder / "run.json").read_text())
    assert run["questions"] == 0


def test_the_command_that_goes_on_names_the_shard() -> None:
    assert resume_command(["run", "--force"], Shard(1, 4)) == "profile run --shard 1/4 --resume"
    assert resume_command(["run", "--shard", "1/4"], Shard(1, 4)).count("--shard") == 1
