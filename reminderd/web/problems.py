"""Problem details, RFC 9457: how the intake says what is wrong, to a program and to whoever reads its log."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final, TypeAlias

from quart import Response

Errors: TypeAlias = Sequence[tuple[str, str]]
"""Each a JSON pointer (RFC 6901) into the request, and a sentence about what is there."""

_TYPE: Final = "application/problem+json"


class ProblemError(Exception):
    """A request that can't be done as it stands."""

    def __init__(self, status: int, detail: str, errors: Errors = (), headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors, self.headers = status, detail, errors, dict(headers or {})


def problem(error: ProblemError) -> Response:
    """The answer that tells of it."""
    told: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": error.detail,
    }
    if error.errors:
        told["errors"] = [{"pointer": pointer, "detail": detail} for pointer, detail in error.errors]
    return Response(json.dumps(told).encode(), error.status, error.headers, content_type=_TYPE)
