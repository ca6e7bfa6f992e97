r"""Teach the policy to think before it writes: supervised thoughts first, then Quiet-STaR.

    python train_thinker.py policy warm.pt --gold --minutes 27 --rate 6e-4
    python train_thinker.py policy thinker.pt --start warm.pt --minutes 13 --rate 4e-4 --seed 3
    python thinker_files.py policy thinker.pt thinker

With `--gold`, thoughts at the results of equations are given and learned (a warm start, not part
of Quiet-STaR). Without it every thought is sampled, two of each position, and rewarded with how
much better the mixture predicts the next token than the base does.
"""

import argparse
import math
import random
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from sentencepiece import SentencePieceProcessor
from thinker_data import EOS, Text, batches
from thinker_model import STAGES, THOUGHT, Read, Thinker, rows_of
from torch import Tensor
from torch.nn.functional import cross_entropy

ROWS = 28  # texts of a step
BLOCKS = 12  # thoughts in a text
WARMUP_STEPS = 40
QUESTION_WEIGHT, RESULT_WEIGHT = 0.1, 2.0  # of other solution tokens 1
BASE_WEIGHT, MIXED_WEIGHT, READ_OUT_WEIGHT = 2.0, 0.5, 0.2
MEAN_DECAY = 0.99  # of the running mean of the weights, which is what is saved
EMBEDDING_RATE = 0.02  # of START and END, whose inputs are scaled by 100


def choose(text: Text, count: int, share: float, rng: random.Random) -> tuple[list[int], list[int]]:
    """`count` positions to think after: a share at results, the rest anywhere in the solution."""
    taught = round(count * share) if text.results else 0
    results = list(text.results)
    at = rng.sample(results, min(taught, len(results)))
    at += rng.choices(results, k=taught - len(at))
    return at, rng.choices(range(text.begin - 1, len(text.ids) - 1), k=count - taught)


def base_weights(texts: list[Text], width: int) -> Tensor:
    """(B, width) weights of predicting the token after each position; drills have none."""
    weights = torch.zeros(len(texts), width)
    for row, text in zip(weights, texts, strict=True):
        if not text.is_drill:
            row[: text.begin - 1] = QUESTION_WEIGHT
            row[text.begin - 1 : len(text.ids) - 1] = 1.0
            row[list(text.results)] = RESULT_WEIGHT
    return weights


def token_nll(logits: Tensor, targets: Tensor) -> Tensor:
    """Of targets (...), in nats."""
    flat = cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="none")
    return flat.view(targets.shape)


@dataclass(frozen=True, slots=True)
class Thought:
    """What the thoughts (B, K) after some positions said, and what they changed."""

    taught: Tensor  # (B, K), True at results of equations
    token_nll: Tensor  # (B, THOUGHT, K) of the thoughts' own tokens
    read_out: Tensor  # (B, K), the thought stream's NLL of the next word
    base: Tensor  # (B, K), the base's NLL, without gradient
    mixed: Tensor  # (B, K), the mixture's
    share: Tensor  # (B, K), the mixing weight

    @property
    def reward(self) -> Tensor:
        return (self.base - self.mixed).detach()

    def log(self) -> dict[str, float]:
        """Means, at results and elsewhere."""
        at, rest = self.taught, ~self.taught
        return {
            "base_result": self.base[at].mean().item(),
            "mixed_result": self.mixed[at].mean().item(),
            "w_result": self.share[at].mean().item(),
            "gain_rest": self.reward[rest].mean().item(),
            "w_rest": self.share[rest].mean().item(),
        }


class Trainer:
    """One step: read the texts, think at chosen positions, and learn from what it gave."""

    def __init__(self, model: Thinker, options: argparse.Namespace) -> None:
        self.model, self.options, self.rng = model, options, random.Random(options.seed)
        self.copies = 1 if options.gold else 2  # thoughts after a position

    def loss(self, texts: list[Text]) -> tuple[Tensor, dict[str, float]]:
        """The step's loss and the numbers to print."""
        ids = rows_of([text.ids for text in texts], EOS)
        read = self.model.read(ids)
        base_nll = token_nll(self.model.logits(read.hidden[:, :-1]), ids[:, 1:])
        weights = base_weights(texts, ids.shape[1] - 1)
        base = (base_nll * weights).sum() / weights.sum().clamp(min=1)
        thought = self._think(texts, ids, read, base_nll.detach())
        learned = self._given(thought) if self.options.gold else self._rewarded(thought)
        loss = BASE_WEIGHT * base + MIXED_WEIGHT * thought.mixed.mean() + learned
        return loss, {"base": base.item(), "learned": learned.item(), **thought.log()}

    def _think(self, texts: list[Text], ids: Tensor, read: Read, base_nll: Tensor) -> Thought:
        """Think after chosen positions: given thoughts at results with `--gold`, else sampled."""
        model, count = self.model, BLOCKS // self.copies
        chosen = [choose(text, count, self.options.results, self.rng) for text in texts]
        taught = len(chosen[0][0])
        after = torch.tensor([at + rest for at, rest in chosen]).repeat(1, self.copies)
        given = taught if self.options.gold else 0
        with torch.no_grad():
            gold = [
                [t.results[p] for p in at[:given]] for t, (at, _) in zip(texts, chosen, strict=True)
            ]
            free = model.sample(read, after[:, given:])
            thoughts = torch.cat(
                [torch.tensor(gold).view(len(texts), given, THOUGHT).long(), free], 1
            )
        hidden = model.think(read, after, thoughts)
        end = hidden[:, -1]
        before = read.hidden.gather(1, after[..., None].expand(end.shape))
        share = model.weight(before, end)
        targets = ids.gather(1, after + 1)
        return Thought(
            taught=(torch.arange(after.shape[1]) % count < taught).expand(after.shape),
            token_nll=token_nll(model.logits(hidden[:, :THOUGHT]), thoughts.transpose(1, 2)),
            read_out=token_nll(model.logits(end), targets),
            base=base_nll.gather(1, after),
            mixed=token_nll(model.mixed(before, end, share), targets),
            share=share[..., 0],
        )

    def _given(self, thought: Thought) -> Tensor:
        """Learn the given thoughts, and to say the next word after them."""
        taught = thought.taught[0]
        return (
            thought.token_nll[:, :, taught].mean()
            + READ_OUT_WEIGHT * thought.read_out[:, taught].mean()
        )

    def _rewarded(self, thought: Thought) -> Tensor:
        """REINFORCE: thoughts that helped more than their position's other one get likelier."""
        both = thought.reward.unflatten(1, (self.copies, -1))
        gain = (both - both.mean(1, keepdim=True)).clamp(min=0).flatten(1)
        return self.options.policy_weight * (gain[:, None] * thought.token_nll).mean()


def save(model: Thinker, mean: list[Tensor], path: Path) -> None:
    """The running mean, under the model's names."""
    names = [name for name, _ in model.named_parameters()]
    torch.save(dict(zip(names, mean, strict=True)), path)


def train(trainer: Trainer, pieces: SentencePieceProcessor, options: argparse.Namespace) -> None:
    model = trainer.model
    special = [model.start_embedding, model.end_embedding]
    other = [p for p in model.parameters() if all(p is not x for x in special)]
    groups = [{"params": other, "scale": 1.0}, {"params": special, "scale": EMBEDDING_RATE}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    mean = [p.detach().clone() for p in model.parameters()]
    start, tokens, sums, count = time.monotonic(), 0, dict[str, float](), 0
    stream = batches(pieces, ROWS, options.drills, options.seed)
    for step, texts in enumerate(stream, 1):
        progress = (time.monotonic() - start) / (60 * options.minutes)
        if progress >= 1:
            break
        rate = options.rate * min(1.0, step / WARMUP_STEPS)
        for group in optimizer.param_groups:
            fall = 0.03 + 0.485 * (1 + math.cos(math.pi * progress))
            group["lr"] = rate * fall * group["scale"]
        with torch.autocast("cpu", torch.bfloat16):
            loss, log = trainer.loss(texts)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        torch._foreach_lerp_(mean, [p.detach() for p in model.parameters()], 1 - MEAN_DECAY)
        tokens += sum(len(text.ids) for text in texts) + len(texts) * BLOCKS * STAGES
        sums, count = {k: sums.get(k, 0.0) + x for k, x in log.items()}, count + 1
        if step % 25 == 0:
            means = " ".join(f"{k} {x / count:.4f}" for k, x in sums.items())
            seconds = time.monotonic() - start
            print(f"step {step} {means} tokens {tokens} seconds {seconds:.0f}", flush=True)
            sums, count = {}, 0
        if step % 100 == 0:
            save(model, mean, options.out)
    print(f"{step - 1} steps, {tokens} tokens", flush=True)
    save(model, mean, options.out)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("policy", type=Path)
    parser.add_argument("out", type=Path, help="the trained weights, float32")
    parser.add_argument("--start", type=Path, help="weights to go on from")
    parser.add_argument("--gold", action="store_true", help="teach thoughts at results")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--rate", type=float, default=6e-4)
    parser.add_argument("--drills", type=float, default=0.25, help="share of the texts")
    parser.add_argument("--results", type=float, default=0.75, help="share of thoughts at results")
    parser.add_argument("--policy-weight", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    pieces = SentencePieceProcessor(model_file=str(options.policy / "tokenizer.model"))
    model = Thinker()
    if options.start:
        model.load_state_dict(torch.load(options.start))
    else:
        model.load_policy(
            load_file(options.policy / "model.safetensors"), int(pieces.encode("---")[0])
        )
    train(Trainer(model, options), pieces, options)


if __name__ == "__main__":
    main()
