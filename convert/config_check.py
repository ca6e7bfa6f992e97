"""A config.json, judged before anything is built on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from convert import bounds
from convert.artifact import Shape
from convert.refusal import Refusal

ROPE_NUMBERS = (
    "factor",
    "low_freq_factor",
    "high_freq_factor",
    "attention_factor",
    "beta_fast",
    "beta_slow",
)
SCALES = ("extrapolation_factor", "mscale", "mscale_all_dim", "llama_4_scaling_beta")
SCALE = (0.0, 100.0)
SWITCHES = ("tie_word_embeddings", "use_sliding_window")
LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0}  # where a config leaves them out
EPS = "rms_norm_eps"
WINDOW = "sliding_window"


def check_config(path: Path, config: dict[str, Any]) -> Shape:
    """The sizes that a config.json states; a Refusal that names key and value if one is absurd."""
    shape = _shape(path, config)
    if config.get(EPS) is not None:
        bounds.number(path, EPS, config[EPS], bounds.EPSILON)
    if config.get(WINDOW) is not None:
        bounds.integer(path, WINDOW, config[WINDOW], bounds.CONTEXT)
    for key in SWITCHES:
        if not isinstance(config.get(key), bool | None):
            raise Refusal(f"{path} gives {key} {bounds.shown(config[key])}; choose true or false")
    names = config.get("architectures") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Refusal(f"{path} gives architectures {bounds.shown(names)}; choose a list of names")
    for key in ("bos_token_id", "eos_token_id"):
        token_ids(path, key, config.get(key), shape.vocab)
    rope_table(path, config)
    return shape


def token_ids(path: Path, key: str, value: Any, vocab: int) -> list[int]:
    """The ids that a setting names: none (-1 too), one, or a list; each is in the vocabulary."""
    listed = value if isinstance(value, list) else [] if value in (None, -1) else [value]
    return [bounds.integer(path, key, each, (0, vocab - 1)) for each in listed]


def rope_table(path: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Rope settings, wherever this version of transformers put them; without those that are null.

    Raises:
        Refusal: for one that is of another type, or beyond reason.
    """
    found: dict[str, Any] = {}
    for key in ("rope_scaling", "rope_parameters"):
        part = config.get(key)
        if not isinstance(part, dict | None):
            raise Refusal(f"{path} gives {key} {bounds.shown(part)}; choose a table")
        found |= {k: v for k, v in (part or {}).items() if v is not None}
    theta = found.get("rope_theta", config.get("rope_theta"))
    found["rope_theta"] = (
        10000.0 if theta is None else bounds.number(path, "rope_theta", theta, bounds.ROPE_BASE)
    )
    kind = found.get("rope_type", found.get("type", "default"))
    found["rope_type"] = bounds.text(path, "rope_type", kind)
    for key, value in found.items():
        bounds.finite(path, key, value)
        if key in ROPE_NUMBERS:
            bounds.number(path, key, value, bounds.FACTOR)
    _rest(path, found)
    return found


def _rest(path: Path, rope: dict[str, Any]) -> None:
    original = "original_max_position_embeddings"
    if original in rope:
        bounds.integer(path, original, rope[original], bounds.CONTEXT)
    for key in SCALES:
        if key in rope:
            bounds.number(path, key, rope[key], SCALE)
    if rope["rope_type"] == "llama3":
        low, high = ((LLAMA3 | rope)[key] for key in LLAMA3)
        if low >= high:
            raise Refusal(
                f"{path} gives low_freq_factor {low} and high_freq_factor {high}; choose a low "
                "one below the high one"
            )


def _shape(path: Path, config: dict[str, Any]) -> Shape:
    def size(key: str, limits: bounds.Limits, default: int | None = None) -> int:
        found = config.get(key)
        if found is None and default is None:
            raise Refusal(f"{path} has no {key}; choose a whole number from 1 to {limits[1]}")
        return bounds.integer(path, key, default if found is None else found, limits)

    hidden = size("hidden_size", bounds.HIDDEN)
    heads = size("num_attention_heads", bounds.HEADS)
    kv_heads = size("num_key_value_heads", bounds.HEADS, heads)
    bounds.divides(path, heads, kv_heads)
    head_dim = size("head_dim", bounds.HEAD_DIM, hidden // heads)
    return Shape(
        layers=size("num_hidden_layers", bounds.LAYERS),
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=bounds.even(path, "head_dim", head_dim),
        feed_forward=size("intermediate_size", bounds.FEED_FORWARD),
        vocab=size("vocab_size", bounds.VOCAB),
        context=size("max_position_embeddings", bounds.CONTEXT),
    )
