"""The level of a file, whether it tells or not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import gguf
import pytest

from convert.cli import main
from convert.gguf_header import read_header
from convert.gguf_level import level_of
from convert.levels import LEVELS
from convert.order import Order, requantizes
from convert.sources import resolve
from tests.convert.rewritten_gguf import rewrite
from tests.convert.small_gguf import write_small


@pytest.mark.parametrize("level", LEVELS.values(), ids=lambda level: level.name)
def test_it_is_what_the_file_says(tmp_path: Path, level: object) -> None:
    path = write_small(tmp_path / "x.gguf", {"general.file_type": level.ftype})  # type: ignore[attr-defined]
    assert level_of(read_header(path)) == level.name  # type: ignore[attr-defined]


@pytest.mark.parametrize("stated", [None, 1024 + 1, 999])
def test_a_file_that_says_nothing_known(tmp_path: Path, stated: int | None) -> None:
    path = write_small(tmp_path / "x.gguf", {"general.file_type": stated})
    assert level_of(read_header(path)) == "f16"  # as its weights are
    assert requantizes(Order(resolve(str(path)), [LEVELS["q8_0"]], tmp_path)) is None


def test_quantized_weights_tell(reference: Callable[[str, str], Path], tmp_path: Path) -> None:
    source, out = reference("policy", "q4_k_m"), tmp_path / "x.gguf"
    rewrite(source, out, "llama", {}, gguf.GGUFReader(source).tensors)
    content = out.read_bytes().replace(b"general.file_type", b"general.file_typo")
    out.write_bytes(content)
    assert level_of(read_header(out)) == "q4_k"
    warning = requantizes(Order(resolve(str(out)), [LEVELS["q8_0"]], tmp_path))
    assert "already quantized (q4_k" in (warning or "")


@pytest.mark.parametrize(
    ("wide", "said"),
    [
        (512, ""),
        (96, "2 of 16 matrices are q5_0 and q8_0: rows of 96 fit no block of 256"),
        (100, "2 of 16 matrices are f16: rows of 100 fit no block of 256"),
    ],
)
def test_rows_that_fit_no_block_are_told(
    tmp_path: Path,
    tiny: Callable[..., object],
    capsys: pytest.CaptureFixture[str],
    wide: int,
    said: str,
) -> None:
    import transformers as tf

    tiny(tmp_path / "m", tf.LlamaForCausalLM, tf.LlamaConfig, intermediate_size=wide)
    arguments = [str(tmp_path / "m"), "--quant", "q4_k_m", "f16", "-o", str(tmp_path)]
    assert main(arguments) == 0
    quantized, exact = capsys.readouterr().out.splitlines()[1:]
    assert quantized.endswith(f"q4_k_m.gguf ({said})" if said else "q4_k_m.gguf")
    assert exact.endswith("f16.gguf")
    assert main([*arguments, "--force", "--json"]) == 0
    assert [each["note"] for each in json.loads(capsys.readouterr().out)] == [said, ""]
