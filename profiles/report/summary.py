"""All rows of a run with its header: what every form of the report is made from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from convert.artifact import PromptFormat
from convert.refusal import Refusal
from methods import catalog
from methods.catalog import MAJORITY, MethodRow, ProtocolName, Selection
from profiles.documents import Document, read_documents
from profiles.intervals import Paired
from profiles.records.configuration import Configuration, wanted
from profiles.records.record import Record
from profiles.records.run_document import RunDocument
from profiles.records.stored_run import (
    RUN,
    Recorded,
    read_measured,
    read_run,
    records_path,
)
from profiles.report.accuracy import pair, row
from profiles.report.answers import compared
from profiles.report.budgets import Budgets, budgets
from profiles.report.choice import RowChoice, choose, eligible
from profiles.report.gains import Gain, gains
from profiles.report.hosts import Speed, document, lines, mixed, speeds, untimed
from profiles.report.names import level_and_cache, level_name, method_name
from profiles.report.recovery import Recovery, recoveries, weights_and_cache
from profiles.report.row_comparison import by_records
from profiles.report.rows import Row, flat_lines
from profiles.report.thinking import Effect, effects
from profiles.tree.nodes import Tree
from profiles.tree.stored_trees import read_stored_tree, trees_path
from runtime.options import KvType, Thinking


@dataclass(frozen=True, slots=True)
class Flip:
    """A question whose correctness quantization changed."""

    id: str
    question: str
    gold: str | None
    before: str | None  # full precision's answer
    after: str | None
    lost: bool


@dataclass(frozen=True, slots=True)
class FlippedSearch:
    """A flipped question with its tree in the baseline and here."""

    level: str
    method: str
    flip: Flip
    before: Tree
    after: Tree


@dataclass(frozen=True, slots=True)
class Comparison:
    """A tree search against a majority vote of the same models, paired by question."""

    format: str
    level: str
    method: str  # of the tree
    width: int
    majority_width: int
    decode_tokens: float
    majority_decode_tokens: float
    accuracy: float
    majority_accuracy: float
    paired: Paired
    thinking: Thinking = "off"


@dataclass(frozen=True, slots=True)
class Summary:
    """A run's results. `flips` run parallel to `rows`."""

    run: RunDocument
    rows: tuple[Row, ...]
    flips: tuple[tuple[Flip, ...], ...]
    comparisons: tuple[Comparison, ...]
    effects: tuple[Effect, ...] = ()
    recoveries: tuple[Recovery, ...] = ()
    gains: tuple[Gain, ...] = ()
    budgets: tuple[Budgets, ...] = ()  # where a method ran at several widths
    searches: tuple[FlippedSearch, ...] = ()
    choice: RowChoice | None = None  # the row to use
    others: tuple[Document, ...] = ()  # what other commands measured into the same folder
    hosts: Sequence[Speed] = ()  # every row on every machine, where there were several
    measured: int = 0  # configurations
    prompts: tuple[PromptFormat, ...] = ()  # how the policies were asked
    unbranched: tuple[str, ...] = ()  # searches that searched nothing, by configuration

    @property
    def n(self) -> int:
        """Questions that a row answered."""
        return max(row.n for row in self.rows)

    def document(self) -> dict[str, Any]:
        """The content of summary.json."""
        found = {
            "header": self.header(),
            "rows": flat_lines(self.rows),
            "comparisons": [asdict(comparison) for comparison in self.comparisons],
            "gains": [gain.document() for gain in self.gains],
            "recovery": [recovery.document() for recovery in self.recoveries],
            "thinking": [_effect_document(effect) for effect in self.effects],
        }
        budgets = [budget.document() for budget in self.budgets]
        hosts = lines(self.hosts)
        return (
            found | ({"budgets": budgets} if budgets else {}) | ({"hosts": hosts} if hosts else {})
        )

    def header(self) -> dict[str, Any]:
        """What was asked and where it ran, and how much of it there is."""
        run = asdict(self.run)
        return run | {
            "data": run["data"] | {"n": self.n},
            "measured": self.measured,
            "prompts": [asdict(prompt) for prompt in self.prompts],
            "unbranched": list(self.unbranched),
        }


def summarize(folder: Path) -> Summary:
    """What a run's folder holds so far.

    Raises:
        FileNotFoundError: if the folder is not one of a run.
        Refusal: if a file in it is broken, or nothing was measured yet.
    """
    run = read_run(folder)
    measured = read_measured(folder, run.configurations)
    if not measured:
        raise Refusal(f"{folder} holds no answered question yet; see profile run --resume")
    if not any(wanted(m.configuration, run.methods) for m in measured):
        raise Refusal(f"{folder / RUN} names no method that was measured; see profile run")
    baselines = {
        _method_key(m.configuration): m.records for m in measured if m.configuration.baseline
    }
    rows: list[Row] = []
    flips: list[tuple[Flip, ...]] = []
    for one in measured:
        base = baselines.get(_method_key(one.configuration), ())
        for selection in wanted(one.configuration, run.methods):
            made = row(one.configuration, one.process, one.records, selection, base)
            rows.append(untimed(made) if mixed(run.hosts) else made)
            against = () if one.configuration.baseline else base
            flips.append(tuple(_flips(against, one.records, selection)))
    judge = by_records(measured)
    return Summary(
        run,
        tuple(rows),
        tuple(flips),
        comparisons=tuple(_comparisons(measured)),
        effects=tuple(effects(measured, run.methods)),
        recoveries=tuple(recoveries(measured, run.methods)),
        gains=tuple(gains(measured, run.methods)),
        budgets=tuple(budgets(measured, compared(rows), run.methods, judge)),
        searches=tuple(_searches(folder, measured)),
        choice=choose(eligible(rows), judge),
        others=(*_by_kind(measured, run), *read_documents(folder)),
        hosts=speeds(measured, run.hosts, run.methods, each=True) if run.hosts else [],
        measured=len(measured),
        prompts=tuple(dict.fromkeys(m.process.prompt for m in measured if m.process.prompt)),
        unbranched=tuple(m.configuration.slug for m in measured if _unbranched(m)),
    )


def _by_kind(measured: Sequence[Recorded], run: RunDocument) -> Iterator[Document]:
    """The speeds that the rows cannot have, where machines of several kinds answered."""
    if mixed(run.hosts):
        yield document(speeds(measured, run.hosts, run.methods, each=False), asdict(run))


def _unbranched(measured: Recorded) -> bool:
    """Whether most trees had one stage only: each path was one step, and nothing was searched."""
    spec = measured.configuration.spec
    branches = catalog.search_named(spec.search).tree and spec.width > 1
    depths = [record.depth for record in measured.records if record.depth]
    flat = 2 * depths.count(1) > len(depths)
    return branches and flat and spec.protocol is ProtocolName.FAIR


def _searches(folder: Path, measured: Sequence[Recorded]) -> Iterator[FlippedSearch]:
    """Of every level's trees one that quantization made wrong, else one that it made right."""
    bases = {_method_key(m.configuration): m for m in measured if m.configuration.baseline}
    for one in measured:
        configuration = one.configuration
        base = bases.get(_method_key(configuration))
        tree = catalog.search_named(configuration.spec.search).tree
        if not tree or configuration.baseline or base is None:
            continue
        flips = _flips(base.records, one.records, configuration.primary)
        for flip in sorted(flips, key=lambda flip: not flip.lost):
            before, after = (
                read_stored_tree(trees_path(records_path(folder, m.configuration)), flip.id)
                for m in (base, one)
            )
            if before and after:
                shown = row(configuration, one.process, one.records, configuration.primary)
                yield FlippedSearch(level_name(shown), method_name(shown), flip, before, after)
                break


def _effect_document(effect: Effect) -> dict[str, Any]:
    return {
        "row": _name(effect.row),
        "same": asdict(effect.same.paired) if effect.same else None,
        "rival": asdict(effect.rival.paired) | {"row": _name(effect.rival.row)}
        if effect.rival
        else None,
    }


def _name(row: Row) -> str:
    return f"{level_name(row)} {method_name(row)}"


def _method_key(configuration: Configuration) -> tuple[str, int, str, str]:
    spec = configuration.spec
    return spec.search, spec.width, configuration.thinking, configuration.protocol


def _flips(before: Sequence[Record], after: Sequence[Record], selection: Selection) -> list[Flip]:
    known = {record.id: record.verdict(selection) for record in before}
    found: list[Flip] = []
    for record in after:
        was, now = known.get(record.id), record.verdict(selection)
        if was is not None and was.correct != now.correct:
            found.append(
                Flip(record.id, record.question, record.gold, was.answer, now.answer, was.correct)
            )
    return found


def _comparisons(measured: Sequence[Recorded]) -> list[Comparison]:
    """Every tree against every majority vote on the same models, thinking alike."""
    found: list[Comparison] = []
    fair = [m for m in measured if m.configuration.protocol is ProtocolName.FAIR]
    votes = [m for m in fair if m.configuration.spec.search == MAJORITY.search.name]
    for tree, vote in product(fair, votes):
        if _engine(tree) != _engine(vote):
            continue
        for method in catalog.rows_of(tree.configuration.spec.search):
            rules = method.selection, MAJORITY.selection
            paired = pair(vote.records, tree.records, *rules) if method.search.tree else None
            if paired is not None:
                found.append(_comparison(tree, vote, method, paired))
    return found


def _engine(measured: Recorded) -> tuple[Path, KvType, Thinking]:
    return *weights_and_cache(measured), measured.configuration.thinking


def _comparison(tree: Recorded, vote: Recorded, method: MethodRow, paired: Paired) -> Comparison:
    a = row(tree.configuration, tree.process, tree.records, method.selection)
    b = row(vote.configuration, vote.process, vote.records, MAJORITY.selection)
    return Comparison(
        a.setup.format,
        level_and_cache(a),
        a.setup.method,
        a.setup.width,
        b.setup.width,
        a.cost.decode_tokens_per_question or 0.0,
        b.cost.decode_tokens_per_question or 0.0,
        a.accuracy.value,
        b.accuracy.value,
        paired,
        tree.configuration.thinking,
    )
