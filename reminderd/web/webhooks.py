"""The generic contract's webhooks: one path, JSON in and JSON out."""

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Protocol, TypeAlias

from quart import Response

from reminderd.core.answers import Report
from reminderd.providers.base import Provider, Webhook
from reminderd.web.door import Door, refused
from reminderd.web.replies import ready_reply

_SUCCESS: Final = b'{"success": true}'
_DUPLICATE: Final = b'{"success": true, "duplicate": true}'
_JSON_TYPE: Final = re.compile(r"application/(?:[\w!#$&^.+-]+\+)?json", re.ASCII | re.IGNORECASE)


class Recorded(Protocol):
    """What became of a report."""

    @property
    def duplicate(self) -> bool:
        """Whether it repeats a terminal report that was taken before."""


Record: TypeAlias = Callable[[Report], Awaitable[Recorded]]
"""Settles a report and returns after the commit; cancelled, it has settled the report wholly or not at all.

Raises UnknownReminderError, or StoreUnavailableError if nothing was recorded and the sender shall come again.
"""


def generic_door(provider: Provider, record: Record) -> Door:
    """The door of a provider that speaks the generic contract."""
    answer = partial(_call_status, provider=provider, record=record)
    return Door(routes=[("POST", "/webhooks/call-status", answer)], verified=provider.verified, forged=401)


async def _call_status(webhook: Webhook, *, provider: Provider, record: Record) -> Response:
    """Take one report."""
    if not _is_json(webhook.headers.get("content-type", "")):
        return refused(415, "Unsupported media type")
    recorded = await record(provider.parse(webhook))
    return ready_reply(200, _DUPLICATE if recorded.duplicate else _SUCCESS)


def _is_json(content_type: str) -> bool:
    """Whether a Content-Type names JSON, with whatever parameters; none at all counts as JSON."""
    essence = content_type.partition(";")[0].strip()
    return not content_type or _JSON_TYPE.fullmatch(essence) is not None
