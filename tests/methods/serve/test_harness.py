"""lm-evaluation-harness on our engines, and on our server, beside its own `hf` model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from methods.build import MethodSpec, build
from methods.opened import Models
from methods.problem import read_problems
from methods.show import best_path
from runtime.load import open_engine
from tests.conftest import BENCHMARK, REFERENCE

pytest.importorskip("lm_eval")

pytestmark = pytest.mark.filterwarnings("ignore")  # of the harness

TASK = """\
task: starbase_reference
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}\\n"
doc_to_target: "{{{{answer.split('####')[-1].strip()}}}}"
generation_kwargs: {{until: ["\\n\\n\\n"], do_sample: false, max_gen_toks: 256}}
filter_list:
  - name: strict
    filter:
      - {{function: regex, regex_pattern: "The answer is: (-?[0-9.,]+)"}}
      - {{function: take_first}}
metric_list:
  - {{metric: exact_match, aggregation: mean, higher_is_better: true}}
"""
QUESTIONS = 16


@pytest.fixture
def task(tmp_path: Path) -> Any:
    import lm_eval.models  # noqa: F401  # its own models, beside ours
    from lm_eval.tasks import TaskManager

    lines = BENCHMARK.read_text("utf-8").splitlines(keepends=True)
    data = tmp_path / "test.jsonl"
    data.write_text("".join(lines[:QUESTIONS]), "utf-8")
    (tmp_path / "task.yaml").write_text(TASK.format(data=data), "utf-8")
    return TaskManager(include_path=str(tmp_path), include_defaults=False)


def evaluate(model: Any, task: Any, **more: Any) -> float:
    import lm_eval

    found = lm_eval.simple_evaluate(
        model=model, tasks=["starbase_reference"], task_manager=task, bootstrap_iters=0, **more
    )
    return float(found["results"]["starbase_reference"]["exact_match,strict"])


def test_it_gives_what_our_own_run_gives(
    task: Any, reference: Any, tmp_path: Path, server: Any
) -> None:
    """In process, and over HTTP by the harness' own client."""
    from methods.harness import Starbase
    from profiles.cli import main

    policy, out = str(reference("policy", "q4_k_m")), tmp_path / "report"
    run = ["run", "--policy", policy, "--methods", "greedy", "--limit", str(QUESTIONS)]
    assert main([*run, "-o", str(out)]) == 0
    (row,) = json.loads((out / "summary.json").read_text("utf-8"))["rows"]
    assert 0 < row["accuracy"] < 1
    inside = Starbase(policy=policy, method="greedy", branches=1)  # as it is run alone
    address = f"model=policy-q4_k_m,base_url={server.url}/v1/completions,tokenizer_backend=None"
    over = evaluate("local-completions", task, model_args=address, gen_kwargs="method=greedy")
    assert evaluate(inside, task) == over == pytest.approx(row["accuracy"])


def test_a_tree_is_judged_by_whom_it_names(reference: Any) -> None:
    from lm_eval.api.instance import Instance

    from methods.harness import Starbase

    path, problems = reference("policy", "q4_k_m"), read_problems(BENCHMARK, 8)
    named = Starbase(policy=str(path), method="rebase", width=4, reward="logprob", branches=1)
    asked = [
        Instance("generate_until", {"question": p.question}, (f"{p.question}\n", {}), 0)
        for p in problems
    ]
    with Models(open_engine(path), own="logprob") as models:
        method = build(MethodSpec("rebase", 4), models.policy, models.scorer())
        encode = models.policy.tokenizer.encode
        chosen = [
            best_path(method.solve(replace(p, prompt=tuple(encode(f"{p.question}\n"))), 0))
            for p in problems
        ]
    texts = [candidate.text if candidate else "" for candidate in chosen]
    assert named.generate_until(asked, disable_tqdm=True) == texts


def test_loglikelihoods_are_those_of_its_own_model() -> None:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    from methods.harness import Starbase

    pairs = [
        ("Q: Ann has 2 pens and buys 3 more. How many?\nA:", " Step 1: 2 + 3 = 5. ки"),
        ("Q: Ann has 2 pens and buys 3 more. How many?\nA: ", "The answer is: 5"),
        ("", "The answer is: 5"),
    ]
    requests = [
        Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=0) for pair in pairs
    ]
    ours = Starbase(policy=str(REFERENCE / "policy")).loglikelihood(requests, disable_tqdm=True)
    theirs = HFLM(str(REFERENCE / "policy"), device="cpu", dtype="float32", batch_size=1)
    for (found, greedy), (value, best) in zip(
        ours, theirs.loglikelihood(requests, disable_tqdm=True), strict=True
    ):
        assert found == pytest.approx(value, abs=1e-3)
        assert greedy == best
