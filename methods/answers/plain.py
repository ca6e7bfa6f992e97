"""What a model wrote without its dress: Markdown, LaTeX and typographic signs as plain text."""

from __future__ import annotations

import re

GROUP = r"\s*\{([^{}]*)\}"  # an argument without braces of its own
STYLED = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mathsf|operatorname|mbox|hbox|emph"
    r"|underline|bf|bm|boldsymbol)\*?" + GROUP
)
FRACTION = re.compile(r"(?:(\d)\s*)?\\[dtc]?frac(?:" + GROUP * 2 + r"|\s*(\d)\s*(\d))")
SPACES = re.compile(r"\\[,;:!> ]|\\q?quad\b|(?<!\\)~|\{,\}(?=\D)")
SIGNS = {
    "−": "-",
    "–": "-",
    "—": " ; ",
    "﹣": "-",
    "－": "-",
    "＝": "=",
    "⁄": "/",
    "∕": "/",
    "“": '"',
    "”": '"',
    r"\$": "$",
    r"\%": "%",
    r"\pounds": "£",
    r"\times": "*",
    r"\cdot": "*",
    r"\div": "/",
    r"\approx": "≈",
    r"\left": "",
    r"\right": "",
    r"\displaystyle": "",
    r"\(": " ",
    r"\)": " ",
    r"\[": " ",
    r"\]": " ",
    "$$": "$",
    "**": "",
    "__": "",
    "`": "",
    "{,}": ",",
    "{.}": ".",
    "\r": "",
}
SIGN = re.compile("|".join(re.escape(sign) for sign in sorted(SIGNS, key=len, reverse=True)))
TAG = re.compile(r"</?(?:b|i|u|em|strong|sup|sub|p|span|code|answer|br)\s*/?>", re.I)
THIN = "\N{THIN SPACE}"
BRACED = re.compile(r"(?<=[\s$=({]){([^{}\\]*)}|^{([^{}\\]*)}")


def plain(text: str) -> str:
    r"""A text with the same words and numbers in plain characters.

    `\frac{3}{4}` becomes `3/4`, `1{,}234` becomes `1,234`, `\text{18}` and `**18**` become 18,
    U+2212 a hyphen. What is no number stays readable, not valid LaTeX.
    """
    text = SPACES.sub(THIN, text)
    for _ in range(3):  # styles nest
        text, styled = STYLED.subn(r"\1", text)
        text, divided = FRACTION.subn(_divided, text)
        if not styled + divided:
            break
    text = SIGN.sub(lambda found: SIGNS[found[0]], text)
    return TAG.sub("", BRACED.sub(r"\1\2", text))


def _divided(found: re.Match[str]) -> str:
    whole, above, below = found[1], found[2] or found[4], found[3] or found[5]
    simple = all(re.fullmatch(r"\s*-?[\d.]+\s*", part or "") for part in (above, below))
    parts = f"{above.strip()}/{below.strip()}" if simple else f"({above})/({below})"
    return f"{whole} {parts}" if whole else parts


def boxes(text: str) -> list[tuple[int, int, str]]:
    r"""Where each `\boxed{...}` begins and ends, and what stands in it; outermost ones only."""
    found, end = [], 0
    for start in re.finditer(r"\\(?:boxed|fbox|framebox)\s*", text):
        if start.start() < end:
            continue
        if text[start.end() : start.end() + 1] == "{":
            end = _closing(text, start.end())
            inside = text[start.end() + 1 : end - 1] if end else text[start.end() + 1 :]
            end = end or len(text)
        else:
            end = min(start.end() + 1, len(text))
            inside = text[start.end() : end]
        found.append((start.start(), end, inside))
    return found


def _closing(text: str, start: int) -> int:
    """Behind the brace that closes the one at `start`; 0 if none does."""
    depth = 0
    for brace in re.finditer(r"(?<!\\)[{}]", text[start:]):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return start + brace.end()
    return 0
