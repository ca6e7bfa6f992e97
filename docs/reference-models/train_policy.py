"""Train the policy from scratch on questions and solutions, the loss mainly on the solution.

    torchrun --nproc-per-node 2 train_policy.py policy --minutes 45 --checkpoint policy.pt

The text is `question`, a newline, `solution` and eos. Every process takes its share of the
batches with one thread; gradients are averaged. The learning rate follows a cosine over the time
given, so the run ends when it says it will.
"""

import argparse
import itertools
import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed as dist
from batches import POOL, Example, batches, pad
from problems import Problem, draw, format_solution
from sentencepiece import SentencePieceProcessor
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel
from transformers import GenerationConfig, MistralConfig, MistralForCausalLM

BOS, EOS = 1, 2
BATCH_TOKENS = 1536  # in each process
QUESTION_WEIGHT = 0.1
LEARNING_RATE = 2e-3
WARMUP_STEPS = 100
ROPE_THETA = 10000.0

CONFIG = MistralConfig(
    vocab_size=1024,
    hidden_size=256,
    intermediate_size=768,
    num_hidden_layers=4,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=64,
    max_position_embeddings=1024,
    rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
    sliding_window=None,
    tie_word_embeddings=False,
    bos_token_id=BOS,
    eos_token_id=EOS,
)
CONFIG.rope_theta = ROPE_THETA  # also where readers of older configs look


def encode(pieces: SentencePieceProcessor, problem: Problem) -> Example:
    """Ids of prompt, solution and eos, with the loss weight of predicting each."""
    prompt = pieces.encode(problem.question + "\n")
    solution = format_solution(problem.sentences(), problem.values[-1])
    ids = [BOS, *pieces.encode(f"{problem.question}\n{solution}"), EOS]
    weights = [QUESTION_WEIGHT] * (1 + len(prompt)) + [1.0] * (len(ids) - 1 - len(prompt))
    return Example(ids, weights)


def training_batches(
    pieces: SentencePieceProcessor, rank: int, world: int
) -> Iterator[list[Example]]:
    """This process's share of an endless stream of training problems, each seen once."""
    for pool in itertools.count():
        examples = [encode(pieces, draw("train", i)) for i in range(pool * POOL, (pool + 1) * POOL)]
        groups = list(batches(examples, BATCH_TOKENS, seed=pool))
        yield from groups[rank : len(groups) - len(groups) % world : world]


def weighted_loss(model: torch.nn.Module, batch: list[Example]) -> torch.Tensor:
    """Mean cross entropy of the next token, weighted by the examples' marks."""
    ids = pad([e.ids for e in batch], EOS, torch.long)
    weights = pad([e.marks for e in batch], 0.0, torch.float)[:, 1:]
    logits = model(input_ids=ids[:, :-1], use_cache=False).logits
    losses = cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    return (losses * weights.flatten()).sum() / weights.sum()


def learning_rate(step: int, progress: float) -> float:
    """Linear warm-up over the first steps, then a cosine down to 2 % over the time given."""
    return (
        LEARNING_RATE
        * min(1.0, step / WARMUP_STEPS)
        * (0.02 + 0.49 * (1 + math.cos(math.pi * progress)))
    )


def train(
    model: MistralForCausalLM, stream: Iterator[list[Example]], minutes: float, checkpoint: Path
) -> None:
    main_process = dist.get_rank() == 0
    parallel = DistributedDataParallel(model)
    optimizer = torch.optim.AdamW(
        model.parameters(), betas=(0.9, 0.98), weight_decay=0.05, fused=True
    )
    start, elapsed, tokens = time.monotonic(), torch.zeros(1), 0
    for step, batch in enumerate(stream, 1):
        elapsed.fill_(time.monotonic() - start)
        dist.broadcast(elapsed, 0)
        progress = elapsed.item() / (60 * minutes)
        if progress >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, progress)
        loss = weighted_loss(parallel, batch)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        tokens += sum(len(e.ids) for e in batch) * dist.get_world_size()
        if main_process and step % 50 == 0:
            print(
                f"step {step} loss {loss.item():.4f} tokens {tokens} seconds {elapsed.item():.0f}",
                flush=True,
            )
        if main_process and step % 250 == 0:
            torch.save(model.state_dict(), checkpoint)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="holds the tokenizer; the model is saved into it")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    options = parser.parse_args()
    dist.init_process_group("gloo")
    torch.manual_seed(0)

    pieces = SentencePieceProcessor(model_file=str(options.folder / "tokenizer.model"))
    model = MistralForCausalLM(CONFIG)
    train(
        model,
        training_batches(pieces, dist.get_rank(), dist.get_world_size()),
        options.minutes,
        options.checkpoint,
    )
    if dist.get_rank() == 0:
        model.generation_config = GenerationConfig(
            bos_token_id=BOS, eos_token_id=EOS, pad_token_id=EOS, max_new_tokens=256
        )
        model.to(torch.bfloat16).save_pretrained(options.folder)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
