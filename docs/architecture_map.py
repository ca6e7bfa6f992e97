"""The map in architecture.md: a line a module, taken from the modules themselves.

python docs/architecture_map.py
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- map: python docs/architecture_map.py -->\n", "<!-- end of the map -->\n"
PACKAGES = ("convert", "runtime", "methods", "profiles")
HIDDEN = ("__init__.py", "__main__.py")


def lines() -> Iterator[str]:
    for package in PACKAGES:
        folders = [ROOT / package, *sorted(p for p in (ROOT / package).iterdir() if p.is_dir())]
        for folder in folders:
            modules = sorted(folder.glob("*.py"))
            if not any(module.name == "__init__.py" for module in modules):
                continue
            yield f"\n**`{folder.relative_to(ROOT).as_posix()}/`** {said(folder / '__init__.py')}\n"
            yield from (f"- `{m.stem}`: {said(m)}" for m in modules if m.name not in HIDDEN)


def said(module: Path) -> str:
    """The first paragraph of a module's docstring in one line."""
    text = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())


def page(text: str) -> str:
    """The page with the map of now."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + "\n".join(lines()).lstrip("\n") + "\n\n" + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
