"""Greedy answers a minute and decoded tokens a second against llama.cpp's own tools, in one run.

    python tests/benchmarks/against_llama_server.py MODEL.gguf --data gsm8k.jsonl --tools FOLDER

FOLDER keeps llama-server and llama-batched-bench. What it lacks is built there from the llama.cpp
that llama-cpp-python's source package carries: the same code on both sides. The scheduler, `serve`
and llama-server see the same prompts, token by token, with as many connections as questions at
once.
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from methods.problem import read_problems
from runtime.engine import Engine, Sampling
from runtime.load import EngineOptions, open_engine
from runtime.prompt import prompt_tokens
from runtime.scheduler import Scheduler

BENCHMARK = Path(__file__).parents[2] / "convert" / "reference" / "benchmark.jsonl"
TOOLS = ("llama-server", "llama-batched-bench")
PROMPT, DECODE = 192, 64  # tokens of a branch where only decoding is timed
SIZES = (1, 4, 8, 16, 32, 64)
START_S = 120.0  # what the server may take to load


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--tools", type=Path, required=True, help="folder of llama.cpp's tools")
    parser.add_argument("--data", type=Path, default=BENCHMARK)
    parser.add_argument("--questions", type=int, default=128)
    parser.add_argument("--parallel", type=int, default=32)
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1, help="of all three, one after the other")
    options = parser.parse_args()
    build_tools(options.tools)
    sampling = Sampling(0, max_tokens=options.max_tokens)
    room = 512 + options.max_tokens  # tokens of a question
    settings = EngineOptions(
        device="cpu",
        context=room,
        max_branches=max(options.parallel, *SIZES) + 6,
        threads=options.threads,
        streams=True,
    )
    problems = read_problems(options.data, options.questions)
    for _ in range(options.rounds):
        with open_engine(options.model, settings) as engine:
            prompts = [list(prompt_tokens(engine, one.question)) for one in problems]
            ours, tokens = our_rate(engine, prompts, sampling, options.parallel)
        print(f"scheduler: {ours:.2f} questions/min, {tokens:.1f} tok/s")
        rates = {}
        for name, command in servers(options, room).items():
            with serving(command) as port:
                rate, tokens = server_rate(port, prompts, options.max_tokens, options.parallel)
            print(f"{name}: {rate:.2f} questions/min, {tokens:.1f} tok/s")
            rates[name] = rate
        ratios = [f"{rate / rates['llama-server']:.2f}" for rate in (ours, rates["serve"])]
        print(f"against llama-server: scheduler {ratios[0]}, serve {ratios[1]}", flush=True)
    with open_engine(options.model, settings) as engine:
        decoded = {size: our_decoding(engine, size) for size in SIZES}
    bench = bench_rates(options)
    for size in SIZES:
        print(f"decode, {size} branches: ours {decoded[size]:.1f} tok/s, tool {bench[size]:.1f}")
    most, best = max(decoded.values()), max(bench.values())
    print(f"best rates: ours {most:.1f}, llama-batched-bench {best:.1f}, ratio {most / best:.2f}")


def build_tools(folder: Path) -> None:
    """llama.cpp's tools in a folder, built from the source package where they are not there."""
    if all((folder / name).exists() for name in TOOLS):
        return
    folder.mkdir(parents=True, exist_ok=True)
    wanted = f"llama-cpp-python=={version('llama-cpp-python')}"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--no-binary", "llama-cpp-python", "-d", folder, wanted], check=True)
    with tarfile.open(next(folder.glob("llama_cpp_python-*.tar.gz"))) as packed:
        packed.extractall(folder, filter="data")
    source, build = next(folder.glob("llama_cpp_python-*/vendor/llama.cpp")), folder / "build"
    asked = ["-DCMAKE_BUILD_TYPE=Release", "-DLLAMA_BUILD_UI=OFF", "-DBUILD_SHARED_LIBS=OFF"]
    subprocess.run(["cmake", "-S", source, "-B", build, *asked], check=True)
    subprocess.run(["cmake", "--build", build, "--target", *TOOLS], check=True)
    for name in TOOLS:
        (folder / name).symlink_to((build / "bin" / name).absolute())


def our_rate(
    engine: Engine, prompts: Sequence[list[int]], sampling: Sampling, parallel: int
) -> tuple[float, float]:
    """Questions a minute and tokens a second under the scheduler."""

    def answer(view: Engine, prompt: list[int]) -> int:
        with view.open(prompt) as root:
            return len(view.extend([root], sampling)[0].token_ids)

    answer(engine, prompts[0])
    started = time.perf_counter()
    with Scheduler(engine, branches=parallel) as scheduler:
        jobs = [scheduler.submit(lambda view, p=prompt: answer(view, p)) for prompt in prompts]
        list(scheduler.run())
    seconds = time.perf_counter() - started
    return 60 * len(prompts) / seconds, sum(job.result() for job in jobs) / seconds


def our_decoding(engine: Engine, size: int) -> float:
    """Tokens a second of so many branches, each with a prompt of its own that is read before."""

    def decode(view: Engine) -> float:
        filler = view.tokenizer.encode_more(" 1")[-1:] * (PROMPT - 1)
        with ExitStack() as stack:
            roots = [stack.enter_context(view.open([100 + n, *filler])) for n in range(size)]
            started = time.perf_counter()
            steps = view.extend(roots, Sampling(0, max_tokens=DECODE, logprobs=False))
            return sum(len(step.token_ids) for step in steps) / (time.perf_counter() - started)

    with Scheduler(engine, branches=size) as scheduler:
        job = scheduler.submit(decode, width=size)
        list(scheduler.run())
    return float(job.result())


def servers(options: argparse.Namespace, room: int) -> dict[str, list[str]]:
    """Both servers with the same room, threads and connections; the port is to be added."""
    count, threads, cells = options.parallel, str(options.threads), room * options.parallel
    ours = [Path(sys.executable).with_name("serve"), "--policy", options.model, "--device", "cpu"]
    ours += ["--branches", count + 6, "--context", cells, "--threads", threads]
    theirs = [options.tools / "llama-server", "-m", options.model, "-np", count, "-kvu"]
    theirs += ["-c", cells, "-ngl", "0", "-t", threads, "-tb", threads, "--log-disable"]
    return {"llama-server": [*map(str, theirs)], "serve": [*map(str, ours)]}


@contextmanager
def serving(command: Sequence[str]) -> Iterator[int]:
    """A server on a free port, until the context is left."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    quiet = subprocess.DEVNULL
    server = subprocess.Popen([*command, "--port", str(port)], stdout=quiet, stderr=quiet)
    try:
        started = time.perf_counter()
        while not _healthy(port):
            if server.poll() is not None or time.perf_counter() - started > START_S:
                raise SystemExit(f"{command[0]} did not start: {server.poll()}")
            time.sleep(0.2)
        yield port
    finally:
        server.terminate()
        server.wait()


def _healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def server_rate(
    port: int, prompts: Sequence[list[int]], max_tokens: int, connections: int
) -> tuple[float, float]:
    """Questions a minute and tokens a second with so many connections."""

    def answer(prompt: list[int]) -> int:
        asked = {"prompt": prompt, "max_tokens": max_tokens, "temperature": 0}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/completions",
            json.dumps(asked).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as reply:
            found: dict[str, Any] = json.load(reply)
        return int(found["usage"]["completion_tokens"])

    answer(prompts[0])
    started = time.perf_counter()
    with ThreadPoolExecutor(connections) as pool:
        tokens = sum(pool.map(answer, prompts))
    seconds = time.perf_counter() - started
    return 60 * len(prompts) / seconds, tokens / seconds


def bench_rates(options: argparse.Namespace) -> dict[int, float]:
    """Tokens a second that llama-batched-bench decodes, by branches."""
    threads = str(options.threads)
    command = [options.tools / "llama-batched-bench", "-m", options.model, "-ngl", "0"]
    command += ["-c", str(max(SIZES) * (PROMPT + DECODE)), "-t", threads, "-tb", threads]
    command += ["-npp", str(PROMPT), "-ntg", str(DECODE), "-npl", ",".join(map(str, SIZES))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = re.findall(r"^\|[\d .|]+\|$", done.stdout, re.MULTILINE)
    cells = [[float(cell) for cell in row.strip("|").split("|")] for row in rows]
    return {int(row[2]): row[7] for row in cells}  # PP TG B N_KV T_PP S_PP T_TG S_TG T S


if __name__ == "__main__":
    main()
