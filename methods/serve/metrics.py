"""Counters under Prometheus' names."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from runtime.engine import Usage

PREFIX = "starbase_edge"
SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """What a server has done so far."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.prompt_tokens = self._counter("prompt_tokens", "tokens of prompts evaluated")
        self.tokens_predicted = self._counter("tokens_predicted", "tokens sampled by the policy")
        self.thought_tokens = self._counter("thought_tokens", "hidden tokens sampled")
        self.reward_tokens = self._counter("reward_tokens", "tokens read by the reward model")
        self.prompt_seconds = self._counter("prompt_seconds", "seconds spent on prompts")
        self.tokens_predicted_seconds = self._counter("tokens_predicted_seconds", "spent sampling")
        self.requests_cancelled = self._counter("requests_cancelled", "left by their client")
        self.request_success = self._counter("request_success", "answered", ("finished_reason",))
        self.requests_refused = self._counter("requests_refused", "turned away, queue full")
        self.requests_processing = self._gauge("requests_processing", "being answered")
        self.requests_deferred = self._gauge("requests_deferred", "waiting to be admitted")
        self.kv_cache_usage_perc = self._gauge("kv_cache_usage_perc", "share of KV cells in use")
        self.e2e_request_latency_seconds = self._seconds("e2e_request_latency_seconds", "a request")
        self.time_to_first_token_seconds = self._seconds(
            "time_to_first_token_seconds", "a search's prompt"
        )

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self._registry)

    def book(self, policy: Usage, reward: Usage, latency_s: float) -> None:
        """Count what a request took, from when it was asked."""
        self.prompt_tokens.inc(policy.prefill_tokens)
        self.tokens_predicted.inc(policy.decode_tokens)
        self.thought_tokens.inc(policy.thought_tokens)
        self.reward_tokens.inc(reward.tokens)
        self.prompt_seconds.inc(policy.prefill_s)
        self.tokens_predicted_seconds.inc(policy.decode_s + policy.thought_s)
        self.e2e_request_latency_seconds.observe(latency_s)
        self.request_success.labels("stop").inc()

    def _counter(self, name: str, what: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(f"{PREFIX}_{name}", what, labels, registry=self._registry)

    def _gauge(self, name: str, what: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", what, registry=self._registry)

    def _seconds(self, name: str, what: str) -> Histogram:
        return Histogram(
            f"{PREFIX}_{name}", f"seconds of {what}", buckets=SECONDS, registry=self._registry
        )
