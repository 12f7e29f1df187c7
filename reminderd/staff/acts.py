"""Act on one reminder: cancel it, accept its number, call again, note it as done, opt its number out."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from hashlib import sha256
from typing import Final

from attrs import frozen

from reminderd.core.lifecycle.staff import accepted, called_again, cancelled, done, opt_out_allowed
from reminderd.core.lifecycle.transition import Transition
from reminderd.core.model import Status
from reminderd.core.reasons import EndCode
from reminderd.core.rules import Rules
from reminderd.core.sentences import NotAllowedError
from reminderd.staff.history import VIEWS
from reminderd.store import reminders
from reminderd.store.appointments import stored_appointment
from reminderd.store.audit import acts_on
from reminderd.store.connection import Connection
from reminderd.store.errors import UnknownReminderError
from reminderd.store.intake import Source
from reminderd.store.ledger import load
from reminderd.store.opt_outs import opt_out
from reminderd.store.queries import ShownValue, reminder_with_id

REPEATED_WITHIN: Final = timedelta(minutes=1)
"""The time within which an act is taken for a second click, or for the same request sent again by a browser."""


class StaffAct(StrEnum):
    """An act on one reminder, by its name in commands and the audit."""

    CANCEL = "cancel"
    ACCEPT = "accept"
    """Accept its changed phone number."""
    CALL_AGAIN = "call-again"
    DONE = "done"
    """Note that its patient was called manually."""
    OPT_OUT = "opt-out"
    """Never call its number again."""

    @property
    def refusal(self) -> str:
        """Return the beginning of a refusal: what was not done."""
        return _REFUSALS[self]


_REFUSALS: Final = {
    StaffAct.CANCEL: "not cancelled",
    StaffAct.ACCEPT: "not accepted",
    StaffAct.CALL_AGAIN: "not called again",
    StaffAct.DONE: "not noted",
    StaffAct.OPT_OUT: "not opted out",
}

_CHANGES: Final[Mapping[StaffAct, Callable[..., Transition]]] = {
    StaffAct.CANCEL: reminders.cancel,
    StaffAct.ACCEPT: reminders.accept,
    StaffAct.CALL_AGAIN: reminders.call_again,
}
"""The acts that are refused the second time; the store recognizes the others if they are repeated."""


class SeenOtherwiseError(Exception):
    """The reminder has changed since the person who asks for an act saw it."""


@frozen(kw_only=True)
class RequestedAct:
    """An act that a person asks for."""

    act: StaffAct
    reminder_id: str
    actor: str
    note: str | None = None
    """What staff want to remember of a manual call."""
    seen: str | None = None
    """The fingerprint of what was shown to that person, see `fingerprint_of`; None if nothing was, as for a command."""
    source: str = "staff"
    """How an opt-out was made known."""


def perform(connection: Connection, now: datetime, *, asked: RequestedAct, rules: Rules) -> tuple[Transition, ...]:
    """Do what a person asks for, and record it; return the transitions: none if the same was sent twice.

    Raises:
        UnknownReminderError: no reminder has this id.
        NotAllowedError: its state does not allow it.
        SeenOtherwiseError: it was changed after it was shown.
    """
    row = reminder_with_id(connection, asked.reminder_id)
    if row is None:
        raise UnknownReminderError(asked.reminder_id)
    if asked.seen is not None and _is_otherwise(row, asked.act, asked.seen):
        raise SeenOtherwiseError(asked.reminder_id)
    by = Source(actor=asked.actor)
    if asked.act is StaffAct.DONE:
        return (
            reminders.note_done(
                connection, now, reminder_id=asked.reminder_id, note=asked.note, rules=rules, source=by
            ),
        )
    if asked.act is StaffAct.OPT_OUT:
        number = str(row["phone_number"])
        opt_out_allowed(number)
        return opt_out(connection, now, phone_number=number, source=asked.source, actor=asked.actor, rules=rules)
    try:
        return (_CHANGES[asked.act](connection, now, reminder_id=asked.reminder_id, rules=rules, source=by),)
    except NotAllowedError:
        # Only an act whose result still stands counts as sent twice: another program, or a call, may have changed it.
        if asked.seen is not None and _stands(row, asked.act) and _is_repeated(connection, now, asked):
            return ()
        raise


def fingerprint_of(row: Mapping[str, ShownValue]) -> str:
    """Return a fingerprint of the parts of a reminder that a person relies on: number, message, time and end."""
    return f"{_digest(row['phone_number'], row['message'], row['scheduled_at'])}-{_digest(row['ended_at'])}"


def _digest(*parts: ShownValue) -> str:
    return sha256(repr(parts).encode(errors="surrogatepass")).hexdigest()


def _is_otherwise(row: Mapping[str, ShownValue], act: StaffAct, seen: str) -> bool:
    """Return whether a reminder has changed, in a way that matters, since the person who asks for an act saw it.

    The end matters only for another call: a person who asks for a call after one failure has not asked for a call after
    the next failure, or after a cancellation. If the reminder waits, or its patient was reached, the core refuses.
    """
    shown, _, end = fingerprint_of(row).partition("-")
    seen_parts, _, seen_end = seen.partition("-")
    return shown != seen_parts or (act is StaffAct.CALL_AGAIN and _has_ended(row) and end != seen_end)


def _stands(row: Mapping[str, ShownValue], act: StaffAct) -> bool:
    """Return whether a reminder is still as an act leaves it."""
    status = Status(str(row["status"]))
    return status is Status.CANCELLED if act is StaffAct.CANCEL else not status.final


def _has_ended(row: Mapping[str, ShownValue]) -> bool:
    """Return whether no more call is made for it, though the patient was not reached."""
    status = Status(str(row["status"]))
    return status.final and status is not Status.CALLED


def refusals(
    connection: Connection, *, reminder_id: str, rules: Rules, now: datetime
) -> dict[StaffAct, NotAllowedError | None]:
    """Return, for each act, why the core would refuse it now; None if it is allowed.

    Raises:
        UnknownReminderError: no reminder has this id.
    """
    ledger = load(connection, rules, now, reminder_ids=[reminder_id])
    reminder = ledger.reminders.get(reminder_id)
    if reminder is None:
        raise UnknownReminderError(reminder_id)
    is_listed = reminder.phone_number in ledger.opted_out
    checks: dict[StaffAct, Callable[[], object]] = {
        StaffAct.CANCEL: partial(cancelled, ledger, reminder, EndCode.CANCELLED_BY_STAFF, now),
        StaffAct.ACCEPT: partial(accepted, ledger, reminder, now),
        StaffAct.CALL_AGAIN: partial(called_again, ledger, reminder, rules=rules, now=now),
        StaffAct.DONE: partial(done, ledger, reminder, now),
        StaffAct.OPT_OUT: partial(opt_out_allowed, reminder.phone_number, is_listed=is_listed),
    }
    return {act: _refusal_of(check) for act, check in checks.items()}


def _refusal_of(check: Callable[[], object]) -> NotAllowedError | None:
    try:
        check()
    except NotAllowedError as error:
        return error
    return None


def reminders_to_act_on(
    connection: Connection, *, appointment: str, act: StaffAct, rules: Rules, now: datetime
) -> list[tuple[Mapping[str, ShownValue], NotAllowedError | None]] | None:
    """Return the reminders of an appointment, by their time, each with why the core would refuse an act on it.

    Args:
        connection: in a transaction.
        appointment: its id or `ref`.
        act: what a person asks for.
        rules: the clinic's rules.
        now: the time.

    Returns:
        The reminders; None if no appointment has this name.
    """
    found = stored_appointment(connection, appointment)
    if found is None:
        return None
    return [
        (row, refusals(connection, reminder_id=str(row["id"]), rules=rules, now=now)[act]) for row in found.reminders
    ]


def _is_repeated(connection: Connection, now: datetime, asked: RequestedAct) -> bool:
    """Return whether the last act on the reminder was the same, a moment ago."""
    acts = [one for one in acts_on(connection, asked.reminder_id) if one["act"] not in VIEWS]
    if not acts:
        return False
    last, at = acts[-1], acts[-1]["at"]
    is_same = (last["act"], last["actor"]) == (asked.act, asked.actor)
    return is_same and isinstance(at, datetime) and abs(now - at) <= REPEATED_WITHIN
