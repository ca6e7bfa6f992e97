"""What a reader asks of a run: a question, its answer, its plot, and the numbers behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from profiles.intervals import Estimate, Paired
from profiles.report import answers, budget_sentences, recovery_sentences
from profiles.report.budgets import Budgets
from profiles.report.findings import findings, thinking_sentences, trees_against_majority
from profiles.report.names import level_name
from profiles.report.over_budgets import over_budgets
from profiles.report.over_levels import Point, over_levels
from profiles.report.summary import Summary
from profiles.report.traces import do_answers_change, trace_table

POINTS = "percentage points"
TRACED = (
    "A path loops where one block stands four times at its end. The right answer stands in the "
    "trace where any path wrote its value anywhere: no better choice could win more than that."
)


@dataclass(frozen=True, slots=True)
class Question:
    """A section of the report. `points` are drawn over levels; `none` of them is no difference.

    Or what `budgets` reach is drawn, over costs at the level `axis`.

    `table` holds its titles and its lines; the first two columns are texts.
    """

    asks: str
    answer: str
    caption: str
    axis: str
    points: Sequence[Point]
    sentences: Sequence[str]
    table: Sequence[Sequence[str]] = ()
    none: float | None = 0.0
    budgets: Budgets | None = None

    def drawn(self, colours: Sequence[str]) -> str:
        """The plot; empty where there is nothing to draw."""
        if self.budgets is not None:
            return over_budgets(self.budgets, self.axis)
        if not self.points:
            return ""
        return over_levels(self.points, colours, self.axis, none=self.none)


def questions(summary: Summary) -> list[Question]:
    """All that this run can answer."""
    found = [_quantization(summary)]
    if summary.gains or summary.comparisons:
        found.append(_search(summary))
    found += [_budgets(summary, one) for one in summary.budgets]
    if summary.recoveries:
        found.append(_taken_back(summary))
    if summary.effects:
        found.append(_thinking(summary))
    if any(row.traces for row in summary.rows):
        found.append(_traces(summary))
    return found


def _quantization(summary: Summary) -> Question:
    return Question(
        "Does quantization cost accuracy?",
        answers.does_quantization_cost(summary.rows),
        "Accuracy of each method from full precision down.",
        "% right",
        _plain([Point(row, _percent(row.accuracy)) for row in answers.compared(summary.rows)]),
        findings(summary),
        none=None,
    )


def _search(summary: Summary) -> Question:
    return Question(
        "Does search pay?",
        answers.does_search_pay(summary.gains),
        "Gain over greedy decoding of the same weights, paired by question.",
        POINTS,
        [Point(gain.row, _points(gain.paired)) for gain in summary.gains],
        trees_against_majority(summary.comparisons),
    )


def _budgets(summary: Summary, found: Budgets) -> Question:
    chosen = level_name(summary.choice.pick) if summary.choice else ""
    level = chosen if chosen in found.frontiers else next(iter(found.frontiers))
    return Question(
        f"Which method for which budget of {found.currency.name}?",
        budget_sentences.answer(found),
        f"Accuracy of each method at {level} over its cost, at every width that it ran with; the "
        "dashed line is the frontier.",
        level,
        (),
        budget_sentences.sentences(found),
        budget_sentences.table(found),
        budgets=found,
    )


def _taken_back(summary: Summary) -> Question:
    return Question(
        "Does search take back what quantization took?",
        answers.does_search_take_it_back(summary.recoveries),
        "What greedy decoding lost less what the search lost, by question.",
        f"{POINTS} taken back",
        _plain(
            [
                Point(r.row, _percent(Estimate(r.taken_back, r.low, r.high)))
                for r in summary.recoveries
            ]
        ),
        recovery_sentences.sentences(summary.recoveries),
        recovery_sentences.table(summary.recoveries),
    )


def _thinking(summary: Summary) -> Question:
    return Question(
        "Does thinking pay?",
        answers.does_thinking_pay(summary.effects),
        "Gain over the same search without thoughts, paired by question.",
        f"{POINTS} by thinking",
        [Point(e.row, _points(e.same.paired)) for e in summary.effects if e.same],
        thinking_sentences(summary.effects),
    )


def _traces(summary: Summary) -> Question:
    rows = answers.compared(summary.rows)
    ratios = [(row, row.traces.token_ratio) for row in rows if row.traces]
    return Question(
        "Do answers get longer, or go round in circles?",
        do_answers_change(rows),
        "Decoded tokens over full precision's with the same method, paired by question.",
        "times the tokens",
        _plain([Point(row, found) for row, found in ratios if found]),
        [TRACED],
        trace_table(rows),
        none=1.0,
    )


def _plain(points: Sequence[Point]) -> Sequence[Point]:
    """Without the rows that think, which would hide the others; the tables have them."""
    return [point for point in points if point.row.setup.thinking == "off"] or points


def _percent(figure: Estimate) -> Estimate:
    return Estimate(100 * figure.value, 100 * figure.low, 100 * figure.high)


def _points(paired: Paired) -> Estimate:
    return _percent(Estimate(paired.difference, paired.low, paired.high))
