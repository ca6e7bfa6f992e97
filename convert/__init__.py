"""A checkpoint becomes an artifact: GGUF or ONNX at a chosen quantization level."""

import contextlib
import ctypes
import os
import sys

# Libraries read these when they load. OpenMP's threads wait in a spin: with the default count one
# busy neighbour costs a decode loop 13 times its time on two cores (docs/runtime.md). And ggml
# would start a debugger on the pipes of a process that dies.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
os.environ.setdefault("GGML_NO_BACKTRACE", "1")
# A llama.cpp of which only some libraries hold a C++ runtime of their own (seen with CUDA) dies at
# its first number in a text, unless all of them find the same one (docs/reliability.md).
if sys.platform == "linux":
    with contextlib.suppress(OSError):
        ctypes.CDLL("libstdc++.so.6", mode=ctypes.RTLD_GLOBAL)
