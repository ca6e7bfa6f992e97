"""One pass over a checkpoint writes what llama.cpp's quantizer makes of its f16 file."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import transformers as tf

from convert.build import build
from convert.gguf_header import read_header
from convert.imatrix import read_imatrix
from convert.levels import LEVELS, UNQUANTIZED, Level
from convert.order import Order
from convert.refusal import Refusal
from convert.sources import resolve
from tests.conftest import save_tiny
from tests.convert import stock_llama

QUANTIZED = [level for level in LEVELS.values() if level.name not in UNQUANTIZED]
SLOW = ("iq3_xxs", "iq2_m", "iq2_s", "iq2_xs", "iq2_xxs", "iq1_m", "iq1_s")  # seconds of tables
QUICK = [level for level in QUANTIZED if level.name not in SLOW]
SOME = [LEVELS[n] for n in ("q8_0", "q4_0", "q4_k_m", "q6_k", "q3_k_s", "q2_k", "iq4_xs", "tq1_0")]
SMALL: dict[str, Any] = {"num_hidden_layers": 1, "intermediate_size": 256, "num_key_value_heads": 1}
MODELS: dict[str, tuple[Any, Any, dict[str, Any], list[Level]]] = {
    "all levels": (
        tf.MistralForCausalLM,
        tf.MistralConfig,
        SMALL | {"tie_word_embeddings": True},
        QUICK,
    ),
    "rows of 32s": (tf.Qwen2ForCausalLM, tf.Qwen2Config, {"hidden_size": 96}, SOME),
    "rows of 8s": (
        tf.LlamaForCausalLM,
        tf.LlamaConfig,
        {"hidden_size": 72, "num_attention_heads": 6, "attention_bias": True},
        SOME,
    ),
    "eight layers": (
        tf.LlamaForCausalLM,
        tf.LlamaConfig,
        SMALL | {"num_hidden_layers": 8, "hidden_size": 64},
        [LEVELS[n] for n in ("q4_0", "q5_0", "q4_k_m", "q3_k_m", "iq3_m", "iq4_nl", "iq4_xs")],
    ),
    "llama3 rope": (
        tf.LlamaForCausalLM,
        tf.LlamaConfig,
        {
            "rope_scaling": {
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            }
        },
        SOME[:3],
    ),
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, list[Level]]:
    """A checkpoint, and levels to try."""
    model_class, config_class, changes, levels = MODELS[request.param]
    save_tiny(tmp_path / "model", model_class, config_class, **changes)
    return tmp_path / "model", levels


def write_imatrix(model: Path, out: Path, *, without: str = "", columns: int = 0) -> Path:
    """An importance matrix of a GGUF's matrices, of random numbers."""
    random = np.random.default_rng(0)
    writer = gguf.GGUFWriter(out, "imatrix")
    writer.add_array("imatrix.datasets", ["ä" * 64])  # is cut at 127 bytes
    writer.add_uint32("imatrix.chunk_count", 3)
    for tensor in read_header(model).tensors:
        if len(tensor.shape) > 1 and tensor.name != without:
            size = (1, columns or tensor.shape[-1])
            writer.add_tensor(f"{tensor.name}.in_sum2", random.random(size, np.float32))
            writer.add_tensor(f"{tensor.name}.counts", np.full((1, 1), 3, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


@pytest.mark.parametrize("with_imatrix", [False, True])
def test_bytes_are_those_of_the_two_steps(
    model: tuple[Path, list[Level]], tmp_path: Path, with_imatrix: bool
) -> None:
    compare(*model, tmp_path, with_imatrix=with_imatrix)


@pytest.mark.slow
def test_bytes_of_the_lowest_levels(tmp_path: Path) -> None:
    save_tiny(tmp_path / "model", tf.MistralForCausalLM, tf.MistralConfig, **SMALL)
    levels = [LEVELS[name] for name in SLOW]
    compare(tmp_path / "model", levels, tmp_path, with_imatrix=True)


def compare(source: Path, levels: list[Level], tmp_path: Path, *, with_imatrix: bool) -> None:
    """Our files against those of two steps."""
    (f16,) = build(Order(resolve(str(source)), [LEVELS["f16"]], tmp_path / "f16"))
    options: dict[str, Any] = {}
    path = None
    if with_imatrix:
        path = write_imatrix(f16.path, tmp_path / "matrix.gguf")
        matrix = read_imatrix(path)
        says = {
            "file": path.name,
            "dataset": ("ä" * 64).encode()[:127].decode("utf-8", "ignore"),
            "entries_count": len(matrix.importance),
            "chunks_count": 3,
        }
        options = {"importance": matrix.importance, "says": says}
    levels = [level for level in levels if with_imatrix or not level.needs_imatrix]
    for made in build(Order(resolve(str(source)), levels, tmp_path / "ours", imatrix=path)):
        direct = tmp_path / "direct.gguf"
        stock_llama.quantize(f16.path, direct, LEVELS[made.level].ftype, **options)
        assert made.path.read_bytes() == direct.read_bytes(), made.level


@pytest.fixture
def tiny_f16(tmp_path: Path) -> tuple[Path, Path]:
    """A checkpoint and its f16 file."""
    save_tiny(tmp_path / "model", tf.MistralForCausalLM, tf.MistralConfig, **SMALL)
    (f16,) = build(Order(resolve(str(tmp_path / "model")), [LEVELS["f16"]], tmp_path / "f16"))
    return tmp_path / "model", f16.path


@pytest.mark.parametrize(
    ("wrong", "level", "message"),
    [
        (
            {"without": "blk.0.ffn_up.weight"},
            "q2_k_s",
            "nothing of blk.0.ffn_up.weight, and q2_k_s",
        ),
        ({"columns": 7}, "q4_k_m", "7 columns for .*weight, which has 256: it is of another model"),
    ],
)
def test_an_imatrix_that_does_not_fit_is_refused(
    tiny_f16: tuple[Path, Path], tmp_path: Path, wrong: Any, level: str, message: str
) -> None:
    source, f16 = tiny_f16
    path = write_imatrix(f16, tmp_path / "matrix.gguf", **wrong)
    matrix = read_imatrix(path)
    direct, ftype = tmp_path / "direct.gguf", LEVELS[level].ftype
    with pytest.raises(ValueError, match="refuses"):  # llama.cpp does as well
        stock_llama.quantize(f16, direct, ftype, importance=matrix.importance)
    order = Order(resolve(str(source)), [LEVELS[level]], tmp_path / "out", imatrix=path)
    with pytest.raises(Refusal, match=message):
        build(order)
    assert list((tmp_path / "out").iterdir()) == []


def test_rows_that_have_no_type_are_refused(tmp_path: Path) -> None:
    save_tiny(
        tmp_path / "model", tf.LlamaForCausalLM, tf.LlamaConfig, **SMALL | {"hidden_size": 96}
    )
    with pytest.raises(
        Refusal, match=r"q1_0 needs rows of a multiple of 128 .* has 96; choose q2_0"
    ):
        build(Order(resolve(str(tmp_path / "model")), [LEVELS["q1_0"]], tmp_path / "out"))


def test_pieces_of_any_size_and_any_threads_write_the_same(
    tiny_f16: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = resolve(str(tiny_f16[0]))
    levels = [LEVELS[name] for name in ("q4_k_m", "f16", "f32")]
    once = build(Order(source, levels, tmp_path / "a"))
    monkeypatch.setattr("convert.stream.PIECE_WEIGHTS", 3000)
    monkeypatch.setattr("convert.stream._threads", lambda: 7)
    again = build(Order(source, levels, tmp_path / "b"))
    assert [a.path.read_bytes() for a in once] == [b.path.read_bytes() for b in again]


def test_an_interrupt_does_not_wait_for_a_native_call(
    tiny_f16: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()
    free = threading.Event()

    def hang(*_: Any) -> Any:
        begun.set()
        free.wait(30)
        free.set()

    def interrupt() -> None:
        begun.wait(60)
        time.sleep(0.5)  # by then all is read
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    monkeypatch.setattr("convert.stream.quantized", hang)
    threading.Thread(target=interrupt).start()
    order = Order(resolve(str(tiny_f16[0])), [LEVELS["q8_0"]], tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        build(order)
    assert not free.is_set()
    free.set()
    assert list((tmp_path / "out").iterdir()) == []
