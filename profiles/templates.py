"""The pages' templates: escaped, strict about names, read from this package."""

from __future__ import annotations

from importlib.resources import files

import jinja2


def render(name: str, **values: object) -> str:
    """A template filled in."""
    return _environment().get_template(name).render(**values)


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.FunctionLoader(
            lambda name: (files("profiles") / name).read_text(encoding="utf-8")
        ),
    )
