"""Request bodies: what clients send. `null` means absent; unknown fields are passed over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from convert.artifact import Aggregation
from runtime.options import Thinking

MOST_TOKENS = 1 << 24
MOST_CHOICES = 256
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Role = Literal["developer", "system", "user", "assistant", "tool", "function"]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Ids = list[Annotated[int, Field(ge=0, lt=1 << 31)]]


class Body(BaseModel):
    """A JSON object in which `null` means absent."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _absent(cls, given: Any) -> Any:
        if isinstance(given, Mapping):
            return {name: value for name, value in given.items() if value is not None}
        return given


class StreamOptions(Body):
    """What a stream tells beside the text."""

    include_usage: bool = False


class Reasoning(Body):
    """How much to think, in the form of ollama and OpenRouter."""

    effort: Effort | None = None


class CompletionBody(Body):
    """What both kinds of completion take, and how to search."""

    model: str = ""
    max_tokens: Annotated[int, Field(ge=0, le=MOST_TOKENS)] | None = None
    temperature: Annotated[Finite, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[Finite, Field(ge=0, le=1)] = 1.0
    seed: int | None = None
    stop: str | list[str] = Field(default_factory=list, max_length=4096)
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES)] = 1
    presence_penalty: Annotated[Finite, Field(ge=-2, le=2)] = 0.0
    frequency_penalty: Annotated[Finite, Field(ge=-2, le=2)] = 0.0
    logit_bias: dict[
        Annotated[str, Field(max_length=10)], Annotated[Finite, Field(ge=-100, le=100)]
    ] = Field(default_factory=dict)
    stream: bool = False
    stream_options: StreamOptions = Field(default_factory=StreamOptions)
    # ours: flat, so that lm-eval's --gen_kwargs and OpenAI's extra_body reach them
    method: str | None = None
    width: Annotated[int, Field(ge=1, le=MOST_CHOICES)] | None = None
    think: Thinking | bool | None = None
    budget: str | float | None = None
    balance: Annotated[Finite, Field(gt=0)] | None = None
    aggregation: Aggregation | None = None
    search: bool = False  # tell candidates, votes, scores and stages in the answer
    sse_ping_interval: Annotated[Finite, Field(gt=0)] | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """Texts at which a completion ends."""
        given = [self.stop] if isinstance(self.stop, str) else self.stop
        return tuple(stop for stop in given if stop)


class MessagePart(Body):
    """A part of a message."""

    type: str = "text"
    text: str = ""
    refusal: str = ""


class Message(Body):
    """One turn of a conversation."""

    role: Role
    content: str | list[str | MessagePart] = ""
    name: str | None = None
    tool_calls: list[Any] = Field(default_factory=list)


class ResponseFormat(Body):
    """The form that an answer is wanted in."""

    type: str = "text"


class ChatBody(CompletionBody):
    """The body of /v1/chat/completions."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1, le=MOST_TOKENS)] | None = None
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=20)] = 0
    reasoning_effort: Effort | None = None
    reasoning: Reasoning = Field(default_factory=Reasoning)
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)
    response_format: ResponseFormat = Field(default_factory=ResponseFormat)
    tools: list[Any] = Field(default_factory=list)
    functions: list[Any] = Field(default_factory=list)
    tool_choice: Any = "auto"

    @property
    def effort(self) -> Effort | None:
        """How much to think, by either of its names."""
        return self.reasoning_effort or self.reasoning.effort


class TextBody(CompletionBody):
    """The body of /v1/completions."""

    prompt: str | Ids | list[str] | list[Ids]
    logprobs: bool | Annotated[int, Field(ge=0, le=20)] = False
    echo: bool = False
    best_of: Annotated[int, Field(ge=1, le=MOST_CHOICES)] | None = None
    suffix: str = ""

    @property
    def top_logprobs(self) -> int | None:
        """Alternatives to tell of every token; None where logprobs are not wanted."""
        return None if self.logprobs is False else int(self.logprobs)


class TokenizeBody(Body):
    """The body of /tokenize, in llama-server's form and in vLLM's."""

    content: str | None = None
    prompt: str | None = None
    messages: list[Message] = Field(default_factory=list)
    add_special: bool | None = None
    add_special_tokens: bool | None = None
    parse_special: bool = True
    with_pieces: bool = False


class DetokenizeBody(Body):
    """The body of /detokenize."""

    tokens: Ids


class TemplateBody(Body):
    """The body of /apply-template."""

    messages: Annotated[list[Message], Field(min_length=1)]
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)


class PoolingBody(Body):
    """The body of /pooling: a question with steps, or a conversation that holds both."""

    model: str = ""
    input: str | list[str] | None = None
    prompt: str | None = None
    steps: list[str] = Field(default_factory=list, max_length=4096)
    messages: list[Message] = Field(default_factory=list)
    aggregation: Aggregation | None = None


class ScoreBody(Body):
    """The body of /v1/score: questions and answers, by any of their names."""

    model: str = ""
    queries: str | list[str] | None = None
    text_1: str | list[str] | None = None
    documents: str | list[str] | None = None
    text_2: str | list[str] | None = None
    aggregation: Aggregation | None = None


class RerankText(Body):
    """A document of /v1/rerank that is not a bare text."""

    text: str


class RerankBody(Body):
    """The body of /v1/rerank: a question, and answers to put in order."""

    model: str = ""
    query: str
    documents: Annotated[list[str | RerankText], Field(min_length=1)]
    top_n: Annotated[int, Field(ge=1)] | None = None
    return_documents: bool = False
    aggregation: Aggregation | None = None
