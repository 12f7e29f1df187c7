"""Add, remove and list numbers that must not be called at all."""

from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from typing import Final

from reminderd.core.lifecycle.staff import cancelled
from reminderd.core.lifecycle.transition import Transition
from reminderd.core.phone import is_e164, number_or_none
from reminderd.core.reasons import EndCode
from reminderd.core.rules import Rules
from reminderd.store.audit import audit
from reminderd.store.connection import Connection
from reminderd.store.ledger import load, save
from reminderd.store.queries import ENDS_WITH, LAST_DIGITS, LEAST_DIGITS, ListPlace, ShownValue, row_by_name
from reminderd.store.rows import REMINDERS, from_ms, in_list, to_ms

_SHOWN_DIGITS: Final = 2
"""How many digits of a number the audit keeps, forever: enough to distinguish the numbers of one day."""

_NUMBERS_A_STATEMENT: Final = 50

_WAITING: Final = f"""
SELECT {REMINDERS.names} FROM reminders
 WHERE phone_number = :number AND status = 'scheduled' ORDER BY scheduled_at, id
"""


def has_opted_out(connection: Connection, phone_number: str) -> bool:
    """Return whether this number, in its stored format, has opted out of all calls."""
    row = connection.execute("SELECT 1 FROM opt_outs WHERE phone_number = :number", {"number": phone_number})
    return row.fetchone() is not None


def opted_out_among(connection: Connection, phone_numbers: Iterable[str]) -> frozenset[str]:
    """Return which of these numbers, in their stored format, have opted out of all calls."""
    found: set[str] = set()
    left = iter(set(phone_numbers))
    while some := list(islice(left, _NUMBERS_A_STATEMENT)):
        listed, parameters = in_list("number", some)
        rows = connection.execute(f"SELECT phone_number FROM opt_outs WHERE phone_number IN {listed}", parameters)
        found.update(row["phone_number"] for row in rows.fetchall())
    return frozenset(found)


def count_waiting(connection: Connection, phone_number: str) -> int:
    """Return how many reminders an opt-out of this number would cancel."""
    return len(connection.execute(_WAITING, {"number": phone_number}).fetchall())


def opt_out(
    connection: Connection, now: datetime, *, phone_number: str, source: str, actor: str, rules: Rules
) -> tuple[Transition, ...]:
    """Record that this number has opted out, cancel all its `scheduled` reminders at once, and return them.

    The last look before a request stops a reminder that is already claimed. `source` is how we know; the first
    source is kept. The number is in its stored format.
    """
    rows = connection.execute(_WAITING + connection.for_update, {"number": phone_number}).fetchall()
    waiting = [REMINDERS.read(row) for row in rows]
    before = load(connection, rules, now, reminders=waiting)
    transitions: list[Transition] = []
    ledger = before
    for reminder in waiting:
        transition = cancelled(ledger, reminder, EndCode.OPTED_OUT, now)
        ledger = transition.ledger
        transitions.append(transition)
        audit(connection, now, actor=actor, act="opt-out", reminder_id=reminder.id)
    save(connection, before, ledger, now)
    listed = number_or_none(phone_number)
    if listed is None or not is_e164(listed):  # written by another program; no valid number, so it will not be called
        return tuple(transitions)
    written = connection.execute(
        "INSERT INTO opt_outs (phone_number, source, created_at) VALUES (:number, :source, :now)"
        " ON CONFLICT DO NOTHING",
        {"number": listed, "source": source, "now": to_ms(now)},
    )
    if written.rowcount == 1:
        audit(connection, now, actor=actor, act="opt-out", detail=last_digits_of(listed))
    return tuple(transitions)


def opt_in(connection: Connection, now: datetime, *, phone_number: str, actor: str) -> bool:
    """Allow calls to this number again; return False if it had not opted out. Cancelled reminders stay cancelled."""
    deleted = connection.execute("DELETE FROM opt_outs WHERE phone_number = :number", {"number": phone_number})
    if deleted.rowcount == 1:
        audit(connection, now, actor=actor, act="opt-in", detail=last_digits_of(phone_number))
    return bool(deleted.rowcount == 1)


def list_opt_outs(connection: Connection) -> list[dict[str, ShownValue]]:
    """Return the rows of `opt_outs`, oldest first."""
    sql = "SELECT phone_number, source, created_at FROM opt_outs ORDER BY created_at, phone_number"
    return [row_by_name(row) for row in connection.execute(sql).fetchall()]


def page_of_opt_outs(
    connection: Connection, *, limit: int, after: ListPlace | None = None, ending: str | None = None
) -> tuple[list[dict[str, ShownValue]], ListPlace | None]:
    """Return the page of `opt_outs` that follows `after`, newest first, and where it ends; None after the last page.

    With `ending`, at least `LEAST_DIGITS` digits, it has only numbers that end with these.
    """
    conditions, parameters = ["TRUE"], dict[str, str | int]()
    if ending is not None:
        conditions = [LAST_DIGITS, ENDS_WITH]
        parameters = {"last": ending[-LEAST_DIGITS:], "ending": ending}
    if after is not None:
        conditions.append("(created_at, phone_number) < (:at, :number)")
        parameters |= {"at": to_ms(after.at), "number": after.id}
    sql = f"""
    SELECT phone_number, source, created_at FROM opt_outs
     WHERE {" AND ".join(conditions)} ORDER BY created_at DESC, phone_number DESC LIMIT :limit
    """
    rows = connection.execute(sql, parameters | {"limit": limit + 1}).fetchall()
    last = rows[limit - 1] if len(rows) > limit else None
    following = None if last is None else ListPlace(from_ms(last["created_at"]), last["phone_number"])
    return [row_by_name(row) for row in rows[:limit]], following


def last_digits_of(phone_number: str) -> str:
    """Return what the audit keeps of a number: its last digits."""
    return f"a number that ends in {phone_number[-_SHOWN_DIGITS:]}"
