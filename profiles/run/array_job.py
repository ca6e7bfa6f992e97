"""Which task of an array job this process is, as Slurm or a launcher says in the environment."""

from __future__ import annotations

from collections.abc import Mapping

from convert.refusal import Refusal
from profiles.records.shard import Shard

NAMES = (  # of a task and of how many there are
    ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"),
    ("NEL_SHARD_IDX", "NEL_TOTAL_SHARDS"),
)
FIRST = "SLURM_ARRAY_TASK_MIN"  # of an array that does not count from 0


def assigned(environment: Mapping[str, str]) -> tuple[Shard, str] | None:
    """The shard of this task, and the variables that say so; None outside an array job.

    Raises:
        Refusal: if an array has gaps, as one that repeats single tasks does; says what to give.
    """
    for task, tasks in NAMES:
        if task in environment and tasks in environment:
            said = f"{task}={environment[task]} and {tasks}={environment[tasks]}"
            first = environment.get(FIRST, "0") if task == NAMES[0][0] else "0"
            try:
                index = int(environment[task]) - (int(first) if first == "1" else 0)
                return Shard(index, int(environment[tasks])), said
            except (ValueError, Refusal) as error:
                raise Refusal(f"{said} name no shard; give --shard I/K, or --shard 0/1") from error
    return None
