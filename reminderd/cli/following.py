"""How a call goes, in lines for a person who waits for it."""

from collections.abc import Iterator

from attrs import define

from reminderd.core.model import Call, CallState, Reminder

_STATES = {
    CallState.DIALING: "asking the provider for the call",
    CallState.UNCONFIRMED: "unconfirmed: the call may or may not have been placed; waiting for a report",
}
_WORDS = {
    "queued": "the provider has accepted the call",
    "initiated": "the provider is dialing",
    "ringing": "the phone is ringing",
    "in-progress": "answered",
    "answered": "answered",
    "completed": "the call is over",
}


@define
class Seen:
    """A reminder and its calls, as they were last seen."""

    reminder: Reminder | None = None
    calls: tuple[Call, ...] = ()


def news(before: Seen, now: Seen) -> Iterator[str]:
    """Return a line for each thing that has changed."""
    known = {call.id: call for call in before.calls}
    for call in now.calls:
        former = known.get(call.id)
        if former is None or (former.status, former.state) != (call.status, call.state):
            yield _line(call)
        if call.answered_by is not None and (former is None or former.answered_by is None):
            yield f"answered by: {call.answered_by}"
    was, reminder = before.reminder, now.reminder
    if reminder is None:
        return
    if reminder.response is not None and (was is None or was.response is None):
        yield f"a key was pressed: {reminder.response}"
    if reminder.hold_code is not None and (was is None or was.hold_code is not reminder.hold_code):
        yield f"held: {reminder.hold_code.sentence}"
    if reminder.status.final and (was is None or was.status is not reminder.status):
        yield f"{reminder.status}" + (f": {reminder.last_error}" if reminder.last_error else "")


def _line(call: Call) -> str:
    words = _STATES.get(call.state) or _WORDS.get(call.status or "") or call.status or call.state.replace("_", " ")
    external = f" ({call.external_call_id})" if call.status == "queued" and call.external_call_id else ""
    lasted = f" after {call.duration_seconds} s" if call.duration_seconds and not call.state.alive else ""
    return f"{words}{external}{lasted}"
