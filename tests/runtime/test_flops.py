"""Operations against torch's own counter on a seeded Mistral."""

from __future__ import annotations

from typing import Any

import pytest

from convert.artifact import Shape
from runtime.engine import Usage
from runtime.flops import flops, paper_flops

MISTRAL_7B = Shape(
    layers=32,
    hidden=4096,
    heads=32,
    kv_heads=8,
    head_dim=128,
    feed_forward=14336,
    vocab=32000,
    context=32768,
)
SMALL = Shape(  # attention is a fifth of the whole at 100 tokens: an error in it shows
    layers=2,
    hidden=64,
    heads=4,
    kv_heads=2,
    head_dim=16,
    feed_forward=128,
    vocab=96,
    context=512,
)
TOKENS = 100


@pytest.fixture(scope="module")
def mistral() -> Any:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.MistralConfig(
        vocab_size=SMALL.vocab,
        hidden_size=SMALL.hidden,
        intermediate_size=SMALL.feed_forward,
        num_hidden_layers=SMALL.layers,
        num_attention_heads=SMALL.heads,
        num_key_value_heads=SMALL.kv_heads,
        head_dim=SMALL.head_dim,
        max_position_embeddings=SMALL.context,
        sliding_window=None,
        attn_implementation="eager",  # torch's counter does not know the CPU's fused kernel
    )
    return transformers.MistralForCausalLM(config).eval()


def test_decoding_matches_torchs_counter(mistral: Any) -> None:
    """Token by token on a KV cache each query sees its past only, in torch's count as in ours."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    ids = torch.randint(0, SMALL.vocab, (1, TOKENS))
    past = None
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        for position in range(TOKENS):
            token = ids[:, position : position + 1]
            past = mistral(token, past_key_values=past, use_cache=True).past_key_values
    usage = Usage(
        decode_tokens=TOKENS, context_tokens=TOKENS * (TOKENS + 1) // 2, logit_rows=TOKENS
    )
    assert flops(usage, SMALL) == pytest.approx(counter.get_total_flops(), rel=0.02)


def test_prefill_matches_torchs_counter_but_for_the_masked_half(mistral: Any) -> None:
    """Torch counts the whole square of a prompt's attention, we the half below the diagonal."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    ids = torch.randint(0, SMALL.vocab, (1, TOKENS))
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        mistral(ids, use_cache=False, logits_to_keep=1)
    square = Usage(prefill_tokens=TOKENS, context_tokens=TOKENS**2, logit_rows=1)
    causal = Usage(prefill_tokens=TOKENS, context_tokens=TOKENS * (TOKENS + 1) // 2, logit_rows=1)
    assert flops(square, SMALL) == pytest.approx(counter.get_total_flops(), rel=0.02)
    assert flops(causal, SMALL) < 0.9 * counter.get_total_flops()


def test_a_token_of_mistral_7b_costs_its_parameters_twice() -> None:
    """methods.md 3.5: 2 (6.979e9 + 0.131e9) + 524,288 c."""
    usage = Usage(decode_tokens=1, context_tokens=1000, logit_rows=1)
    assert flops(usage, MISTRAL_7B) == pytest.approx(14.22e9 + 524_288 * 1000, rel=1e-3)


def test_thoughts_and_prompts_cost_like_any_token() -> None:
    decoded = flops(Usage(decode_tokens=7), SMALL)
    assert flops(Usage(thought_tokens=7), SMALL) == decoded
    assert flops(Usage(prefill_tokens=7), SMALL) == decoded


def test_the_papers_own_figure() -> None:
    """7,650,672,640 a visible token (methods.md 1.3), prompt and thoughts free."""
    usage = Usage(prefill_tokens=100, decode_tokens=2, thought_tokens=50, logit_rows=2)
    assert paper_flops(usage.decode_tokens, MISTRAL_7B) == 2 * 7_650_672_640


def test_a_thought_costs_its_talk_head() -> None:
    """Layers of 2 D x D, D x D and D x 1: 0.10 GFLOP for Mistral-7B (methods.md 3.5)."""
    once = flops(Usage(thoughts=1), MISTRAL_7B)
    assert once == 2 * (2 * 4096 * 4096 + 4096 * 4096 + 4096)
    assert once == pytest.approx(0.10e9, rel=0.02)
