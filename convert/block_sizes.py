"""How many weights and bytes a block of every ggml type has: gguf's table, and what it lacks.

The package's `__init__` loads tokenizers that nothing here needs, up to 50 MB and a second of them,
so that its file of constants is read alone.
"""

from __future__ import annotations

from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path


def _table() -> dict[int, tuple[int, int]]:
    package = find_spec("gguf")
    assert package is not None
    assert package.origin is not None
    spec = spec_from_file_location("gguf_constants", Path(package.origin).with_name("constants.py"))
    assert spec is not None
    assert spec.loader is not None
    constants = module_from_spec(spec)
    spec.loader.exec_module(constants)
    return {int(kind): sizes for kind, sizes in constants.GGML_QUANT_SIZES.items()}


BLOCKS: dict[int, tuple[int, int]] = {  # ggml type: weights and bytes of a block
    **_table(),
    9: (32, 36),  # q8_1: llama.cpp keeps its two sums in float16, the gguf package in float32
    42: (64, 18),  # q2_0, which the package does not know yet
}
