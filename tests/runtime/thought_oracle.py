"""The parallel forward of the original Quiet-STaR: thoughts after all positions at once.

One pass over the text and, for every stage of the thought, one token a position. A thought token
sees the text up to its own position and its own thought so far: within a stage the mask is
diagonal (methods of arXiv 2403.09629, figure 3).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Floats = npt.NDArray[np.float32]


@torch.inference_mode()
def parallel_logits(
    model: Any, head: torch.nn.Module, text: list[int], thoughts: list[list[int]], rows: Any
) -> Floats:
    """(L, V) mixed logits after every token of `text`, with given sampled tokens.

    `thoughts` holds the sampled tokens of each position, `rows` (2, D) the inputs of START and END.
    """
    length, sampled = len(text), len(thoughts[0])
    embed = model.get_input_embeddings()
    start, end = (row.expand(length, -1) for row in rows)
    stages = [start, *(embed(torch.tensor([t[k] for t in thoughts])) for k in range(sampled)), end]
    inputs = torch.cat([embed(torch.tensor(text)), *stages])[None]
    blocks = len(stages) + 1
    place = torch.arange(length).repeat(blocks)
    stage = torch.arange(blocks).repeat_interleave(length)
    text_keys = (stage == 0)[None] & (place[None] <= place[:, None])
    own_keys = (stage > 0)[None] & (place[None] == place[:, None]) & (stage[None] <= stage[:, None])
    mask = torch.zeros(text_keys.shape).masked_fill(~(text_keys | own_keys), -torch.inf)
    states = model.model(
        inputs_embeds=inputs,
        attention_mask=mask[None, None],
        position_ids=(place + stage)[None],
        use_cache=False,
    ).last_hidden_state[0]
    base, thought = states[:length], states[-length:]
    weight = head(torch.cat([base, thought], dim=1))
    mixed = model.get_output_embeddings()((1 - weight) * base + weight * thought)
    return np.asarray(mixed.float().numpy())
