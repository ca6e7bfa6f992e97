r"""Train the process reward model on the policy's own solutions, injected errors and drills.

    torchrun --nproc-per-node 2 train_reward.py policy reward \
        --sampled sampled-0.jsonl sampled-1.jsonl --minutes 45 --checkpoint reward.pt

The input is `question + " " + solution`. Every process takes its share of the batches with one
thread; gradients are averaged. The learning rate follows a cosine over the time given. What is
saved is a running mean of the weights.
"""

import argparse
import itertools
import json
import math
import random
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import torch.distributed as dist
from problems import format_solution
from reward_errors import drill, synthetic
from reward_losses import UNRANKED, Member, losses, total
from reward_marks import Marker
from reward_model import Learner, average
from sentencepiece import SentencePieceProcessor
from torch import nn
from train_policy import BOS, EOS
from transformers import GenerationConfig, MistralForCausalLM

BATCH_TOKENS = 2048  # in each process
POOL = 256  # problems batched together
GOLD_RATE = 0.3  # of problems whose gold solution joins the policy's
SYNTHETIC = 0.4  # problems with injected errors for each problem that the policy solved
DRILLS = (2.0, 0.4)  # drills for each such problem, from the first step to the last
PEAK_OLD, PEAK_NEW = 5e-4, 1e-3  # learning rates of the policy's weights and of new ones
WARMUP_STEPS = 100
AVERAGE = 0.998  # of the running mean, kept at every step


def sampled_unit(marker: Marker, line: str, rng: random.Random, number: int) -> list[Member]:
    """The different solutions of one sampled problem."""
    record = json.loads(line)
    labels = dict(zip(record["solutions"], record["labels"], strict=True))
    kept = {s: x for s, x in labels.items() if x and marker.tags_in(s) == len(x)}
    if rng.random() < GOLD_RATE:
        kept[format_solution(record["gold"], record["values"][-1])] = [1] * len(record["values"])
    return [(number, marker.mark(record["question"], s, x)) for s, x in kept.items()]


def pool_units(
    marker: Marker, lines: Sequence[str], rng: random.Random, progress: float
) -> list[list[Member]]:
    """Sampled problems with synthetic ones and drills; solutions of a problem stay together."""
    units = [sampled_unit(marker, line, rng, k) for k, line in enumerate(lines)]
    units += [
        [(POOL + k, marker.mark(*labelled)) for labelled in synthetic(rng)]
        for k in range(int(SYNTHETIC * POOL))
    ]
    drills = DRILLS[0] * (1 - progress) + DRILLS[1] * progress
    units += [[(UNRANKED, marker.mark_drill(drill(rng)))] for _ in range(int(drills * POOL))]
    return [unit for unit in units if unit]


def longest(unit: Sequence[Member]) -> int:
    return max(len(marked.ids) for _, marked in unit)


def batched(units: Sequence[list[Member]], rng: random.Random) -> list[list[Member]]:
    """Units in batches of at most `BATCH_TOKENS` tokens, padding included, in random order."""
    groups: list[list[Member]] = [[]]
    for unit in sorted(units, key=longest):
        if groups[-1] and (len(groups[-1]) + len(unit)) * longest(unit) > BATCH_TOKENS:
            groups.append([])
        groups[-1] += unit
    rng.shuffle(groups)
    return groups


class Stream:
    """This process's batches without end; set `progress` (0 to 1) as training goes on."""

    def __init__(self, marker: Marker, files: Sequence[Path], rank: int, world: int) -> None:
        self.marker, self.rank, self.world = marker, rank, world
        self.lines = [line for path in files for line in path.read_text().splitlines()]
        self.progress = 0.0

    def __iter__(self) -> Iterator[list[Member]]:
        for epoch in itertools.count():
            random.Random(f"0:{epoch}").shuffle(self.lines)
            mine = self.lines[self.rank :: self.world]
            for start in range(0, len(mine), POOL):
                rng = random.Random(f"0:{epoch}:{self.rank}:{start}")
                lines = mine[start : start + POOL]
                yield from batched(pool_units(self.marker, lines, rng, self.progress), rng)


def share_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Average the gradients over the processes; a batch without drills, say, leaves some out."""
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat = torch.cat([grad.flatten() for grad in grads])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    sizes = [p.numel() for p in parameters]
    for parameter, grad in zip(parameters, torch.split(flat, sizes), strict=True):
        parameter.grad = grad.view_as(parameter)


def train(learner: Learner, stream: Stream, minutes: float, checkpoint: Path) -> None:
    """Train for the time given and leave the running mean of the weights in the learner."""
    old, new = learner.groups()
    parameters, peaks = [*old, *new], (PEAK_OLD, PEAK_NEW)
    optimizer = torch.optim.AdamW(
        [{"params": old}, {"params": new}], betas=(0.9, 0.98), weight_decay=0.02, fused=True
    )
    mean = [p.detach().clone() for p in parameters]
    start, elapsed, recent = time.monotonic(), torch.zeros(1), defaultdict[str, float](float)
    for step, batch in enumerate(stream, 1):
        elapsed.fill_(time.monotonic() - start)
        dist.broadcast(elapsed, 0)
        stream.progress = elapsed.item() / (60 * minutes)
        if stream.progress >= 1:
            break
        cosine = 0.02 + 0.49 * (1 + math.cos(math.pi * stream.progress))
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * min(1.0, step / WARMUP_STEPS) * cosine
        found = losses(learner, batch)
        torch.autograd.backward(total(found))
        share_gradients(parameters)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average(mean, parameters, min(AVERAGE, (1 + step) / (10 + step)))
        for name, loss in found.items():
            recent[name] += loss.item() / 50
        if stream.rank == 0 and step % 50 == 0:
            print(
                step,
                f"{elapsed.item():.0f} s",
                {k: round(v, 4) for k, v in recent.items()},
                flush=True,
            )
            recent.clear()
        if stream.rank == 0 and step % 250 == 0:
            torch.save(learner.state_dict(), checkpoint)
    with torch.no_grad():
        for parameter, value in zip(parameters, mean, strict=True):
            parameter.copy_(value)


def save(learner: Learner, policy: Path, folder: Path) -> None:
    """The reward model without its teachers, and the policy's tokenizer."""
    learner.model.generation_config = GenerationConfig(
        bos_token_id=BOS, eos_token_id=EOS, pad_token_id=EOS, max_new_tokens=256
    )
    learner.model.to(torch.bfloat16).save_pretrained(folder)
    for path in policy.glob("tokenizer*"):
        shutil.copy(path, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("policy", type=Path)
    parser.add_argument("reward", type=Path, help="the folder to save into")
    parser.add_argument("--sampled", type=Path, nargs="+", required=True, help="of reward_data.py")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    options = parser.parse_args()
    dist.init_process_group("gloo")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    pieces = SentencePieceProcessor(model_file=str(options.policy / "tokenizer.model"))
    policy = MistralForCausalLM.from_pretrained(options.policy, dtype=torch.float32)
    learner = Learner(policy, pieces.piece_to_id("▁+"), pieces.piece_to_id("▁-"))
    rank, world = dist.get_rank(), dist.get_world_size()
    stream = Stream(Marker(pieces), options.sampled, rank, world)
    train(learner, stream, options.minutes, options.checkpoint)
    if rank == 0:
        save(learner, options.policy, options.reward)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
