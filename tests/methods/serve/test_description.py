"""Whatever a program makes of our OpenAPI description: no 5xx, every error in OpenAI's shape."""

from __future__ import annotations

from typing import Any

import pytest

schemathesis = pytest.importorskip("schemathesis")

from hypothesis import HealthCheck, given, settings  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of schemathesis and of what it sends

CASES = 12  # of every operation


def test_nothing_breaks(server: Any) -> None:
    description = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    operations = [found.ok() for found in description.get_all_operations()]
    assert len(operations) > 20
    for operation in operations:
        _try(operation)


def _try(operation: Any) -> None:
    """Requests that the description allows, and requests that it does not."""

    @settings(
        max_examples=CASES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def check(case: Any) -> None:
        if isinstance(case.body, dict):
            case.body |= {"max_tokens": 4, "max_completion_tokens": 4, "width": 2, "n": 1}
        reply = case.call(timeout=60)
        assert reply.status_code < 500 or reply.status_code == 501, (operation.label, reply.text)
        if reply.status_code >= 400 and case.method != "HEAD":
            error = reply.json()["error"]
            assert error["message"]
            assert set(error) >= {"message", "type", "param", "code"}
            assert "Traceback" not in reply.text

    check()
