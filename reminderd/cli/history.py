"""What has happened to one reminder, in order: what staff and the patient did, and how its calls went."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Final

from reminderd.core.model import CallState, Status
from reminderd.store.queries import Value

Row = Mapping[str, Value]

NOBODY: Final[Mapping[str, Sequence[str]]] = {}
_CLOSED_BY_US: Final = frozenset({CallState.REFUSED, CallState.NOT_PLACED, CallState.UNREPORTED})


def history(
    reminder: Row, calls: Sequence[Row], acts: Sequence[Row], others: Mapping[str, Sequence[str]] = NOBODY
) -> list[dict[str, Value]]:
    """Return a row each: `at`, `what`, `detail`.

    Args:
        reminder: its row.
        calls: its rows of `call_logs`, oldest first.
        acts: its rows of `audit`.
        others: the names of the other reminders of each call, by the calls' ids.
    """
    events = [*_beginning(reminder, acts), *_acts(acts)]
    for number, call in enumerate(calls, 1):
        events += _of_call(call, f"call {number}", others.get(str(call["id"]), ()))
    events.sort(key=itemgetter("at"))
    return [*events, *_state(reminder)]


def _event(at: Value, what: str, detail: object = None) -> Iterator[dict[str, Value]]:
    if isinstance(at, datetime):
        yield {"at": at, "what": what, "detail": None if detail is None else str(detail)}


def _beginning(reminder: Row, acts: Sequence[Row]) -> Iterator[dict[str, Value]]:
    if not any(act["act"] == "add" for act in acts):
        yield from _event(reminder["created_at"], "added", "by another program, or an import")


def _acts(acts: Sequence[Row]) -> Iterator[dict[str, Value]]:
    for act in acts:
        yield from _event(act["at"], f"{act['act']} by {act['actor']}", act["detail"])


def _of_call(call: Row, name: str, others: Sequence[str] = ()) -> Iterator[dict[str, Value]]:
    if call["adopted"]:
        yield from _event(call["created_at"], f"{name} reported", "a call that reminderd did not know")
    else:
        bundled = f"bundled with {', '.join(others)}" if others else None
        yield from _event(call["created_at"], f"{name} created", bundled)
    word = call["status"] if call["received_at"] is not None else str(call["state"]).replace("_", " ")
    if call["received_at"] is not None:
        yield from _event(call["received_at"], f"{name}: {word}", _how_it_ended(call))
    elif call["state"] in _CLOSED_BY_US:
        yield from _event(call["updated_at"], f"{name}: {word}", call["error"])
    else:
        yield from _event(call["updated_at"], f"{name}: {call['status'] or word}, not ended yet", call["error"])


def _how_it_ended(call: Row) -> str | None:
    words = [] if call["outcome"] is None else [str(call["outcome"]).replace("_", " ")]
    known = (
        ("answered by", call["answered_by"]),
        ("seconds", call["duration_seconds"]),
        ("SIP", call["sip_response_code"]),
        ("error", call["error_code"]),
    )
    return ", ".join([*words, *(f"{name} {value}" for name, value in known if value is not None)]) or None


def _state(reminder: Row) -> Iterator[dict[str, Value]]:
    """How it stands now, since its last change."""
    is_final = Status(str(reminder["status"])).final
    why = reminder["last_error"] if is_final else reminder["hold_reason"]
    response = f"; the patient's answer: {reminder['response']}" if reminder["response"] is not None else ""
    yield from _event(reminder["updated_at"], f"{reminder['status']}{response}", why)
