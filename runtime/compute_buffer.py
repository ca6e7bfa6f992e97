"""The size of llama.cpp's compute buffer: its allocator replayed on the shapes of its graph.

llama.cpp reserves one buffer for all that a batch computes in between, as the largest batch needs
it. Its allocator (ggml-alloc.c) gives every tensor of the graph the best fitting hole, and the last
use of a tensor frees it. The graph is that of a dense Llama, Mistral or Qwen with flash attention
(src/models/llama.cpp), as llama-cpp-python 0.3.36 carries them.
"""

from __future__ import annotations

from dataclasses import dataclass

from convert.artifact import Shape

ALIGNMENT = 32  # bytes, of llama.cpp's CPU buffers
FLOAT, HALF, INT, LONG = 4, 2, 4, 8
ROTATION = 64  # from this head size on quantized caches are rotated


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of the buffer, in bytes."""

    offset: int
    size: int


class Buffer:
    """A buffer that grows as tensors need it; `peak` is how large it got, in bytes."""

    def __init__(self) -> None:
        self.peak = 0
        self._holes: list[Block] = []  # sorted, without the endless one at `_end`
        self._end = 0

    def take(self, size: int) -> Block:
        """The smallest hole that holds `size` bytes, the later one of equals, or new room."""
        size = -(-size // ALIGNMENT) * ALIGNMENT
        fitting = [(hole.size, -n) for n, hole in enumerate(self._holes) if hole.size >= size]
        if not fitting:
            self._end += size
            self.peak = max(self.peak, self._end)
            return Block(self._end - size, size)
        number = -min(fitting)[1]
        hole = self._holes.pop(number)
        if hole.size > size:
            self._holes.insert(number, Block(hole.offset + size, hole.size - size))
        return Block(hole.offset, size)

    def free(self, *blocks: Block) -> None:
        """Give blocks back; holes side by side become one."""
        merged: list[Block] = []
        for hole in sorted([*self._holes, *blocks], key=lambda block: block.offset):
            if merged and merged[-1].offset + merged[-1].size == hole.offset:
                last = merged.pop()
                hole = Block(last.offset, last.size + hole.size)
            merged.append(hole)
        if merged and merged[-1].offset + merged[-1].size == self._end:
            self._end = merged.pop().offset
        self._holes = merged


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Bytes of the tensors of one batch of T tokens, O of them with logits."""

    hidden: int  # (T, D)
    picked: int  # (O, D)
    query: int  # (T, heads * head_dim)
    keys: int  # (T, kv_heads * head_dim)
    wide: int  # (T, feed_forward)
    wide_picked: int  # (O, feed_forward)
    logits: int  # (O, vocab)


def compute_bytes(
    shape: Shape,
    cells: int,
    branches: int,
    batch: int,
    *,
    logit_rows: int | None = None,
    rotated: bool = False,
) -> int:
    """Bytes of the compute buffer of a context.

    `cells` and `branches` are the context's n_ctx and n_seq_max, `batch` its n_ubatch. llama.cpp
    reserves as if every token of a batch had logits; with `logit_rows`, what a batch with so many
    then touches. `rotated`: the cache is quantized, so that queries, keys and values are turned.
    """
    most = min(batch, cells)
    tokens = -(-most // branches) * branches  # llama.cpp reserves for whole rounds of all branches
    rows = most if logit_rows is None else min(most, logit_rows)
    rotated = rotated and shape.head_dim % ROTATION == 0
    sizes = _Sizes(
        hidden=FLOAT * tokens * shape.hidden,
        picked=FLOAT * rows * shape.hidden,
        query=FLOAT * tokens * shape.heads * shape.head_dim,
        keys=FLOAT * tokens * shape.kv_heads * shape.head_dim,
        wide=FLOAT * tokens * shape.feed_forward,
        wide_picked=FLOAT * rows * shape.feed_forward,
        logits=FLOAT * rows * shape.vocab,
    )
    buffer = Buffer()
    token_ids = buffer.take(INT * tokens)
    buffer.take(sizes.hidden)  # an input for embeddings instead of tokens, never freed
    inputs = [buffer.take(INT * tokens)]  # positions
    if rotated:
        inputs += [buffer.take(FLOAT * _rotation(shape.head_dim) ** 2)]
        inputs += [buffer.take(FLOAT * ROTATION**2)]
    inputs += [buffer.take(LONG * tokens), buffer.take(LONG * tokens)]  # cells of keys and values
    inputs += [
        buffer.take(HALF * cells * tokens)
    ]  # the attention mask, (T, cells) in half precision
    picked = buffer.take(INT * rows)
    stream = buffer.take(sizes.hidden)
    buffer.free(token_ids)
    for _ in range(shape.layers - 1):
        attended = _attention(buffer, sizes, rotated=rotated)
        buffer.free(stream)  # added to what attention gave, in its place
        stream = _feed_forward(buffer, attended, sizes.hidden, sizes.wide)
    stream = _last_layer(buffer, sizes, stream, [*inputs, picked], rotated=rotated)
    buffer.take(sizes.logits)
    return buffer.peak


def _attention(
    buffer: Buffer, sizes: _Sizes, *, rotated: bool, inputs: list[Block] | None = None
) -> Block:
    """What attention adds to the stream, which stays."""
    normed = buffer.take(sizes.hidden)
    query = _moved(buffer, buffer.take(sizes.query))  # turned by its position
    query = _moved(buffer, query) if rotated else query
    key = _moved(buffer, buffer.take(sizes.keys))
    key = _moved(buffer, key) if rotated else key
    value = buffer.take(sizes.keys)
    buffer.free(normed)
    value = _moved(buffer, value) if rotated else value
    buffer.free(key)  # both are in the cache now
    buffer.free(value)
    mixed = buffer.take(sizes.query)
    buffer.free(query)
    for block in inputs or []:
        buffer.free(block)
    mixed = _moved(buffer, mixed) if rotated else mixed
    out = buffer.take(sizes.hidden)
    buffer.free(mixed)
    return out


def _moved(buffer: Buffer, block: Block) -> Block:
    """What an operation makes of a block that it cannot write over."""
    moved = buffer.take(block.size)
    buffer.free(block)
    return moved


def _feed_forward(buffer: Buffer, stream: Block, hidden: int, wide: int) -> Block:
    """The stream after SwiGLU: in a place of its own."""
    normed = buffer.take(hidden)
    gate, up = buffer.take(wide), buffer.take(wide)
    buffer.free(normed)
    product = buffer.take(wide)
    buffer.free(gate)
    buffer.free(up)
    down = buffer.take(hidden)
    buffer.free(product)
    buffer.free(stream)
    return down


def _last_layer(
    buffer: Buffer, sizes: _Sizes, stream: Block, inputs: list[Block], *, rotated: bool
) -> Block:
    """The stream of the rows with logits, (O, D); no input is needed after it."""
    attended = _attention(buffer, sizes, rotated=rotated, inputs=inputs[:-1])
    chosen = buffer.take(sizes.picked)
    buffer.free(attended)
    residual = buffer.take(sizes.picked)
    buffer.free(stream, inputs[-1])
    buffer.free(residual)
    return _feed_forward(buffer, chosen, sizes.picked, sizes.wide_picked)


def _rotation(head_dim: int) -> int:
    """Side of the rotation of keys: the largest power of two times 64 that divides a head."""
    side = ROTATION
    while head_dim % (2 * side) == 0:
        side *= 2
    return side
