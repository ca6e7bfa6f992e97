"""lm-evaluation-harness on our engines: `lm_eval --model starbase --model_args policy=P.gguf`.

Any method answers what the harness wants generated; log-likelihoods come from the same model. All
requests of a task are worked on together.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import Any

from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model

from methods.build import MethodSpec, build
from methods.catalog import METHODS
from methods.judges import judges
from methods.likelihood import Likelihood, likelihoods
from methods.models import pair
from methods.opened import Models, open_models
from methods.problem import Problem
from methods.show import best_path
from methods.token_limits import PATH, STEP
from runtime.engine import Engine, Sampling
from runtime.load import describe_model
from runtime.options import EngineOptions, Thinking
from runtime.prompt import conversation_text
from runtime.scheduler import BRANCHES, Scheduler

PLAIN = "plain"
QUESTIONS = (
    "question",
    "problem",
    "query",
    "input",
)  # fields of a task that hold the bare question


@register_model("starbase")
class Starbase(TemplateLM):  # type: ignore[misc]  # the harness has no types
    """A quantized policy with a method: `method=rebase,width=16,reward=R.gguf,think=on`."""

    def __init__(
        self,
        policy: str = "reference:policy",
        reward: str | None = None,
        method: str = PLAIN,
        width: int = 8,
        think: Thinking = "off",
        quant: str = "q4_k_m",
        context: int = 8192,
        branches: int | None = None,
        max_tokens: int = PATH,
        device: str = "auto",
        seed: int = 0,
        batch_size: Any = None,
        max_batch_size: Any = None,
        **_: Any,
    ) -> None:
        super().__init__()
        del batch_size, max_batch_size  # the scheduler batches
        options = EngineOptions(
            device=device,  # type: ignore[arg-type]
            context=int(context),
            max_branches=2 * int(branches or BRANCHES) + 2,
            think=think,
        )
        if method == PLAIN or not METHODS[method].needs_reward:
            reward = None
        elif reward is None and policy.startswith("reference:"):
            reward = "reference:reward"
        named = judges(reward)
        path, judge = pair(policy, named.model, Namespace(quant=quant, offline=False))
        self._models = open_models(
            describe_model(path),
            describe_model(judge) if judge else None,
            options,
            named.own,
            paths=int(width),
            step_tokens=STEP,
        )
        self._policy = self._models.policy
        self._method, self._width, self._seed = method, int(width), int(seed)
        self._branches = None if branches is None else int(branches)
        self._max_tokens = int(max_tokens)
        self._name = f"{self._policy.artifact.path.name}:{method}-{width}-{think}"

    @property
    def eot_token_id(self) -> int:
        return min(self._policy.tokenizer.eos_ids)

    @property
    def prefix_token_id(self) -> int:
        begin = self._policy.tokenizer.encode("")
        return begin[0] if begin else self.eot_token_id

    @property
    def tokenizer_name(self) -> str:
        return self._name

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        return self._policy.tokenizer.chat_template if chat_template else None

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        del add_generation_prompt
        return conversation_text(self._policy, chat_history)

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **_: Any
    ) -> list[int]:
        tokenizer = self._policy.tokenizer
        ids = tokenizer.encode(string, special=True)
        return ids[len(tokenizer.encode("")) :] if add_special_tokens is False else ids

    def loglikelihood_rolling(
        self, requests: Sequence[Any], disable_tqdm: bool = False
    ) -> list[float]:
        texts = [[self.prefix_token_id, *self.tok_encode(r.args[0], False)] for r in requests]
        return [sum(p.logprob for p in found) for found in self._read(texts, disable_tqdm)]

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        def work(request: Any) -> Callable[..., str]:
            return lambda policy, reward=None: self._generate(request, policy, reward)

        return self._run([work(request) for request in requests], self._width, disable_tqdm)

    def _loglikelihood_tokens(
        self, requests: Sequence[Any], disable_tqdm: bool = False, **_: Any
    ) -> list[tuple[float, bool]]:
        texts = [[*context, *continuation] for _, context, continuation in requests]
        results = []
        for (_, _, continuation), found in zip(
            requests, self._read(texts, disable_tqdm), strict=True
        ):
            tail = found[len(found) - len(continuation) :]
            results.append((sum(p.logprob for p in tail), all(p.greedy for p in tail)))
        return results

    def _read(self, texts: Sequence[Sequence[int]], quiet: bool) -> list[list[Likelihood]]:
        def work(ids: Sequence[int]) -> Callable[..., list[Likelihood]]:
            return lambda policy, _reward=None: list(likelihoods(policy, ids))

        return self._run([work(ids) for ids in texts], 1, quiet)

    def _generate(self, request: Any, policy: Engine, reward: Engine | None) -> str:
        context, given = request.args
        until = given.get("until") or []
        stops = tuple(s for s in ([until] if isinstance(until, str) else until) if s)
        most = int(given.get("max_gen_toks") or given.get("max_tokens") or self._max_tokens)
        cold = not given.get("do_sample", False)
        temperature = 0.0 if cold else float(given.get("temperature") or 1.0)
        prompt = self.tok_encode(context)
        if self._method == PLAIN:
            sampling = Sampling(temperature, max_tokens=most, stop=stops, seed=self._seed)
            with policy.open(prompt) as branch:
                text = policy.extend([branch], sampling)[0].text
        else:
            text = self._search(request, tuple(prompt), most, policy, reward)
        for stop in stops:
            text = text.split(stop, 1)[0]
        return text

    def _search(
        self,
        request: Any,
        prompt: tuple[int, ...],
        most: int,
        policy: Engine,
        reward: Engine | None,
    ) -> str:
        document = getattr(request, "doc", None) or {}
        question = next((str(document[q]) for q in QUESTIONS if q in document), request.args[0])
        row = METHODS[self._method]
        spec = MethodSpec(row.search.name, self._width, max_tokens=most, selection=row.selection)
        scorer = Models(policy, reward, self._models.own).scorer()
        answer = build(spec, policy, scorer).solve(
            Problem("0", question, prompt=prompt), self._seed
        )
        chosen = best_path(answer)
        return chosen.text if chosen else ""

    def _run(self, works: Sequence[Callable[..., Any]], width: int, quiet: bool) -> list[Any]:
        """What every piece of work returns; all of them together."""
        from tqdm import tqdm

        with Scheduler(*self._models.engines, branches=self._branches) as scheduler:
            jobs = [scheduler.submit(work, width=width) for work in works]
            for _ in tqdm(scheduler.run(), total=len(jobs), disable=quiet, desc="starbase"):
                pass
            return [job.result() for job in jobs]
