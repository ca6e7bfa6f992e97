"""`profile run --ray`: the same run, its items answered by the workers of a Ray cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from convert.printing import say
from convert.refusal import Refusal
from profiles.environment import Environment
from profiles.records import stored_run
from profiles.records.configuration import Configuration
from profiles.records.record import open_records, read_records
from profiles.records.run_document import Failure, RunDocument
from profiles.records.worker_facts import joined, read_worker_facts, worker_facts_path
from profiles.run.models import Opener, open_models
from profiles.run.station import ItemResult, Station
from profiles.run.work import TRIES, Backlog, WorkItem, next_backlog, work_items
from profiles.run.worker import LOCK
from profiles.tree.stored_trees import trees_path


@dataclass(slots=True, eq=False)
class Slot:
    """Room for one worker on a node, and the worker that is there."""

    node: str
    cpus: float
    gpus: float
    worker: Any = None
    slug: str | None = None  # whose models it has open


class Cluster:
    """A Ray cluster as slots for workers; nodes come and go."""

    def __init__(self, address: str, threads: int | None, device: str, opener: Opener) -> None:
        try:
            import ray
        except ImportError as error:
            raise Refusal("--ray needs Ray; pip install 'starbase-edge[ray]'") from error
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self._ray, self._threads, self._device, self._opener = ray, threads, device, opener
        try:
            if address:
                ray.init(address=address, log_to_driver=False, logging_level="warning")
            else:
                ray.init(include_dashboard=False, log_to_driver=False, logging_level="warning")
        except (ConnectionError, ValueError) as error:
            raise Refusal(f"no Ray cluster at {address!r}: {error}") from error
        self.slots: list[Slot] = []

    def look(self) -> None:
        """Drop the slots of nodes that are gone, add those of new ones."""
        nodes = {node["NodeID"]: node["Resources"] for node in self._ray.nodes() if node["Alive"]}
        self.slots = [slot for slot in self.slots if slot.node in nodes]
        known = {slot.node for slot in self.slots}
        for node, resources in nodes.items():
            if node not in known:
                self.slots += slots(node, resources, self._threads, self._device)

    def start(self, slot: Slot, item: WorkItem) -> Any:
        """Hand an item to a slot; its worker is replaced where it has other models open."""
        slug = item.configuration.slug
        if slot.slug != slug:
            self.stop(slot)
            strategy = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
                slot.node, soft=False
            )
            remote = self._ray.remote(Station).options(
                num_cpus=slot.cpus, num_gpus=slot.gpus, scheduling_strategy=strategy
            )
            slot.worker, slot.slug = remote.remote(self._opener), slug
        return slot.worker.answer.remote(item.configuration, item.ids)

    def ended(self, running: Sequence[Any]) -> Any:
        """The first of the running items to end."""
        return self._ray.wait(list(running), num_returns=1)[0][0]

    def result(self, reference: Any) -> ItemResult | None:
        """What an item gave; None where its worker was lost."""
        try:
            found: ItemResult = self._ray.get(reference)
        except (self._ray.exceptions.RayActorError, self._ray.exceptions.NodeDiedError):
            return None
        return found

    def stop(self, slot: Slot) -> None:
        """End the worker of a slot."""
        if slot.worker is not None:
            with suppress(Exception):  # it may be gone already
                self._ray.kill(slot.worker)
        slot.worker = slot.slug = None

    def close(self) -> None:
        """End all workers and leave the cluster."""
        for slot in self.slots:
            self.stop(slot)
        self._ray.shutdown()


def slots(
    node: str, resources: Mapping[str, float], threads: int | None, device: str
) -> list[Slot]:
    """One worker a card; without cards as many as have their threads, or one."""
    cpus, gpus = resources.get("CPU", 0.0), resources.get("GPU", 0.0)
    if device != "cpu" and gpus >= 1:
        return [Slot(node, cpus // gpus, 1.0) for _ in range(int(gpus))]
    if threads is None:
        return [Slot(node, cpus, 0.0)] if cpus else []
    return [Slot(node, float(threads), 0.0) for _ in range(int(cpus) // threads)]


class ClusterRun:
    """A run on a cluster: the driver hands out items and writes what comes back."""

    def __init__(self, folder: Path, made: Sequence[Configuration], run: RunDocument) -> None:
        self._run = run  # its hosts grow with the nodes that answer
        self._failed: dict[str, Failure] = {}
        self._folder = folder
        self._backlogs = [self._backlog(one) for one in made]
        self._nodes: dict[str, int] = {}

    def run(self, cluster: Cluster) -> list[Failure]:
        """Until nothing is left. The item of a worker that is lost runs again, elsewhere."""
        running: dict[Any, tuple[Slot, Backlog, WorkItem]] = {}
        while True:
            cluster.look()
            busy = [slot for slot, _, _ in running.values()]
            for slot in cluster.slots:
                backlog = next_backlog(self._backlogs, slot.slug) if slot not in busy else None
                if backlog is not None:
                    item = backlog.waiting.popleft()
                    backlog.running += 1
                    running[cluster.start(slot, item)] = slot, backlog, item
            if not running:
                break
            reference = cluster.ended(list(running))
            slot, backlog, item = running.pop(reference)
            backlog.running -= 1
            self._take(slot, backlog, item, cluster.result(reference))
        if any(backlog.waiting for backlog in self._backlogs):
            raise Refusal("no node of the Ray cluster has room for a worker; start one, --resume")
        return list(self._failed.values())

    def _take(
        self,
        slot: Slot,
        backlog: Backlog,
        item: WorkItem,
        result: ItemResult | None,
    ) -> None:
        """Keep what an item gave; one whose worker was lost waits again."""
        slug = item.configuration.slug
        if result is None:
            slot.worker = slot.slug = None
            item.tries += 1
            say(f"profile: lost the worker of {slug}; {len(item.ids)} questions wait", sys.stderr)
            if item.tries < TRIES and slug not in self._failed:
                backlog.waiting.appendleft(item)
            else:
                self._fail(backlog, f"{TRIES} workers died at questions {', '.join(item.ids)}")
        elif result.failed is not None:
            self._fail(backlog, result.failed)
        else:
            assert result.environment is not None
            self._write(backlog, result, self._host(slot.node, result.environment))
        if backlog.over:
            total = len(backlog.configuration.problems())
            say(f"{slug}  {len(backlog.done)}/{total}", sys.stderr)

    def _fail(self, backlog: Backlog, reason: str) -> None:
        backlog.waiting.clear()
        slug = backlog.configuration.slug
        self._failed.setdefault(slug, Failure(slug, reason))

    def _host(self, node: str, environment: Environment) -> int:
        """The number of a node among the machines of the run."""
        if node not in self._nodes:
            self._nodes[node] = len(self._run.hosts)
            self._run = replace(self._run, hosts=[*self._run.hosts, environment])
            stored_run.store_run(self._folder, self._run)  # before records name it
        return self._nodes[node]

    def _write(self, backlog: Backlog, result: ItemResult, host: int) -> None:
        """Append the records that are new, and count the process in."""
        out = stored_run.records_path(self._folder, backlog.configuration)
        facts = worker_facts_path(out)
        if result.trees:
            with open_records(trees_path(out)) as lines:
                lines.write(result.trees)
        with open_records(out) as lines:
            for record in result.records:
                if record.id not in backlog.done:
                    lines.write(replace(record, host=host).line())
                    backlog.done.add(record.id)
        assert result.process is not None
        earlier = [read_worker_facts(facts)] if facts.exists() else []
        joined([*earlier, result.process]).write(facts)

    def _backlog(self, configuration: Configuration) -> Backlog:
        records = read_records(stored_run.records_path(self._folder, configuration))
        done = {record.id for record in records}
        return Backlog(configuration, done, work_items(configuration, done))


def run_on_ray(
    folder: Path,
    made: Sequence[Configuration],
    address: str,
    described: RunDocument,
    opener: Opener = open_models,
) -> list[Failure]:
    """Run what is not done yet on the workers of a cluster; the `hosts` of its description grow.

    Raises:
        Refusal: without Ray, a cluster, or room in it, or if another run works in the folder.
    """
    try:
        with FileLock(folder / stored_run.RECORDS / LOCK, timeout=1):
            run, options = ClusterRun(folder, made, described), made[0].options
            cluster = Cluster(address, options.threads, options.device, opener)
            try:
                return run.run(cluster)
            finally:
                cluster.close()
    except Timeout as error:
        raise Refusal("another run works in this folder; stop it, then --resume") from error
