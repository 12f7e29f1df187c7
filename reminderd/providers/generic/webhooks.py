"""The generic contract's webhooks: one path, JSON in and JSON out."""

import re
from functools import partial
from typing import Final

from reminderd.providers.base import Recorder, RefusedWebhookError, Reply, Route, Webhook, json_object
from reminderd.providers.generic.payload import read_report

PATH: Final = "/webhooks/call-status"

_SUCCESS: Final = Reply(body=b'{"success": true}')
_DUPLICATE: Final = Reply(body=b'{"success": true, "duplicate": true}')
_JSON_TYPE: Final = re.compile(r"application/(?:[\w!#$&^.+-]+\+)?json", re.ASCII | re.IGNORECASE)


def routes(recorder: Recorder) -> list[Route]:
    """Return where the webhooks arrive."""
    return [Route(path=PATH, answer=partial(_call_status, recorder=recorder))]


async def _call_status(webhook: Webhook, *, recorder: Recorder) -> Reply:
    """Record one report."""
    if not _is_json(webhook.headers.get("content-type", "")):
        raise RefusedWebhookError(415, "Unsupported media type")
    recorded = await recorder.report(read_report(json_object(webhook.body)))
    return _DUPLICATE if recorded.duplicate else _SUCCESS


def _is_json(content_type: str) -> bool:
    """Return whether a Content-Type names JSON, with whatever parameters; none at all counts as JSON."""
    essence = content_type.partition(";")[0].strip()
    return not content_type or _JSON_TYPE.fullmatch(essence) is not None
