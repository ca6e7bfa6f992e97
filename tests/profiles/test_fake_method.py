"""A method in one file, a row and a class: `solve`, `profile run`, its worker and the report."""

import json
from pathlib import Path

from methods import cli as solve
from methods.catalog import METHODS, MethodRow, Search
from methods.rebase import Rebase
from profiles import cli as profile
from runtime.engine import Sampling

HERE = Path(__file__).parent
CHILD = "import test_fake_method as t; t.METHODS['calm'] = t.ROW"  # at the worker's start


class CalmTree(Rebase):
    @classmethod
    def build(cls, spec, engine, scorer, watch):
        return cls(engine, scorer, spec.width, Sampling(0.3, 1.0, 96), spec.max_tokens, watch=watch)


SEARCH = Search("calm", "test_fake_method:CalmTree.build", ("width",), scored=True, tree=True)
ROW = MethodRow("calm", "calm tree of {width}", SEARCH, ("weighted", "majority"))


def test_a_row_and_a_class_are_enough(reference, tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / "sitecustomize.py").write_text(CHILD)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{HERE}")
    monkeypatch.syspath_prepend(HERE)
    monkeypatch.setitem(METHODS, "calm", ROW)
    policy, reward = reference("policy", "q8_0"), reference("reward", "q8_0")
    models = ["--policy", str(policy), "--reward", str(reward), "--device", "cpu", "--width", "2"]
    assert solve.main(["What is 2 plus 2?", "--method", "calm", *models]) == 0
    assert "tree of" in capsys.readouterr().out
    asked = ["--methods", "calm", "majority", "--limit", "2", "-o", str(tmp_path / "report")]
    assert profile.main(["run", *asked, "--json", *models]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["method"] for row in rows] == ["calm", "calm-majority", "majority"]
    assert ": calm tree of 2 " in (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
