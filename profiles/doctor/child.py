"""What llama.cpp and onnxruntime say of themselves, asked in a child: a broken one may die."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict


def main() -> int:
    """Print one JSON line for each library that can be asked; returns the exit code."""
    import ctypes

    from convert.bound import missing

    print(json.dumps({"missing": missing()}), flush=True)
    import llama_cpp

    from convert.ggml import library
    from runtime.devices import llama_cards

    base = library("ggml-base")
    base.ggml_commit.restype = base.ggml_version.restype = ctypes.c_char_p
    facts = {
        "commit": base.ggml_commit().decode(),
        "ggml": base.ggml_version().decode(),
        "system": llama_cpp.llama_print_system_info().decode().strip(" |\n"),
        "cards": [asdict(card) for card in llama_cards()],
    }
    print(json.dumps({"llama.cpp": facts}), flush=True)
    print(json.dumps({"onnxruntime": _providers()}), flush=True)
    return 0


def _providers() -> list[str]:
    try:
        import onnxruntime
    except ImportError:
        return []
    return list(onnxruntime.get_available_providers())


if __name__ == "__main__":
    sys.exit(main())
