"""The thinker's folder in the form of `ezelikman/quietstar-8-ahead`: write and read it.

python thinker_files.py policy thinker.pt thinker
"""

import argparse
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from thinker_model import EMBEDDING_SCALE, END, START, THOUGHT, VOCAB, Thinker

ADDED = {START: "<|startthought|>", END: "<|endthought|>"}
AHEAD, TALK_AHEAD = THOUGHT + 3, 1
FLAGS = {
    "max_thoughts": AHEAD + TALK_AHEAD + 1,
    "merged_talk_heads": True,
    "merged_lm_and_talk_heads": False,
    "merged_lm_and_think_heads": True,
    "use_concat_talk_head": True,
    "use_shallow_think": True,
    "use_shallow_talk": False,
    "use_complex_think_head": False,
    "use_complex_talk_head": True,
    "use_weighted_talk_head": True,
}
COPIED = ("tokenizer.model", "generation_config.json")


def save(model: Thinker, policy: Path, folder: Path) -> None:
    """Weights in bfloat16, the policy's tokenizer with two tokens more, and the settings."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {k: v.detach().to(torch.bfloat16) for k, v in model.state_dict().items()}
    for row, name in ((START, "start_embedding"), (END, "end_embedding")):
        weights["model.embed_tokens.weight"][row] = weights[name][0] * EMBEDDING_SCALE
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    for name in COPIED:
        shutil.copy(policy / name, folder / name)
    _rewrite(policy, folder, "config.json", {"vocab_size": VOCAB + 2, **FLAGS})
    _rewrite(policy, folder, "protocol.json", {"role": "thinker"})
    tokens = {
        i: {"content": text, "lstrip": False, "normalized": False, "rstrip": False}
        | {"single_word": False, "special": True}
        for i, text in ADDED.items()
    }
    before = json.loads((policy / "tokenizer.json").read_text())["added_tokens"]
    decoder = {str(t["id"]): {k: x for k, x in t.items() if k != "id"} for t in before}
    decoder |= {str(i): token for i, token in tokens.items()}
    added = {"additional_special_tokens": list(ADDED.values()), "added_tokens_decoder": decoder}
    _rewrite(policy, folder, "tokenizer_config.json", added)
    every = [*before, *({"id": i, **token} for i, token in tokens.items())]
    _rewrite(policy, folder, "tokenizer.json", {"added_tokens": every})


def _rewrite(source: Path, folder: Path, name: str, changes: Mapping[str, object]) -> None:
    document = json.loads((source / name).read_text()) | changes
    text = json.dumps(document, indent=2, ensure_ascii=False)
    (folder / name).write_text(text + "\n")


def load(folder: Path) -> Thinker:
    """The network of a thinker's folder, or of the policy's (whose thoughts mean nothing)."""
    model, weights = Thinker(), load_file(folder / "model.safetensors")
    if "start_embedding" in weights:
        model.load_state_dict({k: v.float() for k, v in weights.items()})
    else:
        model.load_policy({k: v.float() for k, v in weights.items()}, opening=0)
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("policy", type=Path)
    parser.add_argument("weights", type=Path, help="what train_thinker.py wrote")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    model = Thinker()
    model.load_state_dict(torch.load(options.weights))
    save(model, options.policy, options.folder)


if __name__ == "__main__":
    main()
