"""JSON answers, and a JSON answer for every error."""

import json
from collections.abc import Mapping
from typing import Any, Final

from loguru import logger
from quart import Response, request
from werkzeug.exceptions import HTTPException

from reminderd.web.problems import ProblemError, problem

RETRY_AFTER_SECONDS: Final = 5
"""What a sender is asked to wait when we can't record its webhook now."""


def reply(status: int, content: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """An answer with this JSON object."""
    return ready_reply(status, json.dumps(content).encode(), headers)


def ready_reply(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Response:
    """An answer with a body that is JSON already."""
    return Response(body, status, dict(headers or {}), content_type="application/json")


async def later(_error: HTTPException | None = None) -> Response:
    """Ask the sender to come again."""
    return reply(503, {"error": "Service unavailable"}, {"Retry-After": str(RETRY_AFTER_SECONDS)})


async def explain(error: HTTPException) -> Response:
    """Answer in JSON what the framework refuses by itself: an unknown path, a wrong method."""
    if request.path.startswith("/api/"):
        return problem(ProblemError(error.code or 500, error.name.capitalize(), headers=_of(error)))
    headers = _of(error)
    return reply(error.code or 500, {"error": error.name.capitalize()}, headers)


def _of(error: HTTPException) -> dict[str, str]:
    """What it says besides its body: which methods are allowed, say."""
    return {name: value for name, value in error.get_headers() if name.lower() != "content-type"}


async def confess(error: Exception) -> Response:
    """Answer that there was an unexpected error, and log it."""
    logger.opt(exception=error).error(f"unexpected error in {request.method} {request.path}")
    if request.path.startswith("/api/"):
        return problem(ProblemError(500, "Internal server error"))
    return reply(500, {"error": "Internal server error"})
