"""The process that renders chat templates: its limits, its deaths, and that it ends with us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from convert.child import environment
from convert.refusal import Refusal
from runtime import asked
from runtime.chat_template import Limits, Renderer

TOKENS = {"eos_token": "</s>"}


@pytest.fixture
def quick() -> Iterator[Renderer]:
    """A renderer with limits that a test can wait for."""
    renderer = Renderer(Limits(cpu_s=0.3, wall_s=5.0))
    yield renderer
    renderer.close()


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 9 ** (9 ** 9) }}",  # in C: Python looks at no signal meanwhile
        "{% set ns = namespace(x='ab') %}"
        "{% for i in range(40) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
    ],
)
def test_work_without_end_is_stopped(quick: Renderer, template: str) -> None:
    started = time.perf_counter()
    said = "does not end: stopped after 0.3 s of work|needs too much memory"
    with pytest.raises(Refusal, match=said):
        quick.render("m", template, TOKENS)
    assert time.perf_counter() - started < 5
    assert quick.render("m", "{{ eos_token }}", TOKENS) == "</s>"


def test_a_child_that_waits_for_ever_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = "import time; print('{}', flush=True); time.sleep(60)"
    monkeypatch.setattr(asked, "command", lambda *_: [sys.executable, "-c", silent])
    renderer = Renderer(Limits(wall_s=0.2))
    with pytest.raises(Refusal, match="does not end: stopped after 2 s of work"):
        renderer.render("m", "", TOKENS)
    renderer.close()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no signals")
def test_a_child_that_dies_is_named_and_replaced(
    quick: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = "import os; print('{}', flush=True); input(); os.kill(os.getpid(), 9)"
    with monkeypatch.context() as patch:
        patch.setattr(asked, "command", lambda *_: [sys.executable, "-c", dying])
        with pytest.raises(Refusal, match=r"m: .* cannot be rendered: .*SIGKILL while rendering"):
            quick.render("m", "", TOKENS)
        patch.setattr(asked, "command", lambda *_: [sys.executable, "-c", "exit(3)"])
        with pytest.raises(Refusal, match="the process for it ended with code 3"):
            quick.render("m", "", TOKENS)
    assert quick.render("m", "x", TOKENS) == "x"
    child = quick._child._child
    assert child is not None
    os.kill(child.pid, signal.SIGKILL)  # while nobody asks
    child.wait()
    assert quick.render("m", "y", TOKENS) == "y"


def test_threads_get_their_own_answers(quick: Renderer) -> None:
    found: dict[int, list[str]] = {n: [] for n in range(8)}

    def ask(n: int) -> None:
        for k in range(20):
            found[n].append(quick.render("m", f"{n} {k} {{{{ eos_token }}}}", TOKENS))

    threads = [threading.Thread(target=ask, args=(n,)) for n in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: [f"{n} {k} </s>" for k in range(20)] for n in found}


def test_an_interrupt_loses_the_answer_not_the_order(
    quick: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    quick.render("m", "warm", TOKENS)
    with monkeypatch.context() as patch:
        patch.setattr(asked, "_line", interrupted)
        with pytest.raises(KeyboardInterrupt):
            quick.render("m", "first", TOKENS)
    assert quick.render("m", "second", TOKENS) == "second"


PARENT = """\
import os, signal, sys
from runtime import chat_template
chat_template.render("m", "x", {})
child = chat_template._renderer(os.getpid())._child._child
print(child.pid, os.getsid(child.pid) != os.getsid(0), flush=True)
if sys.argv[1] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(os, "getsid"), reason="no sessions")
@pytest.mark.parametrize("ending", ["at the end", "killed"])
def test_the_child_does_not_outlive_us(ending: str, tmp_path: Path) -> None:
    (tmp_path / "jinja2.py").write_text("raise SystemExit('ran the file of the current folder')")
    ran = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", PARENT, ending],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    pid, apart = ran.stdout.split()
    assert apart == "True"  # Ctrl-C of a terminal does not reach it
    assert ran.stderr == ""
    for _ in range(100):
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the child is still there")


def test_the_child_imports_jinja_and_little_else() -> None:
    code = "import sys, runtime.template_child; print(*{m.split('.')[0] for m in sys.modules})"
    ran = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    heavy = {"numpy", "torch", "transformers", "llama_cpp", "convert", "msgspec", "asyncio"}
    assert not heavy & set(ran.stdout.split())
