"""A method in one file, a row and a class: `solve`, `profile run`, its worker and the report."""

from pathlib import Path

from methods import arguments, catalog
from methods import cli as solve
from methods.rebase import Rebase
from profiles import cli as profile
from runtime.engine import Sampling

HERE = Path(__file__).parent
CHILD = "import test_fake_method as t; t.catalog.METHODS['calm'] = t.ROW"  # at the worker's start


class CalmTree(Rebase):
    @classmethod
    def build(cls, spec, engine, scorer, watch):
        step = Sampling(spec.own["heat"], 1.0, 96)
        return cls(engine, scorer, spec.width, step, spec.max_tokens, watch=watch)


BUILDER, HEAT = "test_fake_method:CalmTree.build", catalog.Option("heat", arguments.real, 0.3, "")
SEARCH = catalog.Search("calm", BUILDER, ("width",), (HEAT,), scored=True, tree=True)
ROW = catalog.MethodRow("calm", "calm tree of {width}", SEARCH, ("weighted", "majority"))


def test_a_row_and_a_class_are_enough(reference, tmp_path, monkeypatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(CHILD)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{HERE}")
    monkeypatch.syspath_prepend(HERE)
    monkeypatch.setitem(catalog.METHODS, "calm", ROW)
    models = [f"--{role}={reference(role, 'q8_0')}" for role in ("policy", "reward")]
    models += ["--device=cpu", "--width=2", "--heat=0.5"]
    assert solve.main(["What is 2 plus 2?", "--method=calm", *models]) == 0
    run = ["run", "--methods", "calm", "majority", "--limit=2", f"-o{tmp_path}/out", *models]
    assert profile.main(run) == 0
    report = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    said = ("| calm tree of 2 ", "| calm tree of 2, majority ", ": calm tree of 2 ", "heat 0.5")
    assert [text for text in said if text not in report] == []
