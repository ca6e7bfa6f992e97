r"""What bits do to a judge: heads fitted at f16 and at each level, used at each level.

    python tests/benchmarks/judge_bits.py --source reference:policy --reward reference:reward \
        --train train.jsonl --questions 600 --test convert/reference/benchmark.jsonl --limit 300 \
        --levels f16 q8_0 q4_k_m q3_k_s q2_k -o judge_bits.json

or, for files of one's own, `--policies a-q8_0.gguf a-q4_k_m.gguf` in place of source and levels.
Prints, a line a level and judge: AUC within a question, its changes to `logprob`, `logprob-mean`
and the number of tokens, all with intervals by resampling questions, and the accuracy of the best
of eight answers beside a majority; * marks the head that the questions that stopped it prefer.
With --rebase N the judges also steer REBASE, width 8, on the first N test questions.
Answers are kept in --cache, 25 questions at a time, so that a run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from convert.artifact import Artifact, PromptFormat
from convert.ensure import ensure
from convert.progress import Progress
from convert.self_judge import JudgeProtocol
from methods.build import MethodSpec, build
from methods.candidate import Candidate
from methods.judges import scorer_of
from methods.problem import Problem, read_problems
from methods.prompt_arguments import add_prompt, changes
from methods.scorers import ProcessRewardScorer, Scorer
from methods.selection import select
from methods.self_scorer import Judge
from profiles.intervals import Estimate
from profiles.judge.auc import best_of, difference, interval
from profiles.judge.command import default_layers
from profiles.judge.fit import Fitted, fit
from profiles.judge.measure import FORMS, unfitted
from profiles.judge.samples import SampledAnswer, Samples, gathered, written
from profiles.records.record import question_seed
from runtime.engine import Branch, Sampling, Step
from runtime.load import describe_model, open_engine
from runtime.options import EngineOptions
from runtime.probe import FINAL
from runtime.prompt import ask_as

STOPPING = 0.2  # of the questions fitted to
BASES = ("logprob", "logprob-mean", "length")
PART = 25  # questions whose answers are kept together
OPTIONS = EngineOptions(device="cpu", threads=1, context=8192, max_branches=66)
Questions = list[list[SampledAnswer]]


@dataclass(frozen=True, slots=True)
class Line:
    """One judge at one level."""

    level: str
    judge: str
    auc: Estimate
    changes: Mapping[str, Estimate]  # to each of BASES
    best_of: float
    rebase: float | None = None


def main() -> None:
    """Sample, fit, judge, print."""
    options = _options()
    policies = options.policies or [ensure(options.source, n).path for n in options.levels]
    lines: list[Line] = []
    full: dict[str, Fitted] = {}
    for path in policies:
        policy = describe_model(path)
        layers = options.layers or [*default_layers(policy), FINAL]
        found = _sampled(options, policy, layers, options.test, options.limit)
        taught = _sampled(options, policy, layers, options.train, options.questions)
        own = _fits(gathered(taught, tuple(layers)), layers)
        full = full or own
        lines += _lines(options, policy, found, layers, own, full)
        document = json.dumps([asdict(line) for line in lines], indent=1)
        Path(options.output).write_text(document, encoding="utf-8")


def _fits(samples: Samples, layers: Sequence[int]) -> dict[str, Fitted]:
    """What is worth comparing: no states, those of each layer, of several together."""
    questions = np.random.default_rng(0).permutation(samples.questions)
    stopping = questions[: round(STOPPING * len(questions))]
    inner = tuple(n for n in layers if n != FINAL)
    reads = {"no states": (), "final": (FINAL,), "inner": inner, "all": tuple(layers)}
    reads |= {f"layer {n}": (n,) for n in inner}
    nobody = np.zeros(0, np.int64)
    return {
        f"{form}, {name}": fit(samples, form, read, stopping, nobody)
        for name, read in reads.items()
        for form in FORMS
        if set(read) <= set(layers) and (form == "layers" or read in ((), inner))
    }


def _lines(
    options: argparse.Namespace,
    policy: Artifact,
    found: Questions,
    layers: Sequence[int],
    own: Mapping[str, Fitted],
    full: Mapping[str, Fitted],
) -> list[Line]:
    problems = read_problems(options.test, options.limit)
    flat = [(n, one) for n, answers in enumerate(found) for one in answers]
    question = np.array([n for n, _ in flat])
    right = np.array([one.right for _, one in flat])
    samples = gathered(found, tuple(layers))
    scores: dict[str, Any] = {
        **unfitted(samples, np.flatnonzero(samples.last)),
        "length": [sum(len(s.token_ids) for s in one.steps) for _, one in flat],
    }
    heads = {f"self, {name}": one for name, one in own.items()}
    if full is not own:
        heads |= {f"self of the first level, {name}": one for name, one in full.items()}
    for name, one in heads.items():
        judge = _judge(policy, one)
        scores[name] = [_last(judge, answer, layers) for _, answer in flat]
    if options.reward:
        scores["reward"] = _read(options, policy, found, problems)
        best = max(own, key=lambda name: own[name].auc)
        sure = 1 / (1 + np.exp(-np.array(scores[f"self, {best}"])))
        scores[f"self, {best} * reward"] = sure * np.array(scores["reward"])
    bases = {name: np.array(scores[name]) for name in BASES}
    made = []
    for name, values in scores.items():
        line = Line(
            policy.level,
            name,
            interval(np.array(values), right, question),
            {
                base: difference(np.array(values), there, right, question)
                for base, there in bases.items()
                if base != name
            },
            float(best_of(np.array(values), right, question).mean()),
        )
        if options.rebase and (name == "logprob" or name in _steering(own, full)):
            line = replace(line, rebase=_rebase(options, policy, heads.get(name), problems))
        made.append(line)
        print(_shown(line) + " *" * (name == _steering(own, full)[0]), flush=True)
    print(f"{policy.level}: majority {_majority(found, problems):.3f}, "
          f"one answer {right.mean():.3f}", flush=True)  # fmt: skip
    return made


def _steering(own: Mapping[str, Fitted], full: Mapping[str, Fitted]) -> list[str]:
    best = [max(fitted, key=lambda name: fitted[name].auc) for fitted in (own, full)]
    return [f"self, {best[0]}", f"self of the first level, {best[1]}"]


def _judge(policy: Artifact, one: Fitted) -> Judge:
    protocol = JudgeProtocol(
        policy.source, policy.level, policy.shape.hidden, one.layers, one.form, 0, 0, one.auc
    )
    weight = one.tensors.get("probe.weight")
    return Judge(layers=one.layers, weight=weight, protocol=protocol, tensors=one.tensors)


def _last(judge: Judge, answer: SampledAnswer, layers: Sequence[int]) -> float:
    """The judge's logit of a whole answer, of states that were kept."""
    width = answer.states.shape[1] // len(layers)
    parts = [
        answer.states[:, width * layers.index(n) : width * (layers.index(n) + 1)].astype(np.float32)
        for n in judge.layers
    ]
    readings = judge(parts) if parts else np.zeros((len(answer.states), 0), np.float32)
    steps, begin = list[Step](), 0
    for step in answer.steps:
        until = begin + len(step.token_ids)
        steps.append(replace(step, readings=tuple(readings[begin:until]) if parts else ()))
        begin = until
    return judge.logit(steps[:-1], steps[-1])


def _read(
    options: argparse.Namespace, policy: Artifact, found: Questions, problems: Sequence[Problem]
) -> list[float]:
    """The reward model's score of every answer, at the same level."""
    path = options.reward
    if path.startswith("reference:"):
        path = ensure(path, policy.level).path
    form = _form(options, policy)
    stop = form.step_stop if form is not None else "\n\n"
    scores = []
    with open_engine(Path(path), OPTIONS) as engine:
        scorer = ProcessRewardScorer(engine, stop)
        for problem, answers in zip(problems, found, strict=True):
            scores += _scored(scorer, problem, answers)
    return scores


def _scored(scorer: Scorer, problem: Problem, answers: Sequence[SampledAnswer]) -> list[float]:
    grown = [Candidate(Branch(n, 0)) for n in range(1, len(answers) + 1)]
    with scorer.open(problem, Branch(0)):
        for depth in range(max((len(one.steps) for one in answers), default=0)):
            rows = [n for n, one in enumerate(answers) if depth < len(one.steps)]
            steps = [answers[n].steps[depth] for n in rows]
            values = scorer.score([grown[n] for n in rows], steps)
            for n, step, value in zip(rows, steps, values, strict=True):
                grown[n] = grown[n].grown(step, value, finished=False)
    return [one.score for one in grown]


def _majority(found: Questions, problems: Sequence[Problem]) -> float:
    right = 0
    for problem, answers in zip(problems, found, strict=True):
        candidates = [Candidate(Branch(n), one.steps) for n, one in enumerate(answers)]
        right += problem.accepts(select(candidates, "majority"))
    return right / len(problems)


def _rebase(
    options: argparse.Namespace,
    policy: Artifact,
    one: Fitted | None,
    problems: Sequence[Problem],
) -> float:
    """Accuracy of REBASE, width 8, under a judge; None is logprob."""
    judge = None if one is None else _judge(policy, one)
    own = "logprob" if judge is None else "self"
    spec = MethodSpec("rebase", 8, max_tokens=options.max_tokens)
    with open_engine(policy.path, OPTIONS, probe=judge) as engine:
        ask_as(engine, _form(options, policy))
        method = build(spec, engine, scorer_of(own, engine, None))
        some = problems[: options.rebase]
        return float(np.mean([p.accepts(method.solve(p, question_seed(0, p.id)).text)
                              for p in some]))  # fmt: skip


def _sampled(
    options: argparse.Namespace, policy: Artifact, layers: Sequence[int], data: Path, count: int
) -> Questions:
    """Answers to the first questions of a file, those that were kept or written now, in parts."""
    options.cache.mkdir(exist_ok=True)
    form = _form(options, policy)
    sampling = Sampling(options.temperature, max_tokens=options.max_tokens)
    opened = replace(OPTIONS, context=options.context, max_branches=2 * options.rows + 2)
    asked = repr((form, sampling, layers)).encode()
    name = f"{policy.path.stem}-{data.stem}-{hashlib.sha256(asked).hexdigest()[:8]}"
    problems, found = read_problems(data, count), Questions()
    for start in range(0, len(problems), PART):
        kept = options.cache / f"{name}-{start}.pkl"
        if not kept.exists():
            some = problems[start : start + PART]
            answers = written(policy.path, form, opened, layers, some, 8, sampling, 0, Progress())
            kept.write_bytes(pickle.dumps(answers))
            print(f"{data.name}: {start + len(some)} of {len(problems)} answered", flush=True)
        found += pickle.loads(kept.read_bytes())
    return found


def _form(options: argparse.Namespace, policy: Artifact) -> PromptFormat | None:
    return changes(options).applied(policy.prompt)


def _shown(line: Line) -> str:
    form: Callable[[Estimate], str] = lambda e: f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]"  # noqa: E731
    rebase = "" if line.rebase is None else f"{line.rebase:.3f}"
    changes = [form(line.changes[base]) if base in line.changes else "" for base in BASES]
    cells = [line.level, line.judge, form(line.auc), *changes, f"{line.best_of:.3f}", rebase]
    return f"| {' | '.join(cells)} |"


def _options() -> argparse.Namespace:
    p = argparse.ArgumentParser()
    p.add_argument("--source", default="reference:policy")
    p.add_argument("--levels", nargs="+", default=["f16", "q8_0", "q4_k_m", "q3_k_s", "q2_k"])
    p.add_argument("--policies", nargs="+", type=Path)
    p.add_argument("--reward")
    p.add_argument("--train", type=Path, required=True)
    p.add_argument("--questions", type=int, default=600)
    p.add_argument("--test", type=Path, required=True)
    p.add_argument("--limit", type=int, default=300)
    p.add_argument("--layers", nargs="+", type=int)
    p.add_argument("--max-tokens", type=int, default=160)
    p.add_argument("--temperature", type=float, default=1.0)
    p.add_argument("--context", type=int, default=8192)
    p.add_argument("--rows", type=int, default=32, help="branches wanted in a call")
    add_prompt(p)
    p.add_argument("--rebase", type=int, default=0)
    p.add_argument("--cache", type=Path, default=Path("judge-samples"))
    p.add_argument("-o", "--output", default="judge_bits.json")
    return p.parse_args()


if __name__ == "__main__":
    main()
