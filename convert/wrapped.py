"""A decoder inside something else: a multimodal model, or what a training tool put around it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from convert.refusal import Refusal
from convert.tensor import Tensor

WRAPPERS = {  # parts of a name: torch.compile, DataParallel, FSDP, TRL, multimodal models
    "_orig_mod",
    "module",
    "_fsdp_wrapped_module",
    "_checkpoint_wrapped_module",
    "pretrained_model",
    "language_model",
}
PEFT = "base_model.model."
OTHER_SENSES = ("vision_", "multi_modal_projector.", "visual.", "audio_", "patch_merger.")


def decoder_config(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration of the decoder: of a multimodal model, its text part's goes before."""
    text = config.get("text_config")
    if not isinstance(text, dict):
        return config
    kind = {"model_type": "mistral"} if config.get("model_type") == "mistral3" else {}
    return config | kind | text  # Mistral 3 may leave out that its text part is a Mistral


def decoder_tensors(tensors: dict[str, Tensor], config: dict[str, Any]) -> dict[str, Tensor]:
    """The decoder's tensors by their plain names, however they were saved.

    Raises:
        Refusal: if two go by one name.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        plain = _plain(name)
        if "text_config" in config and plain.removeprefix("model.").startswith(OTHER_SENSES):
            continue
        if plain in found:
            raise Refusal(
                f"tensors {found[plain].name} and {name} are one to a decoder; save the model "
                "without its wrapper"
            )
        found[plain] = tensor
    return found


def fitted(path: Path, config: dict[str, Any], tensors: dict[str, Tensor]) -> dict[str, Any]:
    """The configuration, of that path, with the vocabulary that the weights really have.

    Raises:
        Refusal: if embeddings and output projection differ in it.
    """
    tables = ["model.embed_tokens.weight", "embed_tokens.weight"]
    if not config.get("tie_word_embeddings"):
        tables.append("lm_head.weight")
    found = {tensors[name].shape[0] for name in tables if name in tensors and tensors[name].shape}
    if len(found) > 1:
        rows = " and ".join(map(str, sorted(found)))
        raise Refusal(
            f"{path.parent} has {rows} rows of embeddings and output projection; resize both: "
            f"model.resize_token_embeddings({max(found)}), and save it again"
        )
    return config | {"vocab_size": found.pop()} if found else config


def _plain(name: str) -> str:
    parts = name.removeprefix(PEFT).split(".")
    return ".".join(part for part in parts if part not in WRAPPERS)
