"""The description of a worker's process, kept up to date while it measures."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from profiles.opened_model import opened_model
from profiles.records.configuration import Configuration
from profiles.records.worker_facts import WorkerFacts, read_worker_facts, worker_facts_path
from profiles.run.memory import VideoMemory, peak_rss_bytes
from profiles.run.together import Pace
from runtime.engine import Engine
from runtime.engine_footprint import whole_card_bytes
from runtime.prompt import effective_format

BACKENDS = {"gguf": ("llama-cpp-python",), "torch": ("torch", "transformers")}


def process_facts(
    configuration: Configuration, policy: Engine, reward: Engine | None, load_s: float
) -> WorkerFacts:
    """What is known once the models are open."""
    packages = ("numpy", *BACKENDS.get(configuration.format, ()))
    return WorkerFacts(
        policy=opened_model(policy),
        reward=opened_model(reward) if reward else None,
        load_s=load_s,
        versions={package: version(package) for package in packages},
        prompt=effective_format(policy),
        policy_card_bytes=whole_card_bytes(policy.artifact, configuration.options),
        reward_card_bytes=whole_card_bytes(reward.artifact, configuration.options)
        if reward
        else None,
    )


def earlier_facts(out: Path) -> WorkerFacts | None:
    """The process that wrote the records so far."""
    path = worker_facts_path(out)
    return read_worker_facts(path) if path.exists() else None


def pace_of(earlier: WorkerFacts | None) -> Pace:
    """The pace of the process that wrote the records so far."""
    if earlier is None:
        return Pace()
    return Pace(earlier.together_s, earlier.together_questions, earlier.together_tokens)


def with_pace(process: WorkerFacts, pace: Pace) -> WorkerFacts:
    """With the pace of now."""
    return replace(
        process,
        together_s=pace.seconds,
        together_questions=pace.questions,
        together_tokens=pace.tokens,
    )


def with_peaks(
    process: WorkerFacts, earlier: WorkerFacts | None, video: VideoMemory
) -> WorkerFacts:
    """With the highest peaks of now and of an earlier reading."""
    rss, vram = peak_rss_bytes(), video.look()
    if earlier is not None:
        rss = max(rss, earlier.peak_rss_bytes)
        known = [peak for peak in (vram, earlier.peak_vram_bytes) if peak is not None]
        vram = max(known, default=None)
    return replace(process, peak_rss_bytes=rss, peak_vram_bytes=vram)
