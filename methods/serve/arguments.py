"""The arguments of `serve`."""

from __future__ import annotations

import argparse

from methods import arguments as kinds
from methods.catalog import METHODS
from methods.solve_arguments import add_models

EPILOG = """\
Without --policy the reference models are served; they are converted on first use.

examples:
  serve
  serve --policy models/mistral-q4_k_m.gguf --reward models/shepherd-q4_k_m.gguf
  curl 127.0.0.1:8080/v1/chat/completions -H 'content-type: application/json' -d \\
    '{"messages": [{"role": "user", "content": "..."}], "method": "rebase", "width": 16}'
"""


def parser() -> argparse.ArgumentParser:
    """The command line of `serve`."""
    p = kinds.Parser(
        prog="serve",
        description="Serve a model in OpenAI's form, with method, width and thinking as fields.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    models = p.add_argument_group("models")
    add_models(models)
    models.add_argument(
        "--branches",
        type=kinds.paths,
        metavar="N",
        default=64,
        help="texts in memory at once, all requests together; a search holds two for each of its "
        "paths (default: 64)",
    )
    door = p.add_argument_group("server")
    door.add_argument("--host", default="127.0.0.1", help="default: this machine alone")
    door.add_argument("--port", type=kinds.whole(0, 65535), default=8080)
    door.add_argument(
        "--api-key", action="append", metavar="KEY", default=[], help="asked for; may be repeated"
    )
    door.add_argument(
        "--allowed-host",
        action="append",
        metavar="NAME",
        default=[],
        help="a name the server is reached by, beside this machine's own",
    )
    door.add_argument(
        "--cors-origin",
        action="append",
        metavar="ORIGIN",
        help="pages that may ask (default: those of this machine)",
    )
    door.add_argument(
        "--queue", type=kinds.whole(1, 10_000), default=64, help="requests that wait (default: 64)"
    )
    door.add_argument(
        "--grace",
        type=kinds.real,
        metavar="SECONDS",
        default=10.0,
        help="for requests under way when the server is stopped (default: 10)",
    )
    door.add_argument("--access-log", action="store_true", help="a line a request on stderr")
    default = p.add_argument_group("where a request does not say")
    default.add_argument(
        "--method",
        choices=("plain", *METHODS),
        default="plain",
        help="default: plain, a mere completion",
    )
    default.add_argument("--width", type=kinds.paths, metavar="N", default=8)
    default.add_argument("--think", choices=("off", "on", "gated"), default="off")
    default.add_argument("--max-tokens", type=kinds.tokens, metavar="N", default=512)
    return p
