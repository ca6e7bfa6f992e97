"""How many questions at once, and the KV cache for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import psutil

from convert.artifact import Artifact
from methods.build import MethodSpec
from methods.catalog import search_named
from runtime.gguf_context import CONTEXT_STEP
from runtime.options import MAX_BRANCHES, EngineOptions

PROMPT_TOKENS = 256  # of a question, where the cache is shared by many
USED = 0.5  # of a path's longest length, on average
MOST_BYTES = 2 << 30  # of a KV cache that questions share
SPARE_STREAMS = 6  # for beginnings that prompts share, and copies
RAM_SHARE = 1 / 8  # of main memory, likewise


@dataclass(frozen=True, slots=True)
class BranchGain:
    """Branches in a call beyond which a model decodes no faster."""

    streams: int  # where each has cells of its own: single paths
    shared: int  # where all share a cache: trees


def as_many(spec: MethodSpec, gain: BranchGain) -> int:
    """Questions at once that make so many branches in a call."""
    paths = search_named(spec.search).paths(spec.width)
    return max(1, (gain.streams if paths == 1 else gain.shared) // paths)


def room_for(
    options: EngineOptions,
    spec: MethodSpec,
    parallel: int,
    models: Sequence[Artifact],
    longest: int,
) -> EngineOptions:
    """Options with a cache for many questions, from those for one, which takes `longest` cells.

    Single paths have a stream each where memory allows it. Trees share a cache that holds what they
    mostly need together; where that is too little, branches take turns.
    """
    if parallel == 1:
        return options
    search = search_named(spec.search)
    paths, per_token = search.paths(spec.width), max(m.shape.kv_bytes_per_token() for m in models)
    most = min(MOST_BYTES, int(RAM_SHARE * psutil.virtual_memory().total)) / per_token
    slots = parallel + SPARE_STREAMS
    whole = -(-longest // CONTEXT_STEP) * CONTEXT_STEP
    gguf = all(model.format == "gguf" for model in models)
    if paths == 1 and gguf and slots <= MAX_BRANCHES and slots * whole <= most:
        return replace(options, context=whole, max_branches=slots, streams=True)
    wanted = int(parallel * (PROMPT_TOKENS + USED * paths * spec.max_tokens))
    cells = max(options.context, min(wanted, int(most)))
    branches = min(MAX_BRANCHES, parallel * search.branches(spec.width))
    return replace(options, context=cells, max_branches=max(options.max_branches, branches))
