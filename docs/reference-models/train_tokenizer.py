"""Train the SentencePiece tokenizer and save it in both forms: tokenizer.model and tokenizer.json.

Usage: python train_tokenizer.py policy
"""

import argparse
import json
from pathlib import Path

import sentencepiece as spm
from problems import TAG, draw_many, format_solution
from transformers import AutoTokenizer, LlamaTokenizer

VOCAB_SIZE = 1024
SAMPLES = 20_000
SETTINGS = {
    "tokenizer_class": "LlamaTokenizer",
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": None,
    "add_bos_token": True,
    "add_eos_token": False,
    "add_prefix_space": None,
    "legacy": False,
    "clean_up_tokenization_spaces": False,
    "model_max_length": 1024,
}
SCORE_TOKENS = (" +", " -", f" {TAG}")


def train(folder: Path) -> None:
    """BPE as Mistral's: unk 0, bos 1, eos 2, byte fallback, single digits, text kept as it is."""
    lines = (
        line
        for problem in draw_many("tokenizer", SAMPLES)
        for line in (
            problem.question,
            *format_solution(problem.sentences(), problem.values[-1]).split("\n"),
        )
    )
    folder.mkdir(parents=True, exist_ok=True)
    spm.SentencePieceTrainer.train(
        sentence_iterator=lines,
        model_prefix=str(folder / "tokenizer"),
        model_type="bpe",
        vocab_size=VOCAB_SIZE,
        character_coverage=1.0,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        minloglevel=2,
    )
    (folder / "tokenizer.vocab").unlink()
    LlamaTokenizer.from_pretrained(folder).save_pretrained(folder)
    always_prepend(folder / "tokenizer.json")
    (folder / "tokenizer_config.json").write_text(json.dumps(SETTINGS, indent=2) + "\n")


def always_prepend(path: Path) -> None:
    """Put the space in front of every text, as SentencePiece does, even of one that has one."""
    document = json.loads(path.read_text(encoding="utf-8"))
    space = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    steps = [{"type": "Prepend", "prepend": "▁"}, space]
    document |= {
        "normalizer": {"type": "Sequence", "normalizers": steps},
        "pre_tokenizer": None,
    }
    path.write_text(json.dumps(document, ensure_ascii=False, indent=2), encoding="utf-8")


def check(folder: Path) -> None:
    """Both forms agree, the score tokens are single pieces, and a tag ends every step."""
    pieces = spm.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for text in SCORE_TOKENS:
        assert len(pieces.encode(text.strip())) == 1, text
    for text in (" leading space", "  two", "\ttab", "Zoë 👩‍👧 中文"):
        assert tokenizer.encode(text) == [1, *pieces.encode(text)]
    tag = pieces.piece_to_id(f"▁{TAG}")
    for problem in draw_many("tokenizer-check", 500):
        solution = format_solution(problem.sentences(), problem.values[-1])
        for separator in (" ", "\n"):
            ids = tokenizer.encode(problem.question + separator + solution)
            assert ids == [1, *pieces.encode(problem.question + separator + solution)]
            assert ids.count(tag) == len(problem.steps)
            assert ids[-1] == tag


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    train(folder)
    check(folder)


if __name__ == "__main__":
    main()
