"""From records to rows: each configuration alone, and paired with full precision by question."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from methods import catalog
from methods.catalog import Selection
from profiles.intervals import Paired, accuracy, compare, percentile
from profiles.records.configuration import Configuration
from profiles.records.record import Alone, Record
from profiles.records.worker_facts import WorkerFacts
from profiles.report.rows import AtOnce, Change, Cost, Counts, Memory, Row, Setup
from profiles.report.traces import traces
from runtime.engine import Usage
from runtime.flops import flops, paper_flops


def row(
    configuration: Configuration,
    process: WorkerFacts,
    records: Sequence[Record],
    selection: Selection,
    baseline: Sequence[Record] = (),
) -> Row:
    """One line of the summary. `baseline` are full precision's records of the same method.

    A majority vote is not charged for the reward model that scored the same run for others.
    """
    search = configuration.spec.search
    charged = catalog.search_named(search).scored or catalog.SELECTIONS[selection].scored
    ran = [record for record in records if record.failed is None]
    timed = ran if configuration.parallel == 1 else [r.alone for r in ran if r.alone is not None]
    verdicts = [record.verdict(selection) for record in records]
    correct = [verdict.correct for verdict in verdicts]
    return Row(
        setup=Setup(
            format=configuration.format,
            level=process.policy.level,
            reward_level=configuration.reward_level if charged else None,
            method=catalog.shown_name(search, selection),
            search=search,
            thinking=configuration.thinking,
            protocol=configuration.protocol,
            width=configuration.spec.width,
            seed=configuration.seed,
            baseline=configuration.baseline,
            kv_type=configuration.options.kv_type,
        ),
        n=len(records),
        accuracy=accuracy(correct),
        accuracy_strict=fmean(verdict.correct_strict for verdict in verdicts),
        change=None if configuration.baseline else _change(pair(baseline, records, selection)),
        cost=_cost(ran, timed, process, charged),
        memory=_memory(records, process, charged),
        counts=Counts(
            unanswered=sum(verdict.answer is None for verdict in verdicts),
            failed=sum(record.failed is not None for record in records),
            truncated=sum(record.truncated for record in records),
            candidates=sum(record.candidates for record in records),
            dropped=sum(record.dropped for record in records),
        ),
        model=process.policy.name,
        device=process.policy.device,
        traces=traces(records, selection, () if configuration.baseline else baseline),
        at_once=_at_once(configuration, ran, process),
    )


def pair(
    theirs: Sequence[Record],
    ours: Sequence[Record],
    selection: Selection,
    their_selection: Selection | None = None,
) -> Paired | None:
    """Two systems on the questions that both have records of; None if there are none."""
    before = {record.id: record.verdict(their_selection or selection).correct for record in theirs}
    common = [record for record in ours if record.id in before]
    if not common:
        return None
    return compare(
        [before[record.id] for record in common],
        [record.verdict(selection).correct for record in common],
    )


def _change(paired: Paired | None) -> Change | None:
    if paired is None:
        return None
    return Change(
        delta_accuracy=paired.difference,
        delta_low=paired.low,
        delta_high=paired.high,
        paired_n=paired.n,
        flips_lost=paired.lost,
        flips_won=paired.won,
        mcnemar_p=paired.mcnemar_p,
    )


def _at_once(
    configuration: Configuration, ran: Sequence[Record], process: WorkerFacts
) -> AtOnce | None:
    if configuration.parallel == 1:
        return None
    alone = [record.alone for record in ran if record.alone is not None]
    return AtOnce(
        parallel=configuration.parallel,
        timed=len(alone),
        timed_same=sum(one.same for one in alone),
        questions_per_min=_ratio(60 * process.together_questions, process.together_s),
        run_tok_per_s=_ratio(process.together_tokens, process.together_s),
    )


def _cost(
    ran: Sequence[Record], timed: Sequence[Record | Alone], process: WorkerFacts, charged: bool
) -> Cost:
    """Tokens and operations of the questions that ran, seconds of those that were timed."""
    latency = [one.latency_s - (0.0 if charged else one.scorer_s) for one in timed]
    work = sum((one.policy for one in timed), Usage())
    policy = sum((record.policy for record in ran), Usage())
    reward = sum((record.reward for record in ran), Usage()) if charged else Usage()
    booked = sum(_booked(record) for record in ran)
    over = [record.overshoot for record in ran if record.overshoot is not None]
    policy_flops = flops(policy, process.policy.shape)
    reward_flops = flops(reward, process.reward.shape) if process.reward else 0
    return Cost(
        latency_p50_s=percentile(latency, 50) if timed else None,
        latency_p95_s=percentile(latency, 95) if timed else None,
        latency_mean_s=fmean(latency) if timed else None,
        ttft_p50_s=percentile([one.ttft_s for one in timed], 50) if timed else None,
        prefill_tok_per_s=_ratio(work.prefill_tokens, work.prefill_s),
        decode_tok_per_s=_ratio(work.decode_tokens, work.decode_s),
        sampling_share=_ratio(work.sampling_s, sum(latency)),
        prompt_tokens_per_question=_ratio(policy.prefill_tokens, len(ran)),
        decode_tokens_per_question=_ratio(policy.decode_tokens, len(ran)),
        thought_tokens_per_question=_ratio(policy.thought_tokens, len(ran)),
        thought_share=_ratio(policy.thoughts, policy.thoughts + policy.skipped_thoughts),
        reward_tokens_per_question=_ratio(reward.tokens, len(ran)),
        flops_per_question=_ratio(policy_flops + reward_flops, len(ran)),
        policy_flops_per_question=_ratio(policy_flops, len(ran)),
        reward_flops_per_question=_ratio(reward_flops, len(ran)),
        seed_flops_per_question=_ratio(paper_flops(booked, process.policy.shape), len(ran)),
        overshoot=fmean(over) if over else None,
    )


def _memory(records: Sequence[Record], process: WorkerFacts, charged: bool) -> Memory:
    reward = process.reward if charged else None
    return Memory(
        model_bytes=process.policy.size_bytes,
        reward_model_bytes=reward.size_bytes if reward else 0,
        bits_per_weight=process.policy.bits_per_weight,
        kv_bytes=max(record.policy_kv_bytes for record in records)
        + (max(record.reward_kv_bytes for record in records) if reward else 0),
        peak_rss_bytes=process.peak_rss_bytes,
        peak_vram_bytes=process.peak_vram_bytes,
        load_s=process.load_s,
        foretold_card_bytes=_foretold(process, charged),
    )


def _foretold(process: WorkerFacts, charged: bool) -> int | None:
    """Bytes of a card for every model that a row is charged for; None where one is not known."""
    known = [process.policy_card_bytes]
    known += [process.reward_card_bytes] if charged and process.reward else []
    return None if None in known else sum(filter(None, known))


def _booked(record: Record) -> int:
    """Tokens that the paper's code would charge."""
    tokens = record.booked_tokens
    return record.policy.decode_tokens if tokens is None else tokens


def _ratio(total: float, count: float) -> float | None:
    return total / count if count else None
