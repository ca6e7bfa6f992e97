"""Flags of the options that single searches have."""

from __future__ import annotations

import argparse

from methods.catalog import own_options


def add_own_options(group: argparse._ArgumentGroup) -> None:
    """The options of single searches."""
    for option in own_options():
        said = f"{option.help} (default: {option.default:g})"
        group.add_argument(f"--{option.name}", type=option.read, metavar="X", help=said)


def own_values(options: argparse.Namespace) -> dict[str, float]:
    """Those that were given, by name."""
    found = {o.name: getattr(options, o.name.replace("-", "_")) for o in own_options()}
    return {name: value for name, value in found.items() if value is not None}
