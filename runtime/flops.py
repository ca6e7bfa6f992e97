"""Floating-point operations from counted work and a model's shape; nothing is run."""

from __future__ import annotations

from convert.artifact import Shape
from runtime.engine import Usage


def flops(usage: Usage, shape: Shape) -> int:
    """Operations of the matrix products that `usage` took; a multiply and an add are two.

    Projections for every evaluated token, the output projection for every row of logits, attention
    (scores and their sum of values) over the tokens really attended to, and the talk head for every
    thought. Norms, rotations and activations are left out: under 1 % from widths of 256 on.
    """
    projections = 2 * shape.linear_parameters * usage.tokens
    logits = 2 * shape.head_parameters * usage.logit_rows
    attention = 4 * shape.layers * shape.heads * shape.head_dim * usage.context_tokens
    talk_head = 2 * (3 * shape.hidden**2 + shape.hidden) * usage.thoughts
    return projections + logits + attention + talk_head


def paper_flops(tokens: int, shape: Shape) -> int:
    """What the code of arXiv 2412.16260 would book, its faults kept, to compare with its tables.

    It takes the head size for the width of attention, two matrices of SwiGLU instead of three, no
    output projection, and charges visible tokens only: no prompt, no thought, no reward model.
    """
    attention = 2 * shape.hidden // shape.heads
    parameters = 2 * shape.hidden * shape.layers * (attention + shape.feed_forward)
    per_token = 2 * parameters + 2 * shape.layers * shape.hidden
    return per_token * tokens
