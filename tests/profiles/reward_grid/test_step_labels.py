"""Labels of steps equal those that the reference reward model was trained on."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

from profiles.reward_grid.step_labels import label_steps, read_gold_values
from runtime.engine import Step

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs" / "reference-models"
BENCHMARK = ROOT / "convert" / "reference" / "benchmark.jsonl"


def test_labels_equal_those_the_reward_model_was_trained_on(solutions: list[str]) -> None:
    grading = _grading()
    gold = read_gold_values(BENCHMARK)
    for number, text in enumerate(solutions[:60]):
        answers = json.loads(BENCHMARK.read_text().splitlines()[number])["answer"]
        assert list(gold[str(number)]) == grading.gold_values(answers)
        early = text.replace(" ки", f" The answer is: {gold[str(number)][-1]} ки", 1)
        wrong = (
            text.replace("= 1", "= 2", 1),
            text.replace("ки\n", "ки\nStep 9: 1 + 1 = 2 ки\n", 1),
            early,
        )
        for solution in (text, *wrong, text[: len(text) // 2]):
            parts = solution.split("ки")
            steps = [Step(part + "ки", (), (), "stop") for part in parts[:-1]]
            labels = label_steps([*steps, Step(parts[-1], (), (), "length")], gold[str(number)])
            assert labels[-1] is None
            assert labels[:-1] == [
                bool(x) for x in grading.label_steps(solution, gold[str(number)])
            ]


def _grading() -> ModuleType:
    sys.path.insert(0, str(DOCS))
    try:
        spec = importlib.util.spec_from_file_location("grading", DOCS / "grading.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(DOCS))
    return module
