"""Errors as OpenAI's clients read them: one object, whatever went wrong."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from convert.refusal import Refusal

log = logging.getLogger("starbase_edge.serve")

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
    500: "server_error",
    501: "not_supported_error",
    503: "unavailable_error",
}
CODES = {404: "not_found", 405: "method_not_allowed"}
NO_RETRY = {"x-should-retry": "false"}  # clients repeat a search of minutes otherwise


@dataclass(eq=False)  # Python writes the traceback into it
class ApiError(Exception):
    """What a client did wrong, or what this server cannot do now."""

    status: int
    message: str
    param: str | None = None
    code: str | int | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.message

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object that goes out."""
        told = {"message": self.message, "type": TYPES[self.status], "param": self.param}
        return {"error": {**told, "code": self.code or CODES.get(self.status), **self.more}}


def bad(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """A request that cannot be fulfilled as it stands."""
    return ApiError(400, message, param, code)


def failed(error: BaseException) -> ApiError:
    """What a client is told of an error in a job: refusals in full, our own bugs in the log."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, Refusal):
        return ApiError(400, _without_folders(str(error)), headers=NO_RETRY)
    log.error("a request failed", exc_info=error)
    return ApiError(500, "internal error; the server's log has it", headers=NO_RETRY)


def answer(error: ApiError) -> JSONResponse:
    """The response for an error."""
    return JSONResponse(error.body, error.status, dict(error.headers))


def install(app: FastAPI) -> None:
    """Let every error of an app leave in this shape."""

    async def api(_request: Request, error: Exception) -> JSONResponse:
        return answer(failed(error))

    async def invalid(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        param = _param(first["loc"])
        return answer(bad(f"{param or 'the body'}: {first['msg'].lower()}", param))

    async def http(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        status = error.status_code if error.status_code in TYPES else 400
        return answer(ApiError(status, str(error.detail), headers=error.headers or {}))

    app.add_exception_handler(ApiError, api)
    app.add_exception_handler(Refusal, api)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, api)


def _param(where: Sequence[str | int]) -> str | None:
    names = [str(part) for part in where if part not in ("body", "query", "path", "header")]
    return ".".join(names) if names and not names[0].isdigit() else None


def _without_folders(text: str) -> str:
    """A message without folders of this machine: their files' names remain."""
    return " ".join(
        word.rsplit("/", 1)[-1] if word.startswith("/") else word for word in text.split(" ")
    )
