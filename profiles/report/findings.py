"""What the numbers say, in sentences that claim no more than the intervals allow."""

from __future__ import annotations

import math
from collections.abc import Sequence

from methods import catalog
from profiles.report.names import THINKING, level_and_cache, level_name, method_name
from profiles.report.rows import Change, Row
from profiles.report.summary import Comparison, Summary
from profiles.report.thinking import Effect, WithoutThoughts
from profiles.text_formats import chance, listed, percent, points, significant

EQUAL = 0.05  # token counts that differ by less are equal


def findings(summary: Summary) -> list[str]:
    """All sentences, the most important first."""
    found = [baseline_sentence(summary), *degradations(summary.rows)]
    compared = sum(row.change is not None for row in summary.rows)
    if compared > 1:
        found.append(
            f"These are {compared} comparisons at 95 % confidence: about one in twenty intervals "
            "misses the truth by chance."
        )
    return found


def baseline_sentence(summary: Summary) -> str:
    """What the others are compared with."""
    bases = [row for row in summary.rows if row.setup.baseline]
    if not bases:
        return "The baseline was not measured, so that no degradation can be stated."
    base = bases[0]
    if base.setup.format == "torch":
        return (
            f"The baseline is full precision: the checkpoint in torch at {base.setup.level}, "
            "with the same method, width, seed and questions."
        )
    return (
        f"There is no full-precision run: the baseline is {base.model} at {base.setup.level}, "
        "itself possibly degraded."
    )


def degradations(rows: Sequence[Row]) -> list[str]:
    """One sentence a method over its levels."""
    methods = dict.fromkeys(method_name(row) for row in rows)
    sentences = []
    for method in methods:
        mine = [row for row in rows if method_name(row) == method]
        if compared := [(level_and_cache(row), row.change) for row in mine if row.change]:
            sentences.append(f"{method} — {'; '.join(_verdicts(compared))}.")
    return sentences


def _verdicts(compared: Sequence[tuple[str, Change]]) -> list[str]:
    clauses = [detected(level, change) for level, change in compared if not change.holds_zero]
    same = [(level, change) for level, change in compared if change.holds_zero]
    if len(same) == 1:
        clauses.append(undetected(*same[0]))
    elif same:
        levels = listed([level for level, _ in same])
        limits = listed([percent(-change.delta_low) for _, change in same])
        clauses.append(
            f"{levels}: no difference detected; drops above {limits} points would have been"
        )
    return clauses


def detected(level: str, change: Change) -> str:
    """A difference whose interval excludes zero."""
    verb = "loses" if change.delta_accuracy < 0 else "gains"
    return (
        f"{level} {verb} {percent(abs(change.delta_accuracy))} points "
        f"[{points(change.delta_low)}, {points(change.delta_high)}], "
        f"{change.flips_lost} questions lost and {change.flips_won} won, {chance(change.mcnemar_p)}"
    )


def undetected(level: str, change: Change) -> str:
    """A difference whose interval holds zero."""
    return (
        f"{level}: no difference detected; "
        f"a drop above {percent(-change.delta_low)} points would have been"
    )


def trees_against_majority(comparisons: Sequence[Comparison]) -> list[str]:
    """Where a tree search beats a majority vote at equal decode tokens, level by level.

    Each tree is set against the measured vote whose decode tokens are nearest to its own.
    """
    trees = dict.fromkeys(_tree(c) for c in comparisons)
    nearest = [
        min(
            (c for c in comparisons if _tree(c) == tree),
            key=lambda c: abs(math.log(_token_ratio(c))),
        )
        for tree in trees
    ]
    if not nearest:
        return []
    better = [c for c in nearest if c.paired.difference > 0 and _token_ratio(c) <= 1 + EQUAL]
    sure = [c for c in better if c.paired.low > 0]
    ahead = listed([_tree(c) for c in better if c not in sure] or ["none"])
    if not better:
        head = (
            "Nowhere here does a tree search beat a majority vote at equal or fewer decode tokens."
        )
    elif sure:
        head = (
            "A tree search beats a majority vote at equal or fewer decode tokens at "
            f"{listed([_tree(c) for c in sure])}; ahead, but with an interval that holds zero: "
            f"{ahead}."
        )
    else:
        head = (
            f"A tree search is ahead of a majority vote at equal or fewer decode tokens at "
            f"{ahead}, but every interval holds zero."
        )
    return [head, *map(_versus, nearest)]


def _versus(c: Comparison) -> str:
    ratio = _token_ratio(c)
    if abs(ratio - 1) <= EQUAL:
        cost = "as many tokens"
    else:
        cost = f"{percent(abs(ratio - 1), 0)} % {'more' if ratio > 1 else 'fewer'} tokens"
    return (
        f"{c.format} {c.level}: {_search(c)} {percent(c.accuracy)} % "
        f"with {c.decode_tokens:.0f} decode tokens a question, "
        f"{catalog.label(catalog.MAJORITY.name, c.majority_width)} "
        f"{percent(c.majority_accuracy)} % with {c.majority_decode_tokens:.0f}: "
        f"{points(c.paired.difference)} points "
        f"[{points(c.paired.low)}, {points(c.paired.high)}], {chance(c.paired.mcnemar_p)}, "
        f"for {cost}."
    )


def thinking_sentences(effects: Sequence[Effect]) -> list[str]:
    """What thinking gained, row by row."""
    return [_thinking(effect) for effect in effects]


def _thinking(effect: Effect) -> str:
    row = effect.row
    parts = [
        f"{level_name(row)}: {method_name(row)} {percent(row.accuracy.value)} % with "
        f"≈ {significant(row.cost.gflop)} GFLOP a question"
    ]
    if effect.same:
        ratio = (row.cost.flops_per_question or 0) / (effect.same.row.cost.flops_per_question or 1)
        parts.append(f"{_gain(effect.same)}, for {significant(ratio, 2)} times the operations")
    if effect.rival:
        parts.append(f"{_gain(effect.rival)}, the best without thoughts for no more operations")
    return "; ".join(parts) + "."


def _gain(versus: WithoutThoughts) -> str:
    paired, row = versus.paired, versus.row
    return (
        f"{points(paired.difference)} points [{points(paired.low)}, {points(paired.high)}] to "
        f"{method_name(row)} ({percent(row.accuracy.value)} %)"
    )


def _tree(c: Comparison) -> str:
    return f"{c.format} {c.level} {_search(c)}"


def _search(c: Comparison) -> str:
    return catalog.label(c.method, c.width) + THINKING[c.thinking]


def _token_ratio(c: Comparison) -> float:
    """The tree's decode tokens over the vote's."""
    return max(c.decode_tokens, 1e-9) / max(c.majority_decode_tokens, 1e-9)
