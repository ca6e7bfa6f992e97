"""The desk: requests come in on the event loop, one worker's thread has the models."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from convert.heads import read_talk_head
from convert.refusal import Refusal
from methods.budget import Budget
from methods.candidate import Answer
from methods.catalog import METHODS, WITHOUT_MODEL
from methods.opened import Models
from methods.serve.budget import Costs
from methods.serve.errors import ApiError
from methods.serve.metrics import Metrics
from methods.serve.tickets import Ticket
from methods.serve.way import PLAIN, Served, Way, unknown_model
from methods.serve.work import Done, Plain, Searching, Work
from runtime.engine import Engine
from runtime.flops import flops
from runtime.gate import DEFAULTS, Gate
from runtime.jobs import Cancelled, Job
from runtime.prompt import prompt_format
from runtime.scheduler import Scheduler
from runtime.thinking_engine import ThinkingEngine

log = logging.getLogger("starbase_edge.serve")
IDLE_S = 0.5
GATE = Gate("probability", DEFAULTS["probability"])  # of requests that think where unsure


@dataclass(frozen=True, slots=True)
class DeskOptions:
    """How much a server takes on."""

    default: Way = Way()  # noqa: RUF009  # frozen
    max_tokens: int = 512  # of a completion, where the request does not say
    queue: int = 64  # requests that wait; more are turned away


class Desk:
    """Takes requests, lets the scheduler work on all of them together, hands results back."""

    def __init__(self, models: Models, options: DeskOptions) -> None:
        policy, reward, own = models.policy, models.reward, models.own
        self.policy, self.reward, self.own, self.options = policy, reward, own, options
        self._models = models
        self.metrics = Metrics()
        self.default, self.max_tokens = options.default, options.max_tokens
        thinks = policy.artifact.thought is not None
        self._head = read_talk_head(policy.artifact) if thinks else None
        self.served = Served(
            policy.artifact.path.name.removesuffix(".gguf").removesuffix(".onnx"),
            judged=reward is not None or own is not None,
            thinks=thinks,
            most_width=max(1, (policy.max_branches - 2) // 2),
        )
        if options.default.method not in (PLAIN, *self.served.methods()):
            raise Refusal(
                f"--method {options.default.method} needs a reward model; give --reward, "
                f"or {WITHOUT_MODEL}"
            )
        self._created = int(time.time())
        self._costs = Costs()
        self._scheduler = Scheduler(*models.engines)
        self._open: dict[Ticket[Any], Job] = {}  # changed on the event loop alone
        self._closing = threading.Event()
        self._worker = threading.Thread(target=self._work, name="worker", daemon=True)
        self._worker.start()

    def submit(self, work: Work, *, more: bool = False) -> Ticket[Any]:
        """Let the worker do something; from the event loop.

        `more`: another part of a request that was let in.

        Raises:
            ApiError: if the queue is full, or the server is about to stop.
        """
        if not more:
            self._let_in()
        ticket: Ticket[Any] = Ticket(self._ended)
        self._open[ticket] = self._scheduler.submit(
            lambda *views: self._run(work, ticket, views),
            width=max(1, work.branches // 2),
            first=isinstance(work, Plain),  # never behind a search that waits
        )
        return ticket

    def _let_in(self) -> None:
        if self._closing.is_set():
            raise ApiError(503, "the server is stopping")
        if self._scheduler.waiting >= self.options.queue:
            self.metrics.requests_refused.inc()
            raise ApiError(
                429,
                f"{self._scheduler.waiting} requests are waiting; come back later",
                code="rate_limit_exceeded",
                headers={"retry-after": "2"},
            )

    def stop(self) -> None:
        """End what is under way with an error, after the round that runs."""
        self._closing.set()

    def model(self, name: str) -> dict[str, Any]:
        """What /v1/models says of an id.

        Raises:
            ApiError: if there is no such id.
        """
        if name not in self._ids:
            raise unknown_model(name)
        artifact = self.policy.artifact
        shape = artifact.shape
        return {
            "id": name,
            "object": "model",
            "created": self._created,
            "owned_by": "starbase-edge",
            "max_model_len": self.policy.context,
            "meta": {
                "n_ctx": self.policy.context,
                "n_ctx_train": self.policy.context,
                "n_params": shape.linear_parameters + shape.head_parameters,
                "n_vocab": self.policy.tokenizer.size,
                "n_embd": shape.hidden,
                "size": artifact.size_bytes,
                "level": artifact.level,
            },
        }

    @cached_property
    def _ids(self) -> frozenset[str]:
        return frozenset(self.served.ids())

    @property
    def reward_name(self) -> str:
        """The reward model's file, without its folder."""
        return self.reward.artifact.path.name if self.reward else ""

    def props(self) -> dict[str, Any]:
        """What user interfaces ask first; no path of this machine is in it."""
        rows = [METHODS[name] for name in self.served.methods()]
        return {
            "default_generation_settings": {"n_ctx": self.policy.context, "params": {}},
            "total_slots": self.policy.max_branches,
            "model_path": self.policy.artifact.path.name,
            "model_alias": self.served.name,
            "chat_template": self.policy.tokenizer.chat_template or "",
            "bos_token": self.policy.tokenizer.bos,
            "eos_token": self.policy.tokenizer.eos,
            "device": self.policy.device,
            "reward": "*".join(filter(None, (self.own, self.reward_name))),
            "thinks": self.served.thinks,
            "most_width": self.served.most_width,
            "methods": [
                {
                    "name": row.name,
                    "label": row.label.format(width="n"),
                    "wide": "width" in row.search.reads,
                    "tree": row.search.tree,
                }
                for row in rows
            ],
        }

    def room(self, prompt: Sequence[int]) -> int:
        """Tokens that fit behind a prompt."""
        return self.policy.context - len(prompt)

    def steps(self, text: str) -> tuple[str, ...]:
        """A whole answer in steps, as the policy ends them."""
        stop = prompt_format(self.policy).step_stop
        return tuple(part + stop for part in text.split(stop) if part.strip()) or (text,)

    def within(self, limit: Budget, choice: Way) -> int:
        """The widest search of a method that keeps a budget."""
        return self._costs.width(choice.method, limit, self.served.most_width)

    def flops(self, answer: Answer) -> int:
        """Floating-point operations of an answer, both models."""
        total = flops(answer.usage, self.policy.artifact.shape)
        if self.reward is not None:
            total += flops(answer.scorer_usage, self.reward.artifact.shape)
        return total

    def _work(self) -> None:
        """The worker: rounds while there is something to do."""
        while not self._closing.is_set():
            self._scheduler.wait(IDLE_S)
            try:
                self._scheduler.step()
            except Exception as error:
                log.exception("the scheduler failed")
                self._fail_all(error)
            self._count()
        self._fail_all(ApiError(503, "the server was stopped"))
        self._scheduler.close()

    def _run(self, work: Work, ticket: Ticket[Any], views: Sequence[Engine]) -> None:
        """One request, on a thread of its own, of which one runs at a time."""
        try:
            seen = self._models.over([self._thinking(views[0], work.think), *views[1:]])
            result = work.run(seen, ticket.tell)
            self._book(work, result, time.perf_counter() - ticket.asked_s)
            ticket.done(result)
        except Cancelled:
            raise
        except BaseException as error:
            ticket.fail(error)
            if not isinstance(error, (Refusal, ApiError)):
                raise

    def _thinking(self, policy: Engine, think: str) -> Engine:
        if think == "off":
            return policy
        assert self._head is not None
        return ThinkingEngine(policy, self._head, gate=None if think == "on" else GATE)

    def _book(self, work: Work, result: Done, seconds: float) -> None:
        self.metrics.book(result.usage, result.scorer_usage, seconds)
        if isinstance(result, Answer):
            self.metrics.time_to_first_token_seconds.observe(result.ttft_s)
            if isinstance(work, Searching) and not result.overshoot:  # it came to its own end
                tokens = result.usage.tokens + result.scorer_usage.tokens
                took = {"tok": tokens, "s": result.latency_s, "T": self.flops(result) / 1e12}
                self._costs.book(work.method, len(result.candidates), took)  # type: ignore[arg-type]

    def _ended(self, ticket: Ticket[Any]) -> None:
        if job := self._open.pop(ticket, None):
            if not ticket.answered:
                self.metrics.requests_cancelled.inc()
            job.cancel()  # to no effect where it is done

    def _fail_all(self, error: BaseException) -> None:
        for ticket, job in list(self._open.items()):
            ticket.fail(error)
            job.cancel()

    def _count(self) -> None:
        self.metrics.requests_processing.set(self._scheduler.running)
        self.metrics.requests_deferred.set(self._scheduler.waiting)
        policy, *_ = self._scheduler.counters()
        self.metrics.kv_cache_usage_perc.set(policy.cells / policy.capacity)
