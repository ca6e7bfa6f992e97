"""Folders, names and files that mean harm, or were mutated by hand: one line, and nothing runs."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from profiles import documents
from profiles.cli import main
from profiles.records import stored_run
from profiles.records.configuration import Configuration
from profiles.records.record import open_records, read_records
from profiles.report.columns import text_table
from profiles.report.summary import summarize
from profiles.tree.stored_trees import tree_line, trees_path
from tests.conftest import BENCHMARK
from tests.profiles.conftest import make_configuration, make_process, make_record, store_run
from tests.profiles.tree.test_tree import SEARCH

HOSTILE = "\x1b]0;x\x07\x9b31m"
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 10**30, 1e308, float("nan"), float("inf"), "", "\ud800", "../../x", HOSTILE,
    [], [[]], {}, {"a": None}, "x" * 5000,
)  # fmt: skip


def test_a_folder_with_our_module_names_runs_nothing(
    tmp_path: Path, reference: Callable[[str, str], Path]
) -> None:
    """The console script itself, started where files of our names and the library's lie."""
    models = [str(reference(role, "q8_0")) for role in ("policy",)]
    trap = "from pathlib import Path\nPath(__file__).with_name('marker').touch()\n"
    for name in ("profiles", "convert", "methods", "runtime", "json", "numpy", "filelock"):
        (tmp_path / f"{name}.py").write_text(trap, encoding="utf-8")
    command = [str(Path(sys.executable).with_name("profile")), "run", "--limit", "1"]
    command += ["--levels", "q8_0", "--methods", "greedy", "--no-baseline", "--device", "cpu"]
    done = subprocess.run(
        [*command, "--policy", *models, "-o", "out"],
        cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "marker").exists()
    assert (tmp_path / "out" / "summary.json").exists()


def test_no_escape_sequence_reaches_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = make_configuration("rebase", level="q8_0")
    hostile = f"={HOSTILE}.gguf"
    process = make_process("q8_0")
    object.__setattr__(process.policy, "name", hostile)
    object.__setattr__(process.policy, "level", f"q8{HOSTILE}")
    records = [make_record(n, made, dict.fromkeys(made.selections, True)) for n in range(3)]
    store_run(tmp_path / "report", [(made, process, records)])
    assert HOSTILE in text_table(summarize(tmp_path / "report").rows)
    for extra in ([], ["--json"]):
        assert main(["report", str(tmp_path / "report"), *extra]) == 0
        said = capsys.readouterr()
        assert "\\u001b]0;x\\u0007" in said.out
        assert not {"\x1b", "\x07", "\x9b"} & set(said.out + said.err)
    table = (tmp_path / "report" / "summary.csv").read_text(encoding="utf-8")
    assert f"'{hostile}" in table


def test_a_spreadsheet_computes_nothing() -> None:
    rows = [
        {"name": text, "delta": -0.5, "n": 3} for text in ("=1+1", "+1", "-1", "@x", "\tx", "ok")
    ]
    lines = documents.csv_text(rows).splitlines()
    assert lines[0] == "name,delta,n"
    assert [line.split(",")[0] for line in lines[1:]] == [
        "'=1+1",
        "'+1",
        "'-1",
        "'@x",
        "'\tx",
        "ok",
    ]
    assert all(line.endswith(",-0.5,3") for line in lines[1:])


def mutated(document: Any, draw: random.Random) -> Any:
    """A document of which one place has another value, is gone, or has a new neighbour."""
    if isinstance(document, dict) and document and draw.random() < 0.9:
        key = draw.choice(list(document))
        roll = draw.random()
        if roll < 0.1:
            return {k: v for k, v in document.items() if k != key}
        if roll < 0.15:
            return {**document, draw.choice(["", "x", HOSTILE]): draw.choice(VALUES)}
        return {**document, key: mutated(document[key], draw)}
    if isinstance(document, list) and document and draw.random() < 0.9:
        place = draw.randrange(len(document))
        if draw.random() < 0.15:
            return document[:place] + document[place + draw.randrange(2) :] + document[:1]
        return [*document[:place], mutated(document[place], draw), *document[place + 1 :]]
    return draw.choice(VALUES)


def broken(content: bytes, draw: random.Random) -> bytes:
    """A file of JSON, one document or one a line, with a fault in it."""
    lines = content.splitlines(keepends=True) if content.count(b"\n{") else [content]
    place = draw.randrange(len(lines))
    roll = draw.random()
    if roll < 0.75:
        found = json.loads(lines[place])
        for _ in range(draw.randrange(1, 3)):
            found = mutated(found, draw)
        lines[place] = json.dumps(found).encode() + b"\n"
    elif roll < 0.85:
        where = draw.randrange(len(lines[place]))
        lines[place] = lines[place][:where] + draw.randbytes(3) + lines[place][where:]
    else:
        lines[place] = draw.choice([b"", b"\n", b"null\n", b"[" * 100_000 + b"\n", b"\xff\n"])
    return b"".join(lines)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A run of two levels and three searches, its trees, and its report."""
    measured = []
    for level in ("f32", "q8_0"):
        for search in ("greedy", "sample", "rebase"):
            made = make_configuration(search, level)
            right = dict.fromkeys(made.selections, level == "f32")
            records = [make_record(n, made, right) for n in range(4)]
            measured.append((made, make_process(level, judged=search != "greedy"), records))
    folder = tmp_path / "report"
    store_run(folder, measured)
    for made, _, _ in measured:
        if made.spec.search == "rebase":
            trees = "".join(tree_line(str(n), SEARCH) for n in range(4))
            trees_path(stored_run.records_path(folder, made)).write_text(trees, encoding="utf-8")
    assert main(["report", str(folder)]) == 0
    return folder


def files(folder: Path) -> Iterator[Path]:
    yield from sorted([*folder.rglob("*.json"), *folder.rglob("*.jsonl")])


def test_what_was_mutated_by_hand_is_one_line_or_still_a_report(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Any other exception than a refusal would come out of `main`."""
    count = int(os.environ.get("MUTATIONS", "60"))
    for seed in range(count):
        draw = random.Random(seed)
        path = draw.choice([p for p in files(small) if seed % 3 or p.name == "run.json"])
        before = path.read_bytes()
        path.write_bytes(broken(before, draw))
        for command in commands(path, small):
            capsys.readouterr()
            code = main(command)
            err = capsys.readouterr().err
            assert code in (0, 1), (seed, command)
            errors = [line for line in err.splitlines() if "error:" in line]
            assert len(errors) == code, (seed, command, err)
            assert "Traceback" not in err
        path.write_bytes(before)


def commands(path: Path, folder: Path) -> list[list[str]]:
    if path.name == "summary.json":
        return [["recommend", str(folder)]]
    if path.name.endswith(".trees.jsonl"):
        page = ["-o", str(folder.parent / "page.html"), "--force"]
        return [["tree", str(path), "--question", "2", *page], ["report", str(folder)]]
    return [["recommend", str(folder)], ["report", str(folder)]]


@pytest.mark.parametrize("name", ["run.json", "summary.json", "records/x.jsonl", "search.json"])
def test_what_has_no_end_is_not_read(
    small: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = json.loads((small / "run.json").read_text(encoding="utf-8"))["configurations"][0]
    path = small / name.replace("/x", f"/{first}")
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    command = {"summary.json": "recommend", "search.json": "tree"}.get(name, "report")
    assert main([command, str(path if command == "tree" else small)]) == 1
    assert "is a pipe or a device; give a file" in capsys.readouterr().err


def test_a_doubled_record_counts_once(tmp_path: Path) -> None:
    made = make_configuration("greedy")
    right, wrong = (make_record(1, made, {"greedy": x}) for x in (True, False))
    store_run(tmp_path / "r", [(made, make_process(), [right, right, wrong])])
    (row,) = summarize(tmp_path / "r").rows
    assert (row.n, row.accuracy.value) == (1, 1.0)


def test_a_full_disk_names_the_file_and_leaves_whole_lines(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk."""
    program = f"""
import resource, sys
from pathlib import Path
from profiles.records.record import open_records
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
path = Path({str(tmp_path / "r.jsonl")!r})
with open_records(path) as lines:
    lines.write("x" * 59 + "\\n")
    try:
        lines.write("y" * 59 + "\\n")
    except OSError as error:
        print(error.filename or error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, encoding="utf-8",
        check=True, cwd=BENCHMARK.parents[2],
    )  # fmt: skip
    assert done.stdout.strip() == str(tmp_path / "r.jsonl")
    assert (tmp_path / "r.jsonl").read_bytes() == b"x" * 59 + b"\n"


@pytest.mark.parametrize("record_id", ["x", "-1", "\u0661", ""])
def test_an_id_is_a_line_of_the_questions(tmp_path: Path, record_id: str) -> None:
    made: Configuration = make_configuration("greedy")
    with open_records(tmp_path / "r.jsonl") as lines:
        lines.write(make_record(1, made, {"greedy": True}, id=record_id).line())
    with pytest.raises(ValueError, match="is no line of a file"):
        read_records(tmp_path / "r.jsonl")
