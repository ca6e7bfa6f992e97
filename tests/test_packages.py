"""What holds for all four packages."""

import ast
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[1]
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


def test_a_public_class_name_means_one_thing() -> None:
    homes: dict[str, list[str]] = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    homes.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}
