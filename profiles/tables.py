"""The columns of the main table, and numbers as people read them. Units change only here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from profiles import documents
from profiles.rows import Row

NONE = "–"
THINKING = {"off": "", "on": ", thinking", "gated": ", gated"}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: group and title, a sentence for people who ask, and its cell."""

    group: str
    title: str
    meaning: str
    cell: Callable[[Row], str]
    number: bool = True


def percent(value: float | None, digits: int = 1) -> str:
    """A share: `73.0`."""
    return NONE if value is None else f"{100 * value:.{digits}f}"


def points(value: float | None) -> str:
    """A difference of shares with its sign, in percentage points: `−4.0`."""
    return NONE if value is None else signed(100 * value)


def signed(value: float, digits: int = 1) -> str:
    """A number with a sign; a typographic minus; zero without one."""
    text = f"{abs(value):.{digits}f}"
    if float(text) == 0:
        return text
    return ("−" if value < 0 else "+") + text


def significant(value: float | None, digits: int = 3) -> str:
    """A number with so many digits that count, no exponent."""
    if value is None:
        return NONE
    if value == 0:
        return "0"
    text = f"{value:.{digits}g}"
    return f"{float(text):.0f}" if "e+" in text or abs(value) >= 10**digits else text


def size(size_bytes: float | None) -> str:
    """Bytes in the binary unit that fits."""
    if size_bytes is None:
        return NONE
    if size_bytes < 1024:
        return f"{size_bytes:.0f} B"
    value = size_bytes / 1024
    for unit in ("KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:#.3g} {unit}"
        value /= 1024
    return f"{value:.2f} GiB"


def milliseconds(seconds: float | None) -> str:
    """Seconds as milliseconds."""
    return NONE if seconds is None else significant(1000 * seconds)


def p_value(p: float | None) -> str:
    """A p-value to three decimals."""
    if p is None:
        return NONE
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def level_name(row: Row) -> str:
    """Format and level: `gguf q4_k_m`."""
    return f"{row.format} {row.level}"


def method_name(row: Row) -> str:
    """A method as papers write it: `majority@8`, `REBASE w=8, thinking`."""
    return (
        search_name(row)
        + THINKING[row.thinking]
        + (", seed protocol" if row.protocol == "seed" else "")
    )


def search_name(row: Row) -> str:
    """A method whether it thinks or not: `REBASE w=8`."""
    if row.method == "greedy":
        return "greedy"
    if row.search == "rebase":
        variant = {"rebase": "", "rebase-majority": ", majority", "rebase-best": ", best"}
        return f"REBASE w={row.width}{variant.get(row.method, '')}"
    if row.method == "best-of-n":
        return f"best-of-{row.width}"
    return f"{row.method}@{row.width}"


def with_interval(value: str, low: float | None, high: float | None, *, sign: bool) -> str:
    """`73.0 [63.6, 80.7]`."""
    if low is None or high is None:
        return value
    show = points if sign else percent
    return f"{value} [{show(low)}, {show(high)}]"


def accuracy_cell(row: Row) -> str:
    """Accuracy with its interval."""
    return with_interval(percent(row.accuracy), row.accuracy_low, row.accuracy_high, sign=False)


def delta_cell(row: Row) -> str:
    """The difference to the baseline with its interval."""
    return with_interval(points(row.delta_accuracy), row.delta_low, row.delta_high, sign=True)


def flips_cell(row: Row) -> str:
    """Questions lost and won."""
    return NONE if row.flips_lost is None else f"−{row.flips_lost} / +{row.flips_won}"


def tokens_cell(row: Row) -> str:
    """Evaluated tokens a question, policy and reward model."""
    policy = [
        row.prompt_tokens_per_question,
        row.decode_tokens_per_question,
        row.thought_tokens_per_question,
    ]
    if row.prompt_tokens_per_question is None:
        return NONE
    reward = row.reward_tokens_per_question
    return f"{sum(value or 0 for value in policy):.0f} / {reward or 0:.0f}"


def thoughts_cell(row: Row) -> str:
    """Thought tokens a question, and at which share of the tokens there was a thought."""
    if row.thought_share is None:
        return NONE
    return f"{row.thought_tokens_per_question:.0f} at {percent(row.thought_share, 0)} %"


def seconds_cell(row: Row) -> str:
    """Latency, median and 95th percentile."""
    return f"{significant(row.latency_p50_s)} / {significant(row.latency_p95_s)}"


def gflop_cell(row: Row) -> str:
    """Operations a question, marked as an estimate."""
    flops = row.flops_per_question
    return NONE if flops is None else "≈ " + significant(flops / 1e9)


def reward_share_cell(row: Row) -> str:
    """The reward model's part of the operations."""
    if not row.flops_per_question or not row.reward_flops_per_question:
        return NONE
    return percent(row.reward_flops_per_question / row.flops_per_question, 0)


def weights_cell(row: Row) -> str:
    """Sizes of the model files."""
    return size(row.model_bytes) + (
        f" + {size(row.reward_model_bytes)}" if row.reward_model_bytes else ""
    )


A, C, S, M = "Accuracy", "Cost of a question", "Speed", "Memory"

COLUMNS: tuple[Column, ...] = (
    Column("", "format", "File format, or torch for full precision.", lambda r: r.format, False),
    Column("", "level", "Quantization level of the policy.", lambda r: r.level, False),
    Column("", "method", "Search, and how it chooses; its width.", method_name, False),
    Column("", "n", "Questions.", lambda r: str(r.n)),
    Column(A, "% right [95 % CI]", "Flexible extraction; Wilson's interval.", accuracy_cell),
    Column(
        A,
        "strict",
        "% right, explicitly marked answers only.",
        lambda r: percent(r.accuracy_strict),
    ),
    Column(
        A,
        "Δ points [95 % CI]",
        "Against the baseline with the same method, paired by question; Bonett-Price interval.",
        delta_cell,
    ),
    Column(A, "flips −/+", "Right in the baseline and wrong here / the other way.", flips_cell),
    Column(A, "McNemar p", "Exact, two-sided.", lambda r: p_value(r.mcnemar_p)),
    Column(A, "unans.", "Questions without an answer.", lambda r: str(r.unanswered)),
    Column(
        A, "cut off", "Candidates that a limit cut off.", lambda r: f"{r.truncated}/{r.candidates}"
    ),
    Column(C, "tokens policy / reward", "Evaluated tokens, prompt included.", tokens_cell),
    Column(C, "GFLOP (est.)", "Computed from counted tokens and shapes, both models.", gflop_cell),
    Column(C, "reward %", "The reward model's part of these operations.", reward_share_cell),
    Column(C, "s p50 / p95", "Wall time of one question.", seconds_cell),
    Column(
        S,
        "TTFT ms",
        "Median time to the first token's logits.",
        lambda r: milliseconds(r.ttft_p50_s),
    ),
    Column(
        S, "prefill tok/s", "Policy, in the engine.", lambda r: significant(r.prefill_tok_per_s)
    ),
    Column(
        S,
        "decode tok/s",
        "Policy, all paths together, in the engine.",
        lambda r: significant(r.decode_tok_per_s),
    ),
    Column(M, "model", "File sizes: policy + reward model.", weights_cell),
    Column(M, "peak RSS", "Of the process, both models in it.", lambda r: size(r.peak_rss_bytes)),
)
THOUGHTS = Column(
    C, "thought tokens", "Included in tokens; at which share of the tokens.", thoughts_cell
)
VRAM = Column(M, "peak VRAM", "On the card, this process.", lambda r: size(r.peak_vram_bytes))


def columns(rows: Sequence[Row]) -> tuple[Column, ...]:
    """The columns that these rows need: VRAM with a card, thoughts where there are any."""
    shown = list(COLUMNS)
    if any(r.thought_share is not None for r in rows):
        shown.insert(1 + [c.title for c in shown].index("tokens policy / reward"), THOUGHTS)
    return (*shown, VRAM) if any(r.peak_vram_bytes is not None for r in rows) else tuple(shown)


def markdown_table(rows: Sequence[Row]) -> str:
    """The main table in Markdown."""
    shown = columns(rows)
    texts = sum(not column.number for column in shown)
    return documents.markdown_table(
        [c.title for c in shown], [[c.cell(row) for c in shown] for row in rows], texts
    )


def text_table(rows: Sequence[Row]) -> str:
    """The columns that fit a terminal."""
    titles = {"format", "level", "method", "n", "% right [95 % CI]", "Δ points [95 % CI]"}
    titles |= {"s p50 / p95", "decode tok/s", "peak RSS"}
    shown = [column for column in COLUMNS if column.title in titles]
    cells = [[c.title for c in shown]] + [[c.cell(row) for c in shown] for row in rows]
    return aligned(cells, [c.number for c in shown])


def aligned(cells: Sequence[Sequence[str]], right: Sequence[bool] = ()) -> str:
    """Lines of cells in columns; all but the first are set to the right unless told."""
    right = right or [False] + [True] * (len(cells[0]) - 1)
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    return "\n".join(
        "  ".join(
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in cells
    )
