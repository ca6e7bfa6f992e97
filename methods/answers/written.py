"""Numbers as people write them, each with one normal form."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

MAX_DIGITS = 400  # of a number that is calculated with; a longer one stands as it is written
MAX_EXPONENT = 300
SCALES = {"hundred": 2, "k": 3, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}

SPACE = "[ \u00a0\u2009\u202f]"  # between groups of three digits
CURRENCY = r"(?:(?:US|CA|AU|NZ|HK|C|A)?[$€£¥₹]{1,2}|(?:USD|EUR|GBP|INR|Rs\.?)[ \u00a0\u2009]?)"
GROUPED = (
    r"[1-9]\d{0,2}(?:\.\d{3})+,\d+(?![\d,])"  # 1.234,5
    r"|[1-9]\d{0,2}(?:\.\d{3}){2,}(?!\d)"  # 1.234.567
    rf"|[1-9]\d{{0,2}}(?:{SPACE}\d{{3}})+(?!\d|/)(?:[.,]\d+)?"  # 1 234,5
    r"|[1-9]\d{0,2}(?:['’]\d{3})+(?!\d)(?:\.\d+)?"  # 1'234
    r"|[1-9]\d?(?:,\d\d)+,\d{3}(?![\d,])(?:\.\d+)?"  # 12,34,567
    r"|[1-9]\d*(?:,\d{3})+(?!\d)(?:\.\d+)?"  # 1,234.5
)
SIMPLE = r"\d+\.\d+|(?<!\d,)\d+,\d++(?!,\d)|\.\d+|\d+"  # 12.5, 12,5, .5, 12
NUMBER = re.compile(
    rf"""(?<![A-Za-z0-9_^]) (?<!\d\.) (?<!\^\{{) (?<!\d/)
    (?P<minus>(?<![)\]%])-|(?<=[=(])-[ ]|(?<=[=(][ ])-[ ])?
    (?P<money>{CURRENCY})? (?P<inner>-)?
    (?: (?P<whole>\d++)(?:[ ]|[ ]and[ ])(?P<over>\d++[/]\d++)(?![/]\d)
      | (?P<ratio>(?:\d++(?:\.\d++)?)\s?[/]\s?\d++(?:\.\d++)?)(?!\s?[/]\s?\d)
      | (?P<before>\d*)\s?(?P<vulgar>[¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞])
      | (?P<digits>{GROUPED}|{SIMPLE})
        (?P<power>[eE][-+]?\d{{1,3}}(?!\d)|\s?[x*×·]\s?10\^\{{?-?\d{{1,3}}\}}?)? )
    (?:[ ]?(?P<scale>hundred|thousand|million|billion|trillion|k)\b)?""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Written:
    """A number in a text: where it stands, and its normal form."""

    start: int
    end: int
    value: str


def numbers(text: str) -> Iterator[Written]:
    """The numbers of a plain text, from left to right.

    A minus sign counts where it cannot be a subtraction, a comma before exactly three digits
    groups, before others it is a decimal comma. Units, percent signs and currencies are dropped.
    """
    for found in NUMBER.finditer(text):
        yield Written(found.start(), found.end(), _value(found))


def normalise(number: str) -> str | None:
    """The normal form of a text that is one number and perhaps a unit; None if it holds none."""
    return next((written.value for written in numbers(number)), None)


def _value(found: re.Match[str]) -> str:
    sign = "-" if bool(found["minus"]) != bool(found["inner"]) else ""
    if len(found[0]) > MAX_DIGITS:
        return sign + re.sub(r"\D", "", found[0])
    value = _magnitude(found) * 10 ** SCALES.get(found["scale"] or "", 0)
    return canonical(-value if sign else value)


def _magnitude(found: re.Match[str]) -> Fraction:
    if found["vulgar"]:
        part = Fraction(unicodedata.numeric(found["vulgar"])).limit_denominator(10)
        return int(found["before"] or 0) + part
    if found["digits"]:
        return Fraction(_point(found["digits"])) * _power(found["power"] or "")
    above, below = map(Fraction, (found["ratio"] or found["over"]).split("/"))
    if not below:
        return above
    whole = Fraction(found["whole"]) if found["whole"] and above < below else Fraction(0)
    return whole + above / below


def _power(text: str) -> Fraction:
    exponent = re.search(r"-?\d+$", text.rstrip("}").replace("+", "")) if text else None
    if exponent is None:
        return Fraction(1)
    return Fraction(10) ** max(-MAX_EXPONENT, min(MAX_EXPONENT, int(exponent[0])))


def _point(digits: str) -> str:
    """Digits with a decimal point and no groups."""
    digits = re.sub(rf"{SPACE}|['’]", "", digits)
    if "," in digits and "." in digits:
        group, point = (".", ",") if digits.rindex(",") > digits.rindex(".") else (",", ".")
        return digits.replace(group, "").replace(point, ".")
    if digits.count(".") > 1:
        return digits.replace(".", "")
    if re.fullmatch(r"[1-9]\d*(?:,\d{3})+|[1-9]\d?(?:,\d\d)+,\d{3}", digits):
        return digits.replace(",", "")
    return digits.replace(",", ".")


def canonical(value: Fraction) -> str:
    """The one way to write a value: `18`, `-0.75`, or `1/3` where no decimal ends."""
    places = 0
    for prime in (2, 5):
        power, below = 0, value.denominator
        while below % prime == 0:
            below, power = below // prime, power + 1
        places = max(places, power)
    scaled = value * 10**places
    if scaled.denominator != 1:
        return str(value)
    digits = str(abs(scaled.numerator)).rjust(places + 1, "0")
    whole, decimals = digits[: len(digits) - places], digits[len(digits) - places :]
    return ("-" if value < 0 else "") + (f"{whole}.{decimals}" if decimals else whole)
