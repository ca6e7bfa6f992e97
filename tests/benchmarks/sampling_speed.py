"""Host time of sampling for 64 rows of 151,936 logits: a plain sampler against ours, in one run.

    python tests/benchmarks/sampling_speed.py --threads 2

No model: peaked random logits, as a chat model's are. The draws are the same to the bit.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from runtime import devices
from runtime.engine import Sampling
from runtime.sampling import Sampler
from tests.runtime.plain_sampler import Drawn, plain_draw

KINDS = {
    "greedy, no log-probabilities": Sampling(0.0, logprobs=False),
    "greedy": Sampling(0.0),
    "temperature 1": Sampling(1.0),
    "top-p 0.95": Sampling(1.0, 0.95),
}
LIKELY = 40  # tokens of a row that are worth a thought


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--vocab", type=int, default=151_936)
    parser.add_argument("--threads", type=int, default=devices.threads())
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    devices.keep_numpy_single_threaded()
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(options.rows, options.vocab)).astype(np.float32) * 2
    for row in logits:
        row[rng.integers(0, options.vocab, LIKELY)] = 18 - rng.exponential(3, LIKELY)
    ids = [*range(options.rows)]
    sampler = Sampler(options.threads)
    print(f"{options.rows} rows of {options.vocab}, {options.threads} thread(s), best of repeats")
    for name, sampling in KINDS.items():

        def plain(sampling: Sampling = sampling) -> Drawn:
            return plain_draw(logits, sampling, ids, ids)

        def ours(sampling: Sampling = sampling) -> Drawn:
            return sampler.draw(logits, sampling, ids, ids)

        assert np.array_equal(plain()[0], ours()[0])
        before, after = best_s(plain, options.repeats), best_s(ours, options.repeats)
        print(
            f"{name}: {1e3 * before:.1f} ms before, {1e3 * after:.1f} ms now "
            f"({1e6 * after / options.rows:.0f} us a row), ratio {before / after:.2f}"
        )


def best_s(draw: Callable[[], Drawn], repeats: int) -> float:
    """The shortest of some calls, in seconds."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        draw()
        times.append(time.perf_counter() - started)
    return min(times)


if __name__ == "__main__":
    main()
