"""Which levels of a policy and a reward model fit a card together, computed from shapes alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

from convert.levels import LEVELS, UNQUANTIZED
from convert.refusal import Refusal
from methods import catalog
from methods.token_limits import STEP
from profiles.plan.model_tensors import ModelTensors
from runtime.footprint import MARGIN_BYTES, PROCESS_BYTES, Footprint, Load, footprint
from runtime.options import MAX_BRANCHES, KvType
from runtime.placement import Seat, StepWork, Tenant, quickest, seats_of, works

THINKING_BYTES = 5 << 20  # of a thinking engine whatever its size; 4 to 6 were measured
THOUGHT_CELLS = 7  # that a path of a thinking engine takes beside its text, n_ahead - 1
THOUGHT_ROWS = 3  # of a path: its token's, START's, and the mixed ones that are kept
BEST = 3  # choices shown for a card
LADDER = ("f16", "q8_0", "q6_k", "q5_k_m", "q4_k_m", "q3_k_m", "q2_k")  # levels, unless named


@dataclass(frozen=True, slots=True)
class SearchSize:
    """What is searched: `width` paths of `context` tokens, `prompt` of them the same for all."""

    width: int
    context: int
    prompt: int
    kv_type: KvType = "f16"
    think: bool = False
    cells: int | None = None  # of the cache; None: as many as the paths need
    search: catalog.Search = catalog.REBASE.search

    @property
    def branches(self) -> int:
        """What `solve` opens an engine for."""
        return self.search.branches(self.width)

    @property
    def live_cells(self) -> int:
        """Tokens that the paths hold at most, the prompt once."""
        own = self.context - self.prompt + (THOUGHT_CELLS if self.think else 0)
        return self.prompt + self.width * own

    @property
    def shared_cells(self) -> int:
        """Tokens of KV cache to open an engine with."""
        return self.live_cells if self.cells is None else self.cells

    @property
    def unshared_cells(self) -> int:
        """Tokens of KV cache if every path kept the prompt for itself."""
        return self.shared_cells + (self.width - 1) * self.prompt


@dataclass(frozen=True)
class Need:
    """One model at a level."""

    outline: ModelTensors
    level: str
    load: Load
    work: tuple[StepWork, ...]  # of a step
    footprint: Footprint
    kv_unshared: int
    talk_head: int = 0  # bytes, in main memory

    def ram_bytes(self, layers: int = 0) -> int:
        """In main memory while `layers` are on a card; the process apart."""
        head = self.talk_head + THINKING_BYTES if self.talk_head else 0
        return self.footprint.ram_bytes(layers) + head

    @property
    def card_layers(self) -> int:
        """Layers in all, the output counted as one."""
        return self.outline.shape.layers + 1

    @property
    def card_bytes(self) -> int:
        """With every layer on a card."""
        return self.footprint.card_bytes(self.card_layers)

    @cached_property
    def seats(self) -> list[Seat]:
        """The ways to open it beside another model."""

        def footprint_of(_: float, batch: int) -> Footprint:
            types, load = self.outline.types_at(self.level), replace(self.load, batch=batch)
            return footprint(self.outline.tensors, types, self.outline.shape, load)

        return seats_of(Tenant(footprint_of, self.outline.shape, self.work))


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the engines end on one card; `layers` of the policy and of the reward model."""

    vram_bytes: int
    fits: bool  # every layer, and the margin that is left for driver and desktop
    spare_bytes: int  # of the card with every layer on it and the margin free; negative: missing
    seats: tuple[Seat, ...]  # what the commands choose by themselves, for both together
    card_bytes: int  # then in use
    ram_bytes: int  # then resident in main memory, the process included


@dataclass(frozen=True, slots=True)
class Choice:
    """Both models at a level each; one alone where the method needs no reward model."""

    needs: tuple[Need, ...]

    @property
    def levels(self) -> list[str]:
        return [need.level for need in self.needs]

    @property
    def card_layers(self) -> tuple[int, ...]:
        return tuple(need.card_layers for need in self.needs)

    @property
    def card_bytes(self) -> int:
        return sum(need.card_bytes for need in self.needs)

    @property
    def ram_bytes(self) -> int:
        """Of main memory without a card, the process included."""
        return self._ram([0] * len(self.needs))

    @property
    def loss(self) -> float:
        """The perplexity that llama.cpp says both levels cost together: an order, no more."""
        return sum(stated_loss(need.level) for need in self.needs)

    def on(self, vram_bytes: int) -> Placement:
        """The engines on a card that nothing else uses."""
        seats = quickest(vram_bytes - MARGIN_BYTES, [need.seats for need in self.needs])
        return Placement(
            vram_bytes,
            self.fits(vram_bytes),
            self.spare(vram_bytes),
            seats,
            sum(seat.card_bytes for seat in seats),
            self._ram([seat.layers for seat in seats]),
        )

    def spare(self, vram_bytes: int) -> int:
        """Of a card with every layer on it and the margin free; negative: missing."""
        return vram_bytes - MARGIN_BYTES - self.card_bytes

    def fits(self, vram_bytes: int) -> bool:
        """Whether every layer of all fits a card."""
        return self.spare(vram_bytes) >= 0

    def _ram(self, layers: Sequence[int]) -> int:
        parts = zip(self.needs, layers, strict=True)
        return PROCESS_BYTES + sum(need.ram_bytes(count) for need, count in parts)


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for, and every choice there is."""

    method: str
    models: tuple[ModelTensors, ...]
    search: SearchSize
    choices: tuple[Choice, ...]
    cards: tuple[int, ...]  # bytes
    quant: tuple[str, ...] | None = None  # levels that were asked for


def need(
    outline: ModelTensors,
    level: str,
    search: SearchSize,
    *,
    scores: bool = False,
    thinks: bool = False,
) -> Need:
    """One model at a level under a search. `scores`: it reads whole steps; `thinks`: talk head."""
    step = min(STEP, search.context - search.prompt) if scores else 1
    load = Load(
        cells=search.shared_cells,
        branches=search.branches,
        tokens=max(search.prompt, search.width * step),
        rows=search.width * (THOUGHT_ROWS if thinks else 1),
        kv_type=search.kv_type,
        hidden=outline.hidden and scores,
        live=search.live_cells,
    )
    found = footprint(outline.tensors, outline.types_at(level), outline.shape, load)
    each = found.kv / load.allocated_cells
    side = outline.shape.hidden
    head = 4 * (3 * side * side + side) if thinks else 0
    work = works(search.width, STEP)[scores]
    return Need(outline, level, load, work, found, int(each * search.unshared_cells), head)


def choices(
    models: Sequence[ModelTensors], levels: Sequence[str] | None, search: SearchSize
) -> list[Choice]:
    """Every combination of levels; a .gguf keeps its own level unless levels are asked for.

    Raises:
        Refusal: if the search is wider than llama.cpp's branches, or its prompt fills a path.
    """
    if search.width >= MAX_BRANCHES:
        raise Refusal(f"width {search.width}: llama.cpp holds {MAX_BRANCHES - 1} paths at most")
    if search.prompt >= search.context:
        raise Refusal(
            f"a prompt of {search.prompt} tokens leaves nothing of a path of {search.context}"
        )
    ladders = []
    for number, model in enumerate(models):
        own = [model.level] if model.level is not None and levels is None else (levels or LADDER)
        thinks = search.think and number == 0
        ladders.append(
            [need(model, level, search, scores=number > 0, thinks=thinks) for level in own]
        )
    return [Choice(combination) for combination in product(*ladders)]


def even(found: Sequence[Choice]) -> Iterator[Choice]:
    """The choices whose models share a level, and all where one model has only one."""
    ladders = [{choice.needs[n].level for choice in found} for n in range(len(found[0].needs))]
    free = [n for n, ladder in enumerate(ladders) if len(ladder) > 1]
    for choice in found:
        if len({choice.needs[n].level for n in free}) <= 1:
            yield choice


def best(found: Sequence[Choice], vram_bytes: int) -> list[Choice]:
    """The choices that fit a card whole, least stated loss first, then the smaller one."""
    fitting = [choice for choice in found if choice.fits(vram_bytes)]
    return sorted(fitting, key=lambda choice: (choice.loss, choice.card_bytes))[:BEST]


def relieved(plan: Plan, vram_bytes: int) -> list[tuple[str, Choice]]:
    """Better choices that a smaller cache makes room for: what to change, and the best then."""
    search = plan.search
    now = min((choice.loss for choice in best(plan.choices, vram_bytes)), default=float("inf"))
    found = []
    for how, changed in (
        ("with --kv-type q8_0", replace(search, kv_type="q8_0")),
        (f"with --width {search.width // 2}", replace(search, width=search.width // 2)),
    ):
        if changed == search or changed.width < 1:
            continue
        then = best(choices(plan.models, plan.quant, changed), vram_bytes)
        if then and then[0].loss < now:
            found.append((how, then[0]))
    return found


def stated_loss(level: str) -> float:
    """llama.cpp's loss of a level; where it states none, that of the next lower level with one."""
    if level in UNQUANTIZED or level not in LEVELS:
        return 0.0
    bits = LEVELS[level].bits
    stated = [(o.bits, o.loss) for o in LEVELS.values() if o.loss is not None and o.bits <= bits]
    if LEVELS[level].loss is not None:
        return float(LEVELS[level].loss or 0.0)
    return float(max(stated)[1] or 0.0) if stated else float("inf")
