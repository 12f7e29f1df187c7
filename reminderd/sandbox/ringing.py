"""Plays one call from its first word to its end, with the webhooks on the way."""

import json
from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

import trio

from reminderd.sandbox.behaviours import COPIES, LATE_STEPS, PROGRESS_BEFORE
from reminderd.sandbox.switchboard import SandboxCall, Switchboard
from reminderd.sandbox.webhooks import Webhook, WebhookSender

_CONVERSATIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "human": {
        "transcript": "Hello? Yes, thank you, I will be there.",
        "duration": 12,
        "answered_by": "human",
    },
    "machine": {"duration": 12, "answered_by": "machine"},
    "fax": {"duration": 12, "answered_by": "fax"},
}
"""By who answers."""

_TEXTS_UP_TO_THE_MESSAGE: Final = 2
"""A greeting comes first."""


async def ring(
    call: SandboxCall, over: trio.Event, *, switchboard: Switchboard, sender: WebhookSender, pace: float
) -> None:
    """Let the phone ring: move the call from status to status, a step apart, and tell of each.

    Returns when every webhook is delivered or given up; `over` is set as soon as that holds for the last one.
    """
    first = () if call.behaviour.first_word is None else (call.behaviour.first_word,)
    async with trio.open_nursery() as deliveries:
        for word in (*first, *PROGRESS_BEFORE[call.end], call.end):
            await trio.sleep(pace)
            moved = switchboard.moved(call.id, word)
            if moved is None:  # forgotten: too many calls came after it
                break
            deliveries.start_soon(_tell, moved, sender, pace, over)


async def _tell(call: SandboxCall, sender: WebhookSender, pace: float, over: trio.Event) -> None:
    webhooks = call.behaviour.webhooks
    if webhooks == "late":
        await trio.sleep(LATE_STEPS * pace)
    ended = call.status == call.end
    if webhooks != "none":
        webhook = Webhook(id=f"msg_{uuid4().hex}", body=json.dumps(reported(call)).encode())
        await sender.deliver(webhook, copies=COPIES if ended and webhooks == "repeated" else 1)
    if ended:
        over.set()


def reported(call: SandboxCall) -> Mapping[str, Any]:
    """The call as the contract reports it, in webhooks and look-ups."""
    return {"call_id": call.id, "status": call.status, "metadata": dict(call.order.metadata), **_end_of(call)}


def _end_of(call: SandboxCall) -> Mapping[str, Any]:
    """What is reported only once the call is over."""
    behaviour = call.behaviour
    if call.status != call.end:
        return {}
    if call.end != "completed":
        return {} if behaviour.sip_code is None else {"sip_response_code": behaviour.sip_code}
    if not behaviour.fetches:
        return {"duration": 0}
    if behaviour.listens_to is not None and behaviour.listens_to < _TEXTS_UP_TO_THE_MESSAGE:
        return {"status": "hung-up", "duration": 2}
    return _CONVERSATIONS[behaviour.answered_by]
