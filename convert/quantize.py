"""llama.cpp's own quantizer, in a child process so that it can be stopped.

`python -m convert.quantize` reads one JSON request from standard input and prints one JSON line for
every tensor it has begun.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from convert.child import command as child_command
from convert.child import environment as child_environment
from convert.deaths import died
from convert.files import full, no_room
from convert.refusal import Refusal

SLAB_BYTES = 512 << 20  # rows of one tensor held at a time


def quantize(
    source: Path,
    out: Path,
    ftype: int,
    *,
    imatrix: Path | None = None,
    requantize: bool = False,
    keep_embedding: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> None:
    """Quantize a GGUF to `out`; byte for byte what llama-quantize writes from the same file.

    With `keep_embedding` as with `--token-embedding-type q8_0`, whatever the level.
    `progress` is called with the name of every tensor as it begins. An interrupt stops the child.

    Raises:
        Refusal: if llama.cpp refuses; its own words.
    """
    request = {
        "source": str(source),
        "out": str(out),
        "ftype": ftype,
        "imatrix": None if imatrix is None else str(imatrix),
        "requantize": requantize,
        "keep_embedding": keep_embedding,
    }
    with _start() as child:
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(json.dumps(request))
            child.stdin.close()
            failure = _follow(child.stdout, progress)
        except BaseException:
            child.kill()
            raise
    if child.returncode:
        raise _failed(source, out, child.returncode, failure)


def _failed(source: Path, out: Path, code: int, said: str) -> Exception:
    """Why the child ended: of a signal, a full disk, or what llama.cpp said."""
    if code < 0:
        return Refusal(f"llama.cpp's quantizer {died(code, f'quantizing {source.name}')}")
    written = out.stat().st_size if out.exists() else 0
    if full(out.parent):
        return no_room(out, written)
    return Refusal(said or f"llama.cpp's quantizer stopped with code {code}")


def _start() -> subprocess.Popen[str]:
    """The child, in a session of its own: Ctrl-C reaches the parent alone, which then kills it."""
    return subprocess.Popen(
        child_command("convert.quantize"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
        env=child_environment(),
    )


def _follow(lines: Any, progress: Callable[[str], None]) -> str:
    """Pass tensor names on; returns what went wrong, if anything."""
    failure = ""
    for line in lines:
        if not line.startswith("{"):
            continue  # not ours
        event = json.loads(line)
        if "tensor" in event:
            progress(event["tensor"])
        failure = event.get("failed", failure)
    return failure


def main() -> int:
    """Serve one request; returns the exit code."""
    import llama_cpp.llama_cpp as llama

    request = json.loads(sys.stdin.read())
    errors: list[str] = []

    def log(level: int, text: bytes, _user_data: Any) -> None:
        line = text.decode("utf-8", "replace").strip()
        if line.startswith("[") and "]" in line and " - [" in line:
            name = line.split("]", 1)[1].split(" - [")[0].strip()
            _tell({"tensor": name})
        elif level == 4 and line:
            errors.append(line.split(": ", 1)[-1])

    callback = llama.llama_log_callback(log)
    llama.llama_log_set(callback, None)
    parameters = llama.llama_model_quantize_default_params()
    parameters.ftype = request["ftype"]
    parameters.allow_requantize = request["requantize"]
    parameters.max_buf_size = SLAB_BYTES
    if request["keep_embedding"]:
        parameters.token_embedding_type = llama.GGML_TYPE_Q8_0
    kept = _attach_imatrix(parameters, request["imatrix"]) if request["imatrix"] else None
    source, out = request["source"].encode(), request["out"].encode()
    code = int(llama.llama_model_quantize(source, out, ctypes.byref(parameters)))
    del kept
    if code:
        reason = errors[-1] if errors else f"code {code}"
        _tell({"failed": f"llama.cpp cannot quantize: {reason}"})
    return code


def _tell(event: dict[str, str]) -> None:
    try:
        print(json.dumps(event), flush=True)
    except OSError:
        os._exit(1)  # the parent is gone: so is the use of this work


def _attach_imatrix(parameters: Any, path: str) -> list[Any]:
    """Point the parameters at an importance matrix; returns what must stay alive meanwhile."""
    import llama_cpp.llama_cpp as llama

    from convert.imatrix import cut, read_imatrix

    matrix = read_imatrix(Path(path))
    floats = ctypes.POINTER(ctypes.c_float)
    entries = (llama.llama_model_imatrix_data * (len(matrix.importance) + 1))()
    for entry, (name, values) in zip(entries, sorted(matrix.importance.items()), strict=False):
        entry.name, entry.size = name.encode(), values.size
        entry.data = values.ctypes.data_as(floats)
    parameters.imatrix = ctypes.cast(entries, ctypes.POINTER(llama.llama_model_imatrix_data))
    overrides = (llama.llama_model_kv_override * 5)()
    facts: dict[str, int | str] = {
        "quantize.imatrix.file": Path(path).name,
        "quantize.imatrix.dataset": matrix.dataset,
        "quantize.imatrix.entries_count": len(matrix.importance),
        "quantize.imatrix.chunks_count": matrix.chunks,
    }
    for override, (key, value) in zip(overrides, facts.items(), strict=False):
        override.key = key.encode()
        if isinstance(value, int):
            override.tag, override.value.val_i64 = llama.LLAMA_KV_OVERRIDE_TYPE_INT, value
        else:
            override.tag = llama.LLAMA_KV_OVERRIDE_TYPE_STR
            override.value.val_str = cut(value).encode()
    parameters.kv_overrides = ctypes.cast(overrides, type(parameters.kv_overrides))
    return [matrix, entries, overrides]


if __name__ == "__main__":
    sys.exit(main())
