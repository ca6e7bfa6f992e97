"""The grid of a run: models at their levels, times methods, times widths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from convert.artifact import Aggregation, Artifact, PromptFormat
from convert.files import sha256
from convert.refusal import Refusal
from convert.self_judge import judge_path
from methods import catalog
from methods.answers.tasks import ANSWER_TOKENS, TaskName
from methods.arguments import MAX_TOKENS
from methods.build import MethodSpec, paper_spec
from methods.catalog import METHODS, ProtocolName
from methods.judges import AGGREGATED, OwnJudge, probe_of
from methods.pairing import check_policy, check_reward
from methods.token_limits import path_tokens, room_for_prompt, step_tokens
from profiles import paper_suite
from profiles.lineup import REFERENCE, ModelSources, are_files, is_file
from profiles.records.configuration import Configuration, fingerprint
from profiles.run.request import Request
from profiles.run.room import BranchGain, as_many, room_for
from runtime.devices import checkpoint_level
from runtime.options import EngineOptions, KvType, Thinking
from runtime.prompt_changes import names_chat

CLOSING_TOKENS = 8  # that end a `<think>` block, with some to spare
THOUGHT_TOKENS = 16  # of the KV cache, for the thought of one path
SAME = "same"


@dataclass(frozen=True, slots=True)
class Pair:
    """Models that run together."""

    policy: Artifact
    reward: Artifact | None
    baseline: bool = False
    kv_type: KvType = "f16"


def configurations(request: Request, models: ModelSources) -> list[Configuration]:
    """The configurations in the order they run: full precision first.

    Raises:
        Refusal: if models and methods do not fit together; says what to give.
    """
    fingerprints: dict[Path, str] = {}
    made = [
        _configuration(request, pair, thinking, spec, fingerprints)
        for policies, thinkings in groups(request)
        for pair in pairs(request, policies, models)
        for thinking, spec in cells(request)
        if thinking in thinkings and _wanted(request, pair, thinking)
    ]
    slugs = [configuration.slug for configuration in made]
    for slug in slugs:
        if slugs.count(slug) > 1:
            raise Refusal(f"two models would be called {slug}; rename one of the files")
    return made


def groups(request: Request) -> list[tuple[tuple[str, ...], tuple[Thinking, ...]]]:
    """Which models serve which ways of thinking."""
    plain = tuple(t for t in request.think if t == "off")
    thinking = tuple(t for t in request.think if t != "off")
    thinker = request.thinker
    if thinker is None and request.policies == ("reference:policy",):
        thinker = "reference:thinker"
    if thinker is None or not thinking:
        return [(request.policies, request.think)]
    found = [(request.policies, plain), ((thinker,), thinking)]
    return [group for group in found if group[1]]


def cells(request: Request) -> list[tuple[Thinking, MethodSpec]]:
    """Ways of thinking times searches; the selection says whether the reward model is read."""
    if request.suite:
        return list(paper_suite.cells(request.spec))
    paper = request.spec.protocol is ProtocolName.PAPER
    found = []
    for thinking in request.think:
        for search, width in searches(request):
            served = catalog.selections_of(search)
            judged = request.judges(search, width) and catalog.JUDGED in served
            selection = catalog.JUDGED if judged else served[0]
            own = catalog.search_named(search).settings(request.own)
            spec = replace(request.spec, search=search, width=width, selection=selection, own=own)
            found.append((thinking, paper_spec(search, width) if paper else spec))
    return found


def _wanted(request: Request, pair: Pair, thinking: Thinking) -> bool:
    """Whether a pair runs in this way of thinking, which it must be able to."""
    if thinking == "off":
        return True
    if pair.policy.thought is None:
        raise Refusal(
            f"{pair.policy.path.name} is no Quiet-STaR model and cannot think; "
            "give --thinker, or choose --think off"
        )
    levels = request.think_levels
    if levels is None:
        return True
    return pair.policy.level in levels or (pair.policy.format == "torch" and "f32" in levels)


def searches(request: Request) -> Iterator[tuple[str, int]]:
    """Each search once for all methods that read it, at every width that tells its runs apart."""
    wanted = {row.search.name: row.search for row in map(METHODS.__getitem__, request.methods)}
    for name, search in wanted.items():
        for width in request.widths_of(search):
            yield name, width


def pairs(request: Request, sources: Sequence[str], models: ModelSources) -> list[Pair]:
    """Policy and reward model of every level, the baseline first."""
    files = are_files(sources)
    reward = _reward_source(request) if request.needs_reward and not request.judge.alone else None
    if files:
        policies = [models.describe(Path(path)) for path in sources]
        levels = [policy.level for policy in policies]
        full = None
    else:
        policies = list(models.convert(sources[0], request.levels))
        levels = list(request.levels)
        full = _full_precision(request, sources[0], reward, models) if request.baseline else None
    rewards = _rewards(request, reward, levels, models)
    found = [Pair(policy, judge) for policy, judge in zip(policies, rewards, strict=True)]
    for pair in (*([full] if full else []), *found):
        check_policy(pair.policy)
        if pair.reward is not None:
            check_reward(pair.reward)
    found = [full, *found] if full else [replace(found[0], baseline=True), *found[1:]]
    return [with_cache for pair in found for with_cache in _caches(request, pair)]


def _caches(request: Request, pair: Pair) -> Iterator[Pair]:
    """A pair with each type of KV cache that it can have; the first one's may be the baseline."""
    types: tuple[KvType, ...] = request.kv_types if pair.policy.format == "gguf" else ("f16",)
    for place, kv_type in enumerate(types):
        yield replace(pair, kv_type=kv_type, baseline=pair.baseline and place == 0)


def _full_precision(
    request: Request, source: str, reward: str | None, models: ModelSources
) -> Pair:
    level = checkpoint_level(request.options.device)
    policy = models.describe(models.folder(source))
    judge = None
    if reward is not None:
        path = Path(reward) if is_file(reward) else models.folder(reward)
        judge = models.describe(path, request.reward_protocol)
    if judge is not None and judge.format == "torch":
        judge = replace(judge, level=level)
    return Pair(replace(policy, level=level), judge, baseline=True)


def _reward_source(request: Request) -> str:
    if request.judge.model is not None:
        return request.judge.model
    if request.policies[0].startswith(REFERENCE):
        return "reference:reward"
    needy = ", ".join(method for method in request.methods if METHODS[method].needs_reward)
    raise Refusal(
        f"{needy}: needs a reward model that reads this policy's steps; "
        f"give --reward, {catalog.WITHOUT_MODEL}, or choose --methods "
        f"{' '.join(catalog.without_reward())}"
    )


def _rewards(
    request: Request, reward: str | None, levels: Sequence[str], models: ModelSources
) -> Sequence[Artifact | None]:
    """The reward model for each level of the policy."""
    if reward is None:
        return [None] * len(levels)
    if is_file(reward):
        return [models.describe(Path(reward), request.reward_protocol)] * len(levels)
    wanted = levels if request.reward_level == SAME else [request.reward_level] * len(levels)
    unique = list(dict.fromkeys(wanted))
    converted = models.convert(reward, unique, request.reward_protocol)
    made = dict(zip(unique, converted, strict=True))
    return [made[level] for level in wanted]


def _configuration(
    request: Request,
    pair: Pair,
    thinking: Thinking,
    spec: MethodSpec,
    fingerprints: dict[Path, str],
) -> Configuration:
    judged, task = request.judges(spec.search, spec.width), request.task or "gsm8k"
    reward = pair.reward if judged else None
    own = request.judge.own if judged else None
    fair = spec.protocol is ProtocolName.FAIR  # the paper's code asks, and stops, as it does
    form = request.prompt.applied(pair.policy.prompt) if fair else None
    if fair:
        spec = _limited(spec, form, request.max_tokens)
    for model in (pair.policy, reward):
        if model is not None and model.path not in fingerprints:
            fingerprints[model.path] = fingerprint(model.path)
    beyond = _beyond(spec, task)
    cache, room = replace(request.options, kv_type=pair.kv_type), room_for_prompt(form)
    options = _options(cache, spec, thinking, room, beyond)
    bare = _options(replace(cache, context=0), spec, thinking, room, beyond).context
    parallel = request.parallel or as_many(spec, request.gain or BranchGain(1, 1))
    return Configuration(
        policy=pair.policy.path,
        reward=reward.path if reward else None,
        format=pair.policy.format,
        level=pair.policy.level,
        reward_level=reward.level if reward else None,
        spec=replace(spec, aggregation=_aggregation(spec, reward, own)),
        options=room_for(
            options, spec, parallel, [pair.policy, *([reward] if reward else [])], bare
        ),
        data=request.data,
        data_sha256=sha256(request.data),
        policy_fingerprint=fingerprints[pair.policy.path],
        reward_fingerprint=fingerprints[reward.path] if reward else None,
        limit=request.limit,
        shuffle=request.shuffle,
        seed=request.seed,
        task=task,
        baseline=pair.baseline,
        reward_protocol=request.reward_protocol if reward else None,
        prompt=_stored(pair.policy, form),
        parallel=parallel,
        latency_questions=request.latency_questions,
        shard=request.shard,
        judge=own,
        judge_fingerprint=_fitted(own, pair.policy),
    )


def _fitted(own: OwnJudge | None, policy: Artifact) -> str | None:
    """The fingerprint of the judge that was fitted to a policy, which has to be there."""
    return fingerprint(judge_path(policy.path)) if probe_of(own, policy) is not None else None


def _limited(spec: MethodSpec, form: PromptFormat | None, asked: int | None) -> MethodSpec:
    """A search with the lengths that were asked for, or are usual."""
    return replace(spec, max_tokens=path_tokens(form, asked), step_tokens=step_tokens(form, None))


def _stored(policy: Artifact, form: PromptFormat | None) -> PromptFormat | None:
    """The format to ask in, where it is not what the model itself or its chat template says."""
    own = form == policy.prompt and (form is None or form.name is None or names_chat(form))
    return None if own else form


def _aggregation(spec: MethodSpec, reward: Artifact | None, own: OwnJudge | None) -> Aggregation:
    """How the scores of a path become one: as asked, else as the judge's protocol says."""
    if spec.aggregation is not None:
        return spec.aggregation
    if own is not None and reward is None:
        return AGGREGATED[own]
    protocol = reward.reward if reward is not None and spec.protocol is ProtocolName.FAIR else None
    return protocol.aggregation if protocol is not None else "last"


def _beyond(spec: MethodSpec, task: TaskName) -> int:
    """Tokens that a path may get on top: a longer answer that is asked for, a block's end."""
    longer = ANSWER_TOKENS[task] - ANSWER_TOKENS["gsm8k"]
    return longer + (0 if spec.think_budget is None else CLOSING_TOKENS)


def _options(
    options: EngineOptions, spec: MethodSpec, thinking: Thinking, prompt_tokens: int, beyond: int
) -> EngineOptions:
    """A KV cache with room for every path at full length, beside the prompt.

    Raises:
        Refusal: if no machine could hold it.
    """
    path = spec.max_tokens + beyond + (0 if thinking == "off" else THOUGHT_TOKENS)
    search = catalog.search_named(spec.search)
    context = max(options.context, prompt_tokens + search.paths(spec.width) * path)
    if context > MAX_TOKENS:
        raise Refusal(
            f"{spec.width} paths of {path} tokens need a KV cache of {context} tokens, and "
            f"{MAX_TOKENS} are the most; lower --width or --max-tokens"
        )
    branches = max(options.max_branches, search.branches(spec.width))
    return replace(options, context=context, max_branches=branches, think=thinking)
