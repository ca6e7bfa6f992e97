"""An artifact: a model file, its heads, and a manifest with all that the runtime needs to know."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from convert.files import write_json
from convert.refusal import Refusal
from convert.typed import read_typed

Role = Literal["policy", "reward", "thinker"]
Format = Literal["gguf", "onnx", "torch"]
RewardKind = Literal["token_logits", "value", "classify"]
ThoughtEmbedding = Literal["trained", "dash"]
Aggregation = Literal["last", "min", "prod", "mean"]

MANIFEST_SUFFIX = ".manifest.json"


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a decoder, in the names of its configuration; the largest where layers differ.

    `linear` and `cached` count what the sizes cannot tell of other decoders than Llama's: weights
    multiplied for every token, and keys and values that a token keeps.
    """

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    feed_forward: int
    vocab: int
    context: int
    linear: int | None = None
    cached: int | None = None

    @property
    def linear_parameters(self) -> int:
        """Weights multiplied once for every token: attention and SwiGLU projections."""
        if self.linear is not None:
            return self.linear
        attention = 2 * self.hidden * self.head_dim * (self.heads + self.kv_heads)
        return self.layers * (attention + 3 * self.hidden * self.feed_forward)

    @property
    def head_parameters(self) -> int:
        """Weights of the output projection, multiplied once for every row of logits."""
        return self.hidden * self.vocab

    def kv_bytes_per_token(self, bytes_per_value: float = 2.0) -> float:
        """Bytes of keys and values that one token keeps over all layers."""
        even = 2 * self.layers * self.kv_heads * self.head_dim
        return (even if self.cached is None else self.cached) * bytes_per_value


@dataclass(frozen=True, slots=True)
class PromptFormat:
    """How a policy is asked, where a step of its answer ends, and how it marks the result.

    `template` holds `{question}`, and control tokens by name if any; None means the model's own
    chat template, or the zero-shot chain-of-thought prompt where it has none.
    """

    template: str | None = None
    step_stop: str = "\n\n"
    answer_marker: str = "The answer is"
    name: str | None = None  # of the preset that it came from
    system: str | None = None  # what stands before all else: a chat's system message, or a text
    shots: int = 0  # solved examples before the question
    variables: str | None = None  # of the chat template, as a JSON table


@dataclass(frozen=True, slots=True)
class RewardProtocol:
    """How a process reward model reads a solution and where its score stands.

    It reads `template`, which holds `{question}`, then `join`, a step and `step_tag`, then `after`,
    `between`, the next step and `step_tag`, and so on. Steps lose the white space around them.

    `token_logits`: softmax over the logits of `good_id` and `bad_id` at the last token of
    `step_tag` (Math-Shepherd). `value`: sigmoid of a one-output head there. `classify`: softmax
    of a head with several outputs, entry `positive_index`.
    """

    kind: RewardKind
    step_tag: str
    template: str = "{question}"
    join: str = " "  # between the question and the first step
    between: str | None = None  # before each further step; None: what the policy wrote there
    after: str = ""  # the score: a turn that the model would have written
    good_id: int | None = None
    bad_id: int | None = None
    positive_index: int = 1
    aggregation: Aggregation = "last"

    @property
    def reads_logits(self) -> bool:
        """Whether its scores are logits of tokens; if not, a head reads hidden states."""
        return self.kind == "token_logits"


@dataclass(frozen=True, slots=True)
class ThoughtProtocol:
    """How a Quiet-STaR model thinks before a token (Zelikman et al. 2024).

    A thought takes `n_ahead` positions from the text token on: START, `n_ahead - 3` sampled tokens
    and END. The embeddings of START and END are the `trained` ones, or that of `---`, which the
    released evaluation code puts in their place (`dash`).
    """

    start_id: int
    end_id: int
    n_ahead: int = 8
    embedding: ThoughtEmbedding = "trained"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model on disk that an engine can open."""

    path: Path
    format: Format
    level: str
    role: Role
    architecture: str
    shape: Shape
    size_bytes: int
    bits_per_weight: float
    source: str
    revision: str | None = None
    prompt: PromptFormat | None = None
    reward: RewardProtocol | None = None
    thought: ThoughtProtocol | None = None
    heads: str | None = None  # file name beside `path`
    tokenizer: str | None = None  # likewise, where the model file does not hold it
    sha256: dict[str, str] = field(default_factory=dict)  # by file name
    tools: dict[str, str] = field(default_factory=dict)  # versions that made it

    @property
    def manifest_path(self) -> Path:
        return manifest_path(self.path)

    @property
    def heads_path(self) -> Path | None:
        return None if self.heads is None else self.path.with_name(self.heads)

    def write(self) -> None:
        """Write the manifest beside the model, whole or not at all."""
        write_json(self.manifest_path, asdict(self) | {"path": self.path.name}, indent=2)


def manifest_path(model: Path) -> Path:
    """Where the manifest of a model stands."""
    return model.with_name(model.name + MANIFEST_SUFFIX)


def read_artifact(path: Path) -> Artifact:
    """The artifact whose manifest stands beside `path`.

    Raises:
        FileNotFoundError: if there is no manifest.
        Refusal: if the manifest is not one of ours; names the file.
    """
    manifest = manifest_path(path)
    found = read_typed(Artifact, manifest, "a starbase-edge manifest")
    beside = [name for name in (found.heads, found.tokenizer) if name is not None]
    for name in (str(found.path), *beside, *found.sha256):
        if name != Path(name).name:
            raise Refusal(f"{manifest} names {name!r}, which is no file beside it")
    return replace(found, path=path)
