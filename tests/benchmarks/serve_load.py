"""Many clients at once on a server of the reference pair: right answers, no leak, a quick /health.

    python tests/benchmarks/serve_load.py --clients 200 --seconds 120

Every client asks one of a few requests over and over; a fifth of them leave in the middle. Answers
are compared with those of the same requests alone. At f32 each must be the same: calls of different
sizes differ in the last of 24 bits there. At other levels (`--quant q4_k_m`) kernels round by the
number of rows, and answers that differ are only counted. Also sends 1,000 malformed bodies. Exit
code 1 where anything is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import psutil

QUESTION = "Mia bakes 6 trays of 8 rolls and sells 20. How many are left?"
ASK = {"messages": [{"role": "user", "content": QUESTION}], "seed": 0}
KINDS: dict[str, dict[str, Any]] = {
    "plain, cold": {"temperature": 0},
    "plain": {"temperature": 0.7},
    "streamed": {"temperature": 0.7, "stream": True},
    "majority": {"method": "majority", "width": 4},
    "rebase": {"method": "rebase", "width": 4},
}
PATH = "/v1/chat/completions"
LEAVING = 0.2  # of the clients, in the middle of an answer


async def main(clients: int, seconds: float, quant: str) -> int:
    command = [str(Path(sys.executable).with_name("serve")), "--port", "0", "--queue", "1000"]
    command += ["--quant", quant]
    with subprocess.Popen(command, stderr=subprocess.PIPE, encoding="utf-8") as server:
        assert server.stderr is not None
        url = next(m[1] for line in server.stderr if (m := re.search(r"at (http://\S+),", line)))
        try:
            limits = httpx.Limits(max_connections=None)
            async with httpx.AsyncClient(base_url=url, timeout=None, limits=limits) as client:
                process = psutil.Process(server.pid)
                return await _load(client, process, clients, seconds, exact=quant == "f32")
        finally:
            server.terminate()


async def _load(
    client: httpx.AsyncClient, server: Any, clients: int, seconds: float, *, exact: bool
) -> int:
    alone = {name: await _answer(client, fields) for name, fields in KINDS.items()}
    before = _memory(server)
    found: Counter[str] = Counter()
    waits: list[float] = []
    deadline = time.monotonic() + seconds
    tasks = [_client(client, n, deadline, alone, found) for n in range(clients)]
    await asyncio.gather(_health(client, deadline, waits), *tasks)
    broken = await _malformed(client)
    await asyncio.sleep(1.0)
    metrics = (await client.get("/metrics")).text
    left = float(re.search(r"requests_processing ([0-9.]+)", metrics)[1])  # type: ignore[index]
    waits.sort()
    report = {
        "clients": clients,
        "seconds": seconds,
        **dict(sorted(found.items())),
        "requests left": left,
        "health p99 ms": round(1000 * waits[int(0.99 * len(waits))], 1),
        "memory MiB": [before >> 20, _memory(server) >> 20],
        "malformed bodies without an error object": broken,
    }
    print(json.dumps(report, indent=1))
    wrong = found["differently"] if exact else 0
    return int(bool(left or broken or wrong or found["no answer"]))


async def _client(
    client: httpx.AsyncClient,
    number: int,
    deadline: float,
    alone: dict[str, str],
    found: Counter[str],
) -> None:
    chance = random.Random(number)
    while time.monotonic() < deadline:
        name = chance.choice(list(KINDS))
        if chance.random() < LEAVING:
            try:
                await asyncio.wait_for(_answer(client, KINDS[name]), chance.uniform(0.01, 0.5))
                found["done before leaving"] += 1
            except TimeoutError:
                found["left"] += 1
            continue
        try:
            answer = await _answer(client, KINDS[name])
        except httpx.HTTPError:
            found["no answer"] += 1
            continue
        found["answered"] += 1
        found["as alone" if answer == alone[name] else "differently"] += 1


async def _answer(client: httpx.AsyncClient, fields: dict[str, Any]) -> str:
    if not fields.get("stream"):
        reply = await client.post(PATH, json={**ASK, **fields})
        reply.raise_for_status()
        return str(reply.json()["choices"][0]["message"]["content"])
    text = ""
    async with client.stream("POST", PATH, json={**ASK, **fields}) as reply:
        reply.raise_for_status()
        async for line in reply.aiter_lines():
            if line.startswith("data: {"):
                for choice in json.loads(line[6:])["choices"]:
                    text += choice["delta"].get("content", "")
    return text


async def _health(client: httpx.AsyncClient, deadline: float, waits: list[float]) -> None:
    while time.monotonic() < deadline:
        began = time.monotonic()
        (await client.get("/health")).raise_for_status()
        waits.append(time.monotonic() - began)
        await asyncio.sleep(0.1)


async def _malformed(client: httpx.AsyncClient) -> int:
    """How many of 1,000 broken bodies get anything but an error of theirs."""
    chance, wrong = random.Random(0), 0
    good = json.dumps({**ASK, "max_tokens": 4}).encode()
    for _ in range(1000):
        body = bytearray(good)
        for _ in range(chance.randint(1, 8)):
            body[chance.randrange(len(body))] = chance.randrange(256)
        if chance.random() < 0.3:
            del body[chance.randrange(len(body)) :]
        reply = await client.post(
            PATH, content=bytes(body), headers={"content-type": "application/json"}
        )
        if reply.status_code >= 500 or (reply.status_code >= 400 and "error" not in reply.json()):
            wrong += 1
    return wrong


def _memory(server: Any) -> int:
    return sum(p.memory_info().rss for p in [server, *server.children(recursive=True)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--quant", default="f32", help="level of the reference pair")
    options = parser.parse_args()
    sys.exit(asyncio.run(main(options.clients, options.seconds, options.quant)))
