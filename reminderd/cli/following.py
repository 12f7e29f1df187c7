"""How a call goes, in lines for a person who waits for it."""

from collections.abc import Iterator

from attrs import define

from reminderd.core.reminder import CLOSED, Call, Reminder

_WORDS = {
    "dialing": "asking the provider for the call",
    "queued": "the provider has taken it",
    "initiated": "the provider is dialling",
    "ringing": "it rings",
    "in-progress": "somebody has picked up",
    "answered": "somebody has picked up",
    "completed": "the call is over",
    "unconfirmed": "it is not clear whether the call was placed; waiting for news",
}


@define
class Seen:
    """A reminder and its calls, as they were last seen."""

    reminder: Reminder | None = None
    calls: tuple[Call, ...] = ()


def news(before: Seen, now: Seen) -> Iterator[str]:
    """A line for each thing that has changed."""
    known = {call.id: call for call in before.calls}
    for call in now.calls:
        former = known.get(call.id)
        if former is None or former.status != call.status:
            yield _said(call)
        if call.answered_by is not None and (former is None or former.answered_by is None):
            yield f"answered by: {call.answered_by}"
    was, reminder = before.reminder, now.reminder
    if reminder is None:
        return
    if reminder.response is not None and (was is None or was.response is None):
        yield f"a key was pressed: {reminder.response}"
    if reminder.hold_reason is not None and (was is None or was.hold_reason != reminder.hold_reason):
        yield f"waits: {reminder.hold_reason}"
    if reminder.status.final and (was is None or was.status is not reminder.status):
        yield f"{reminder.status}" + (f": {reminder.last_error}" if reminder.last_error else "")


def _said(call: Call) -> str:
    words = _WORDS.get(call.status, call.status)
    by_whom = f" ({call.external_call_id})" if call.status == "queued" and call.external_call_id else ""
    lasted = f" after {call.duration_seconds} s" if call.duration_seconds and call.status in CLOSED else ""
    return f"{words}{by_whom}{lasted}"
