"""Footprints against llama.cpp's own buffers, and against what a process then holds."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convert.units import GIB, MIB
from profiles.plan.model_tensors import KNOWN, model_tensors
from runtime import devices
from runtime.footprint import MARGIN_BYTES, PROCESS_BYTES, Footprint, Load, footprint
from runtime.load import EngineOptions, open_engine
from runtime.options import Thinking
from tests.conftest import ROOT
from tests.runtime.ghost import dry_context, log, mib, quantize_pure, write_ghost

Reference = Callable[[str, str], Path]
LOGGED = 0.006  # MiB: the log has two decimals
CONTEXTS = ((256, 4), (1024, 34), (3000, 34), (2048, 256), (16384, 66), (32768, 130))


def of_file(path: Path, load: Load) -> Footprint:
    model = model_tensors(str(path))
    assert model.types is not None
    return footprint(model.tensors, model.types, model.shape, load)


@pytest.mark.parametrize("kv_type", ["f16", "q8_0", "q4_0"])
@pytest.mark.parametrize("name", KNOWN)
def test_buffers_are_those_that_llama_cpp_reserves(name: str, kv_type: Any, tmp_path: Path) -> None:
    model = model_tensors(name)
    ghost = write_ghost(tmp_path / "ghost.gguf", model)
    for cells, branches in CONTEXTS:
        load = Load(cells, branches, tokens=1, rows=branches, kv_type=kv_type)
        found = footprint(model.tensors, model.types_at("f16"), model.shape, load)
        compute, kv, rows = dry_context(ghost, load)
        assert found.compute / MIB == pytest.approx(compute, abs=2 * LOGGED)
        assert found.kv / MIB == pytest.approx(kv, abs=LOGGED)
        assert found.rows / MIB == pytest.approx(rows, abs=LOGGED)


@pytest.mark.parametrize("level", ["f16", "q8_0", "q4_0", "q4_0 pure", "q4_k_m", "q2_k"])
def test_an_opened_engine_logs_what_was_foretold(
    reference: Reference, level: str, tmp_path: Path
) -> None:
    if level == "q4_0 pure":  # the output projection too, which is then repacked
        path = quantize_pure(reference("reward", "f16"), tmp_path / "pure.gguf", 2)
    else:
        path = reference("reward", level)
    found = of_file(path, Load(3000, 18, tokens=100, rows=18))
    with log() as lines:
        options = EngineOptions(device="cpu", threads=1, context=3000, max_branches=18)
        _open_logged(path, options).close()
    mapped = mib(lines, "CPU_Mapped model buffer size")
    if "pure" not in level:  # else the file's end is repacked, and not mapped any more
        assert found.weights / MIB == pytest.approx(mapped, rel=0.05)
    assert (sum(found.repacked) + found.repacked_output) / MIB == pytest.approx(
        mib(lines, "CPU_REPACK model buffer size"), abs=LOGGED
    )
    assert found.kv / MIB == pytest.approx(mib(lines, "CPU KV buffer size"), abs=LOGGED)
    assert found.compute / MIB == pytest.approx(mib(lines, "CPU compute buffer size"), abs=LOGGED)


def _open_logged(path: Path, options: EngineOptions) -> Any:
    """An engine whose opening leaves the log where it is."""
    from convert import llama_log

    capture = llama_log.capture
    llama_log.capture = lambda: None
    try:
        return open_engine(path, options)
    finally:
        llama_log.capture = capture


def test_layers_on_a_card_and_in_main_memory_add_up() -> None:
    model = model_tensors("mistral-7b")
    load = Load(4096, 34, tokens=512, rows=16)
    found = footprint(model.tensors, model.types_at("q4_k_m"), model.shape, load)
    assert found.card_bytes(0) == 0
    assert found.card_bytes(1) == found.output + found.compute  # llama.cpp starts with the output
    steps = [found.card_bytes(n + 1) - found.card_bytes(n) for n in range(1, 33)]
    kv = found.kv / 32
    assert steps == pytest.approx([size + kv for size in reversed(found.layers)], abs=2)
    assert found.card_bytes(33) == found.weights - found.embedding + found.kv + found.compute
    whole = found.ram_bytes(33)
    assert whole == found.embedding + found.rows + found.tables
    assert [found.ram_bytes(n) for n in range(34)] == sorted(
        (found.ram_bytes(n) for n in range(34)), reverse=True
    )


def test_a_tied_output_is_on_the_card_a_second_time() -> None:
    model = model_tensors("llama-3.2-1b")
    found = footprint(
        model.tensors, model.types_at("q8_0"), model.shape, Load(1024, 18, tokens=128, rows=8)
    )
    assert found.card_bytes(17) > found.weights + found.kv
    assert found.ram_bytes() < found.weights + found.kv + found.compute_used + (80 << 20)


PROGRAM = """
import json, sys
from pathlib import Path
import llama_cpp.llama_cpp as llama
import psutil
from runtime.load import EngineOptions, describe_model, open_engine
path, think = Path(sys.argv[1]), sys.argv[2]
cells, branches, width, length = map(int, sys.argv[3:])
llama.llama_backend_init()
describe_model(path)  # loads what reads manifests
process = psutil.Process()
before = process.memory_info().rss
options = EngineOptions(
    device="cpu", threads=1, context=cells, max_branches=branches, think=think
)
with open_engine(path, options) as engine:
    with engine.open(list(range(5, 105))) as root:
        paths = engine.fork(root, width)
        engine.feed(paths, [list(range(5, 5 + length))] * width)
        engine.feed(paths, [[7]] * width)
        print(json.dumps([before, process.memory_info().rss]))
"""


def resident(
    path: Path, cells: int, branches: int, width: int, length: int, think: Thinking = "off"
) -> tuple[int, int]:
    """Bytes of a process before a model is opened, and after one step and one token of `width`."""
    command = [sys.executable, "-c", PROGRAM, str(path), think]
    command += [str(n) for n in (cells, branches, width, length)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    before, after = json.loads(done.stdout.splitlines()[-1])
    return before, after


@pytest.mark.slow
def test_a_process_holds_what_was_foretold(tiny: Callable[..., Any], tmp_path: Path) -> None:
    """Models of 88 M weights, of a shape that no constant was measured on."""
    from transformers import MistralConfig, MistralForCausalLM

    from convert.ensure import ensure_all

    sizes = {"hidden_size": 768, "intermediate_size": 2816, "num_hidden_layers": 9}
    heads = {"num_attention_heads": 12, "num_key_value_heads": 4}
    tiny(tmp_path / "source", MistralForCausalLM, MistralConfig, **sizes, **heads)
    levels = ["f16", "q8_0", "q4_0"]  # the last one is repacked where the processor likes that
    for artifact in ensure_all(str(tmp_path / "source"), levels, tmp_path / "made"):
        before, after = resident(artifact.path, 4096, 34, 16, 40)
        found = of_file(artifact.path, Load(4096, 34, tokens=16 * 40, rows=16))
        assert after - before == pytest.approx(found.ram_bytes(), rel=0.05), artifact.level
        assert before == pytest.approx(PROCESS_BYTES, rel=0.25)


@pytest.mark.gpu
def test_a_card_holds_what_was_foretold(tiny: Callable[..., Any], tmp_path: Path) -> None:
    if not devices.llama_cards():
        pytest.skip("no CUDA card, or llama.cpp was built without CUDA")
    from transformers import MistralConfig, MistralForCausalLM

    from convert.ensure import ensure

    sizes = {"hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22}
    heads = {"num_attention_heads": 32, "num_key_value_heads": 4}
    tiny(tmp_path / "source", MistralForCausalLM, MistralConfig, **sizes, **heads)
    path = ensure(str(tmp_path / "source"), "f16", tmp_path / "made").path
    options = EngineOptions(device="cuda", context=16384, max_branches=34, gpu_layers=23)
    open_engine(path, options).close()  # the context of CUDA itself stays
    free = devices.llama_cards()[0].free_bytes
    with open_engine(path, options):
        held = free - devices.llama_cards()[0].free_bytes
    found = of_file(path, Load(16384, 34, tokens=512, rows=16))
    assert held == pytest.approx(found.card_bytes(23), rel=0.05)


def test_layers_that_fit_leave_a_margin() -> None:
    """Of a 7B at q4_k_m."""
    model = model_tensors("mistral-7b")
    load = Load(cells=8192, branches=16, tokens=512, rows=16)
    found = footprint(model.tensors, model.types_at("q4_k_m"), model.shape, load)
    assert found.layers_that_fit(24 * GIB) == 33
    assert found.layers_that_fit(GIB) == 0
    for free in range(GIB, 8 * GIB, GIB // 4):
        fitting = found.layers_that_fit(free)
        assert fitting == 0 or found.card_bytes(fitting) + MARGIN_BYTES <= free
        assert fitting == 33 or found.card_bytes(fitting + 1) + MARGIN_BYTES > free
