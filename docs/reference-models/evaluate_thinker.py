r"""Measure what thoughts change: next-token loss, mixing weights and accuracy.

    python evaluate_thinker.py policy thinker --problems benchmark.jsonl
    python evaluate_thinker.py policy thinker --validation 200 --sampled 0

Everything is chosen with `--validation` (training-side problems of the split
`thinker-validation`, 3 to 6 steps); the benchmark is scored once, at the end.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from grading import final_answer
from metrics import wilson
from problems import format_solution
from reward_data import balanced
from sentencepiece import SentencePieceProcessor
from thinker_data import BOS, EOS
from thinker_files import load
from thinker_generate import Thinking, write
from thinker_model import STAGES, Thinker
from thinker_thoughts import Reader
from torch.nn.functional import cross_entropy

VALIDATION_STEPS = (3, 4, 5, 6)
CHANGE = 0.01  # nats from which on a position counts as improved or worsened
GATE = 0.9  # gated thinking: only where the base's best token has less chance
EXAMPLES = 16

Row = dict[str, str]


def solution_of(row: Row) -> str:
    *sentences, _answer = row["answer"].split("\n")
    return format_solution(sentences, answer_of(row))


def answer_of(row: Row) -> int:
    return int(row["answer"].rsplit("#### ", 1)[1])


@torch.inference_mode()
def losses(model: Thinker, reader: Reader, row: Row) -> tuple[torch.Tensor, list[str]]:
    """A row (base NLL, mixed NLL, w, in a result, thought as taught) a token; and examples."""
    prompt = [BOS, *reader.pieces.encode(row["question"] + "\n")]
    ids = [BOS, *reader.pieces.encode(f"{row['question']}\n{solution_of(row)}"), EOS]
    after = torch.arange(len(prompt) - 1, len(ids) - 1)[None]
    read = model.read(torch.tensor([ids]))
    thoughts = model.sample(read, after)
    end = model.think(read, after, thoughts)[0, STAGES - 1]
    base, targets = read.hidden[0, after[0]], torch.tensor(ids)[after[0] + 1]
    share = model.weight(base, end)
    before = cross_entropy(model.logits(base), targets, reduction="none")
    mixed = cross_entropy(model.mixed(base, end, share), targets, reduction="none")
    results = reader.results(ids)
    digits = [float(p in results and ids[p + 1] in reader.digits) for p in after[0].tolist()]
    exact = [
        float(t == results.get(p))
        for p, t in zip(after[0].tolist(), thoughts[0].tolist(), strict=True)
    ]
    examples = [
        f"{reader.pieces.decode(ids[max(0, p - 12) : p + 1])!r} -> "
        f"{reader.pieces.decode(ids[p + 1])!r}: thought {reader.pieces.decode(thought)!r}, "
        f"w {w:.2f}, nats {b:.3f} -> {m:.3f}"
        for p, thought, w, b, m in zip(
            after[0].tolist(), thoughts[0].tolist(), share[:, 0], before, mixed, strict=True
        )
    ]
    return torch.stack(
        [before, mixed, share[:, 0], torch.tensor(digits), torch.tensor(exact)], 1
    ), examples


def print_losses(table: torch.Tensor, name: str) -> None:
    """Means, shares of improved and worsened positions, and percentiles of w."""
    base, mixed, share = table[:, 0], table[:, 1], table[:, 2]
    gain = base - mixed
    error, better, worse = gain.std() / len(gain) ** 0.5, gain > CHANGE, gain < -CHANGE
    marks = torch.tensor([0.01, 0.1, 0.5, 0.9, 0.99])
    percentiles = " ".join(f"{x:.2f}" for x in share.quantile(marks))
    print(
        f"{name}: n {len(gain)}, NLL {base.mean():.4f} -> {mixed.mean():.4f} "
        f"(gain {gain.mean():.4f} +- {1.96 * error:.4f}), better {better.float().mean():.3f}, "
        f"worse {worse.float().mean():.3f}, w mean {share.mean():.3f}, "
        f"percentiles 1 10 50 90 99: {percentiles}"
    )


def print_accuracy(
    name: str,
    model: Thinker,
    reader: Reader,
    rows: Sequence[Row],
    mode: tuple[Thinking | None, float],
) -> list[bool]:
    start = time.monotonic()
    written = write(model, reader.pieces, [row["question"] for row in rows], *mode)
    seconds = time.monotonic() - start
    hits = [final_answer(t) == answer_of(r) for t, r in zip(written.texts, rows, strict=True)]
    print(
        f"{name}: {wilson(sum(hits), len(hits))}, {written.tokens} tokens, "
        f"{written.thoughts} thoughts, {seconds:.0f} s",
        flush=True,
    )
    return hits


def print_changes(before: Sequence[bool], after: Sequence[bool]) -> None:
    pairs = Counter(zip(before, after, strict=True))
    print(f"  gained {pairs[False, True]}, lost {pairs[True, False]} problems", flush=True)


def problems(options: argparse.Namespace) -> list[Row]:
    if options.problems:
        return [json.loads(line) for line in options.problems.read_text().splitlines()]
    drawn = balanced("thinker-validation", 0, options.validation, VALIDATION_STEPS)
    return [problem.to_gsm8k() for problem in drawn]


def compare(
    policy: Thinker, thinker: Thinker, reader: Reader, rows: Sequence[Row], temperature: float
) -> None:
    """Accuracy of the policy, and of the thinker without, with and with gated thoughts."""
    show: Callable[..., list[bool]] = print_accuracy
    show("original policy", policy, reader, rows, (None, temperature))
    off = show("thinker, no thoughts", thinker, reader, rows, (None, temperature))
    every = show("thinker, every token", thinker, reader, rows, (Thinking(), temperature))
    print_changes(off, every)
    gated = (Thinking(GATE), temperature)
    print_changes(off, show(f"thinker, below {GATE}", thinker, reader, rows, gated))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("policy", type=Path)
    parser.add_argument("thinker", type=Path)
    parser.add_argument("--problems", type=Path, help="in GSM8K's form")
    parser.add_argument("--validation", type=int, default=200, help="problems, if no file is given")
    parser.add_argument("--sampled", type=int, default=200, help="problems at temperature 1")
    options = parser.parse_args()
    torch.manual_seed(3)
    torch.set_num_threads(1)
    reader = Reader(SentencePieceProcessor(model_file=str(options.policy / "tokenizer.model")))
    policy, thinker, rows = load(options.policy), load(options.thinker), problems(options)

    tables, examples = zip(*(losses(thinker, reader, row) for row in rows), strict=True)
    table = torch.cat(tables)
    print_losses(table, "all solution tokens")
    print_losses(table[table[:, 3] == 1], "digits of results")
    print_losses(table[table[:, 3] == 0], "other tokens")
    print(f"thoughts as taught at digits of results: {table[table[:, 3] == 1][:, 4].mean():.3f}")
    for line in [line for text in examples[:4] for line in text if "= '" in line][:EXAMPLES]:
        print(" ", line)
    print("greedy", flush=True)
    compare(policy, thinker, reader, rows, 0.0)
    if options.sampled:
        print("temperature 1", flush=True)
        compare(policy, thinker, reader, rows[: options.sampled], 1.0)


if __name__ == "__main__":
    main()
