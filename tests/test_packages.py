"""What holds for all four packages."""

import subprocess
import sys
from importlib.metadata import packages_distributions

PACKAGES = ("convert", "runtime", "methods", "profiles")
BACKENDS = ("torch", "transformers", "onnxruntime", "llama_cpp")


def test_importing_a_package_loads_no_backend() -> None:
    code = f"import sys, {', '.join(PACKAGES)}; print([m for m in {BACKENDS} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_nobody_else_owns_our_names() -> None:
    owners = packages_distributions()
    assert {p: set(owners.get(p, ["starbase-edge"])) for p in PACKAGES} == {
        p: {"starbase-edge"} for p in PACKAGES
    }
