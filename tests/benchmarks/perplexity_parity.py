"""`profile fidelity` against llama-perplexity: every printed figure, to the digits it prints.

    python tests/benchmarks/perplexity_parity.py F16.gguf Q4_K_M.gguf --tool PATH/llama-perplexity

Both read the same text in the same chunks; without --text it is the benchmark's solutions. The tool
sometimes ends before its log is written out; it is then run again. The exit code is 1 where a
figure differs.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from profiles.fidelity.measure import Plan, measure
from profiles.fidelity.rows import FidelityRow
from profiles.reference_text import benchmark_solutions, read_text
from runtime.load import open_engine
from runtime.options import EngineOptions

BASE = r"Final estimate: PPL = (\S+) \+/- (\S+)"
NUMBER = r"\s*(-?[\d.]+)"
LINES = {  # what the tool prints of the second model
    "PPL(Q)": rf"Mean PPL\(Q\)\s*:{NUMBER} ±{NUMBER}",
    "KL mean": rf"Mean    KLD:{NUMBER} ±{NUMBER}",
    "KL max": rf"Maximum KLD:{NUMBER}",
    "KL 99 %": rf"99\.0%   KLD:{NUMBER}",
    "KL median": rf"Median  KLD:{NUMBER}",
    "RMS Δp %": rf"RMS Δp    :{NUMBER} ±{NUMBER}",
    "same top %": rf"Same top p:{NUMBER} ±{NUMBER}",
}
TRIES = 5


def tool_figures(options: argparse.Namespace, text: Path) -> dict[str, tuple[str, ...]]:
    """What the tool prints, as text."""
    size = ["-c", str(options.context), "-b", str(options.context), "-t", str(options.threads)]
    with tempfile.TemporaryDirectory() as folder:
        kept = ["--kl-divergence-base", f"{folder}/base"]
        given = ["-m", str(options.baseline), "-f", str(text), "--chunks", str(options.chunks)]
        found = {"PPL": _search({"PPL": BASE}, options, [*given, *size, *kept])["PPL"]}
        given = ["-m", str(options.model), "--kl-divergence"]
        return found | _search(LINES, options, [*given, *size, *kept])


def _search(
    patterns: dict[str, str], options: argparse.Namespace, arguments: list[str]
) -> dict[str, tuple[str, ...]]:
    for _ in range(TRIES):
        done = subprocess.run(
            [str(options.tool), *arguments], capture_output=True, text=True, check=True
        )
        found = {n: re.search(p, done.stdout + done.stderr) for n, p in patterns.items()}
        if all(found.values()):
            return {name: match.groups() for name, match in found.items() if match}
    raise SystemExit(f"the tool printed no {', '.join(n for n, m in found.items() if not m)}")


def our_figures(options: argparse.Namespace, text: str) -> dict[str, tuple[str, ...]]:
    """The same figures of `profile fidelity`, with the tool's digits."""
    engine = EngineOptions(
        device="cpu", context=options.context, max_branches=2, threads=options.threads
    )
    plan = Plan(options.baseline, [options.model], text, options.context, options.chunks)
    base, _, row = measure(plan, lambda path: open_engine(path, engine)).rows
    return {"PPL": (f"{base.perplexity:.4f}", f"{base.perplexity_se:.5f}"), **_printed(row)}


def _printed(row: FidelityRow) -> dict[str, tuple[str, ...]]:
    def digits(count: int, *values: float | None) -> tuple[str, ...]:
        return tuple(f"{value:.{count}f}" for value in values if value is not None)

    assert row.probability_change_rms is not None
    assert row.probability_change_rms_se is not None
    assert row.same_top is not None
    assert row.same_top_se is not None
    rms, rms_se = 100 * row.probability_change_rms, 100 * row.probability_change_rms_se
    return {
        "PPL(Q)": digits(6, row.perplexity, row.perplexity_se),
        "KL mean": digits(6, row.kl_mean_nats, row.kl_mean_se_nats),
        "KL max": digits(6, row.kl_max_nats),
        "KL 99 %": digits(6, row.kl_p99_nats),
        "KL median": digits(6, row.kl_median_nats),
        "RMS Δp %": digits(3, rms, rms_se),
        "same top %": digits(3, 100 * row.same_top, 100 * row.same_top_se),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("baseline", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--tool", type=Path, required=True)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--chunks", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    content = (read_text(options.text) if options.text else benchmark_solutions()).content
    with tempfile.NamedTemporaryFile(suffix=".txt") as file:
        file.write(content.encode())
        file.flush()
        theirs = tool_figures(options, Path(file.name))
    ours = our_figures(options, content)
    print("| figure | llama-perplexity | profile fidelity | |\n|---|---|---|---|")
    for name, figures in theirs.items():
        same = "equal" if figures == ours[name] else "DIFFERENT"
        print(f"| {name} | {' ± '.join(figures)} | {' ± '.join(ours[name])} | {same} |")
    return 0 if ours == theirs else 1


if __name__ == "__main__":
    sys.exit(main())
