"""The endpoints. A request is read and answered here; what it asks for happens at the desk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse

from methods.serve import chats, completions, errors, rewards, texts
from methods.serve.desk import Desk
from methods.serve.errors import ApiError
from methods.serve.exchange import Exchange, Together
from methods.serve.fields import (
    ChatBody,
    DetokenizeBody,
    PoolingBody,
    RerankBody,
    ScoreBody,
    TemplateBody,
    TextBody,
    TokenizeBody,
)
from methods.serve.guard import Guard, hosts_for
from methods.serve.stream import EventStream, with_pings

LOCAL_ORIGIN = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?"


@dataclass(frozen=True, slots=True)
class Door:
    """How a server is reached."""

    host: str = "127.0.0.1"
    keys: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()  # names it is reached by, beside this machine's own
    origins: tuple[str, ...] | None = None  # of pages that may ask; None: this machine's
    body_bytes: int = 8 << 20
    ping_s: float = 15.0


def make_app(desk: Desk, door: Door) -> Any:
    """The application: endpoints with and without /v1, all errors alike, the door before them."""
    app = FastAPI(title="starbase-edge", redirect_slashes=False)
    errors.install(app)
    for prefix in ("/v1", ""):  # in this order, or v1 would be taken for a method
        app.include_router(_generation(desk, door), prefix=prefix)
        app.include_router(_about(desk), prefix=prefix)
        app.include_router(_rewards(desk), prefix=prefix)
    app.include_router(_once(desk))
    guarded: Any = Guard(
        app,
        tuple(key.encode() for key in door.keys),
        hosts_for(door.host, door.hosts),
        door.body_bytes,
    )
    return CORSMiddleware(
        guarded,
        allow_origins=door.origins or (),
        allow_origin_regex=None if door.origins else LOCAL_ORIGIN,
        allow_methods=["*"],
        allow_headers=["*"],
    )


def _generation(desk: Desk, door: Door) -> APIRouter:
    router = APIRouter()

    async def chat(body: ChatBody, request: Request, method: str | None = None) -> Response:
        asked = await chats.read(desk, body, method)
        return await _reply(request, asked, body.stream, body.sse_ping_interval or door.ping_s)

    async def text(body: TextBody, request: Request, method: str | None = None) -> Response:
        asked = await completions.read(desk, body, method)
        return await _reply(request, asked, body.stream, body.sse_ping_interval or door.ping_s)

    for path, handler in (("/chat/completions", chat), ("/completions", text)):
        router.post(path)(handler)
        router.post("/{method}" + path)(handler)
    return router


async def _reply(
    request: Request, asked: Exchange[Any] | Together, stream: bool, ping_s: float
) -> Response:
    """The answer, in one piece or as a stream; a client that leaves frees what it used."""
    if stream:
        return EventStream(with_pings(asked.chunks(), ping_s), asked.cancel)
    return JSONResponse(await until_gone(request, asked.whole(), asked.cancel))


async def until_gone(request: Request, answer: Awaitable[Any], cancel: Callable[[], None]) -> Any:
    """The answer, unless the client leaves before it is there."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    task, left = asyncio.ensure_future(answer), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({task, left}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ApiError(400, "the client has left")
    finally:
        left.cancel()
        if not task.done():
            cancel()
            task.cancel()


def _about(desk: Desk) -> APIRouter:
    router = APIRouter()

    @router.get("/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [desk.model(name) for name in desk.served.ids()]}

    @router.get("/models/{name:path}")
    async def model(name: str) -> dict[str, Any]:
        return desk.model(name)

    @router.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/props")
    async def props() -> dict[str, Any]:
        return desk.props()

    @router.post("/tokenize")
    async def tokenize(body: TokenizeBody) -> dict[str, Any]:
        return await asyncio.to_thread(texts.tokenize, desk, body)

    @router.post("/detokenize")
    async def detokenize(body: DetokenizeBody) -> dict[str, Any]:
        return await asyncio.to_thread(texts.detokenize, desk, body)

    @router.get("/tokenizer_info")
    async def tokenizer_info() -> dict[str, Any]:
        return texts.tokenizer_info(desk)

    @router.post("/apply-template")
    async def apply_template(body: TemplateBody) -> dict[str, str]:
        return {"prompt": await asyncio.to_thread(texts.template, desk, body)}

    return router


def _rewards(desk: Desk) -> APIRouter:
    router = APIRouter()

    @router.post("/score")
    async def score(body: ScoreBody, request: Request) -> dict[str, Any]:
        asked = rewards.score(desk, body)
        return dict(await until_gone(request, asked.whole(), asked.cancel))

    @router.post("/pooling")
    async def pooling(body: PoolingBody, request: Request) -> dict[str, Any]:
        asked = rewards.pooling(desk, body)
        return dict(await until_gone(request, asked.whole(), asked.cancel))

    async def rerank(body: RerankBody, request: Request) -> dict[str, Any]:
        asked = rewards.rerank(desk, body)
        return dict(await until_gone(request, asked.whole(), asked.cancel))

    for path in ("/rerank", "/reranking"):
        router.post(path)(rerank)
    return router


def _once(desk: Desk) -> APIRouter:
    router = APIRouter()
    page = files("methods.serve").joinpath("page.html").read_text(encoding="utf-8")

    @router.get("/metrics")
    async def metrics() -> Response:
        return PlainTextResponse(desk.metrics.text(), media_type="text/plain; version=0.0.4")

    @router.api_route("/", methods=["GET", "HEAD"], response_class=HTMLResponse)
    async def root() -> Response:
        return HTMLResponse(page)

    return router
