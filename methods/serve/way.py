"""How a request is answered: method, width and thinking, by the most specific of four ways.

The path (`/v1/rebase/chat/completions`) wins over fields of the body, they over the model's suffix
(`NAME:rebase-16-think`), it over the server's default. Without a method the model just completes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from methods.catalog import MAJORITY, METHODS, REBASE
from methods.serve.errors import ApiError, bad
from methods.serve.fields import CompletionBody, Effort
from runtime.options import Thinking

PLAIN = "plain"  # no method: a completion as any server gives it
WIDTHS = (8, 16)  # that the list of models offers
EFFORTS: dict[Effort, tuple[int, Thinking]] = {
    "none": (1, "off"),
    "minimal": (1, "gated"),
    "low": (4, "gated"),
    "medium": (8, "gated"),
    "high": (16, "on"),
    "xhigh": (32, "on"),
    "max": (64, "on"),
}


@dataclass(frozen=True, slots=True)
class Served:
    """What a server can do."""

    name: str  # of the policy
    judged: bool  # by a reward model
    thinks: bool
    most_width: int

    def methods(self) -> list[str]:
        """Methods that can run here."""
        return [name for name, row in METHODS.items() if self.judged or not row.needs_reward]

    def ids(self) -> Iterator[str]:
        """Model ids that name a method, for programs that can choose a model and nothing else."""
        yield self.name
        for name in self.methods():
            row = METHODS[name]
            wide = "width" in row.search.reads
            for suffix in [f"{name}-{width}" for width in WIDTHS] if wide else [name]:
                yield f"{self.name}:{suffix}"
                if self.thinks:
                    yield f"{self.name}:{suffix}-think"


@dataclass(frozen=True, slots=True)
class Way:
    """A way to answer."""

    method: str = PLAIN
    width: int = 8
    think: Thinking = "off"

    @property
    def plain(self) -> bool:
        return self.method == PLAIN


def choose(
    body: CompletionBody, path: str | None, effort: Effort | None, served: Served, default: Way
) -> Way:
    """The way that a request asks for.

    Raises:
        ApiError: for a model, method or width that is not served; names what is.
    """
    chosen = _by_suffix(body.model, served, default)
    if effort is not None:
        chosen = _by_effort(effort, chosen, served)
    if method := path or body.method:
        chosen = replace(chosen, method=_known(method, served, "method"))
    if body.width is not None:
        chosen = replace(chosen, width=body.width)
    if body.think is not None:
        think: Thinking = (
            ("on" if body.think else "off") if isinstance(body.think, bool) else body.think
        )
        chosen = replace(chosen, think=think)
    if chosen.think != "off" and not served.thinks:
        raise bad(f"{served.name} is no Quiet-STaR model: it cannot think; choose off", "think")
    if not chosen.plain and chosen.width > served.most_width:
        raise bad(
            f"width {chosen.width} is more than this server has branches for; choose "
            f"{served.most_width} at most, or start it with a larger --branches",
            "width",
        )
    return chosen


def _by_suffix(model: str, served: Served, default: Way) -> Way:
    if model in ("", served.name):
        return default
    name, _, suffix = model.rpartition(":")
    if name != served.name:
        raise unknown_model(model)
    method = max(
        (m for m in (*METHODS, PLAIN) if f"{suffix}-".startswith(f"{m}-")), key=len, default=""
    )
    chosen = replace(default, method=method)
    for word in suffix[len(method) :].split("-")[1:]:
        if word.isascii() and word.isdigit() and 0 < int(word[:6]) <= served.most_width:
            chosen = replace(chosen, width=int(word))
        elif word == "think":
            chosen = replace(chosen, think="on")
        elif word == "gated":
            chosen = replace(chosen, think="gated")
        else:
            raise unknown_model(model)
    if method not in (*served.methods(), PLAIN):
        raise unknown_model(model)
    return chosen


def _by_effort(effort: Effort, chosen: Way, served: Served) -> Way:
    """More effort is a wider search, and thoughts where the model has them."""
    width, think = EFFORTS[effort]
    width, method = min(width, served.most_width), chosen.method
    if chosen.plain and width > 1:
        method = REBASE.name if served.judged else MAJORITY.name
    if width == 1:
        method = PLAIN
    return Way(method, width, think if served.thinks else "off")


def _known(method: str, served: Served, param: str) -> str:
    if method == PLAIN or method in served.methods():
        return method
    choices = ", ".join((PLAIN, *served.methods()))
    if method in METHODS:
        raise bad(
            f"{method} needs a reward model and this server has none; choose {choices}", param
        )
    raise bad(f"unknown method {method[:40]!r}; choose {choices}", param)


def unknown_model(model: str) -> ApiError:
    """No such id."""
    return ApiError(
        404,
        f"the model {model[:80]!r} does not exist; GET /v1/models lists those that do",
        "model",
        "model_not_found",
    )
