"""The story templates behind the reference problems.

Notation, expanded by `problems.py`:

    {name} {friend}     the two people; {He} {he} {his} refer to {name}
    {a} {b} ...         a given number, drawn from the template's `ranges`
    {item}              a noun drawn from the template's `items`; {unit} counts the final quantity
    [x|y]               one of the alternatives, drawn at random
    <a * b = t>         in a step: the equation, whose result later steps call `t`

The last equation of a template is its final quantity and must be called `r`.
"""

from dataclasses import dataclass

FRUIT = ("apples", "pears", "plums", "oranges", "lemons", "peaches")
TOYS = ("marbles", "stickers", "cards", "shells", "coins", "beads")
FOOD = ("muffins", "cookies", "rolls", "pies", "cakes")
FLOWERS = ("roses", "tulips", "lilies", "daisies")
SCHOOL = ("pencils", "pens", "erasers", "notebooks", "rulers")
CLOTHES = ("shirts", "hats", "scarves", "socks")
ANIMALS = ("chickens", "goats", "sheep", "cows", "ducks")
GARDEN = ("carrots", "tomatoes", "onions", "potatoes")
MONEY = ("dollars",)


@dataclass(frozen=True)
class Template:
    """One story: its text, its question and the equations that solve it."""

    key: str
    items: tuple[str, ...]
    story: str
    ask: str
    steps: tuple[str, ...]
    ranges: dict[str, tuple[int, int]]
    unit: str = "{item}"
    sequels: bool = True


@dataclass(frozen=True)
class Sequel:
    """A further event after a story; `r` is the quantity before it, `s` after it."""

    story: str
    steps: tuple[str, ...]
    ranges: dict[str, tuple[int, int]]
    ask: str = "How many {unit} does {name} have [now|in the end]?"
    closes: bool = False


DISTRACTORS = (
    "{name} is {n} years old.",
    "{friend} lives {n} minutes away.",
    "{name} has {n} cousins.",
    "It is {n} degrees outside.",
    "{His} bag weighs {n} pounds.",
    "{friend} has {n} books at home.",
    "The bus ride takes {n} minutes.",
    "There are {n} people in the room.",
)

SEQUELS = (
    Sequel(
        "Then {name} gives {x} {unit} to {friend}.",
        ("{name} has <r - x = s> {unit} left.",),
        {"x": (2, 40)},
    ),
    Sequel(
        "{friend} then gives {name} {x} more {unit}.",
        ("{name} has <r + x = s> {unit} now.",),
        {"x": (3, 60)},
    ),
    Sequel(
        "[Later|The next day], {name} gets {x} [boxes|bags] with {y} {unit} each.",
        ("{name} gets <x * y = p> more {unit}.", "{name} has <r + p = s> {unit} now."),
        {"x": (2, 8), "y": (3, 12)},
    ),
    Sequel(
        "[After that|Later], {name} gives {x} {unit} to each of {y} friends.",
        ("{name} gives away <x * y = p> {unit}.", "{name} has <r - p = s> {unit} left."),
        {"x": (2, 8), "y": (2, 6)},
    ),
    Sequel(
        "{name} loses half of the {unit}.",
        ("Half of the {unit} is <r / 2 = s> {unit}.",),
        {},
    ),
    Sequel(
        "{name} shares [all the|the] {unit} equally among {x} people.",
        ("Each person gets <r / x = s> {unit}.",),
        {"x": (2, 9)},
        ask="How many {unit} does each person get?",
        closes=True,
    ),
    Sequel(
        "{friend} has {x} times as many {unit}.",
        ("{friend} has <r * x = s> {unit}.",),
        {"x": (2, 5)},
        ask="How many {unit} does {friend} have?",
        closes=True,
    ),
    Sequel(
        "{friend} has {x} more {unit} than {name}.",
        ("{friend} has <r + x = s> {unit}.", "Together they have <r + s = q> {unit}."),
        {"x": (2, 30)},
        ask="How many {unit} do they have together?",
        closes=True,
    ),
    Sequel(
        "{friend} has {x} fewer {unit} than {name}.",
        ("{friend} has <r - x = s> {unit}.",),
        {"x": (2, 30)},
        ask="How many {unit} does {friend} have?",
        closes=True,
    ),
)
