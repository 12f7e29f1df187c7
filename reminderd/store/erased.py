"""Keep for some days, after an erasure, that a number was called, with a keyed hash instead of the number.

Without it the clinic's limits would count from zero after an erasure, and a phone that rings again would count as free.
"""

import hmac
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from secrets import token_hex
from typing import Final

from attrs import evolve

from reminderd.core.model import ERASED, Call
from reminderd.core.rules import WEEK
from reminderd.store.connection import Connection
from reminderd.store.rows import to_ms

KEPT: Final = WEEK + timedelta(days=1)
"""How far back the limits count: see `Limits.free_from`."""

ERASURE_KEY: Final = "erasure_key"
"""The name, in `settings`, of the key with which the hashes are made."""

_KEY: Final = f"SELECT value FROM settings WHERE key = '{ERASURE_KEY}'"
_MAKE_KEY: Final = f"INSERT INTO settings (key, value) VALUES ('{ERASURE_KEY}', :key) ON CONFLICT DO NOTHING"
_ANONYMIZE: Final = """
UPDATE call_logs
   SET phone_number = :hash, reminder_id = '', transcript = NULL, answered_by = NULL, error = NULL
 WHERE phone_number = :number
"""
# One membership is enough: it shows whether anything was spoken, and when the first message ended. No reminder has an
# empty id.
_ANONYMIZE_MEMBERS: Final = """
INSERT INTO call_reminders (call_id, reminder_id, position, scheduled_at, message_digest, spoken, spoken_by, deleted)
SELECT call_id, '', 0, 0, '', max(spoken), min(spoken_by), 1 FROM call_reminders
 WHERE call_id IN (SELECT id FROM call_logs WHERE phone_number = :number) GROUP BY call_id
"""
_DELETE_MEMBERS: Final = """
DELETE FROM call_reminders
 WHERE reminder_id <> '' AND call_id IN (SELECT id FROM call_logs WHERE phone_number = :number)
"""
_OLD: Final = "phone_number = :number AND last_sign_at < :before AND wake_at IS NULL"
_DELETE_OLD_MEMBERS: Final = f"DELETE FROM call_reminders WHERE call_id IN (SELECT id FROM call_logs WHERE {_OLD})"
_DELETE_OLD: Final = f"DELETE FROM call_logs WHERE {_OLD}"
_HASHES: Final = "SELECT DISTINCT phone_number FROM call_logs WHERE phone_number >= :first AND phone_number < :after"


def numbers_by_hash(erasure_key: str | None, phone_numbers: Iterable[str]) -> dict[str, str]:
    """Return the number behind each hash under which its calls may be stored; none if nothing was erased yet."""
    if erasure_key is None:
        return {}
    key = erasure_key.encode()
    return {ERASED + hmac.new(key, number.encode(), sha256).hexdigest(): number for number in phone_numbers}


def recognized(call: Call, number_of: Mapping[str, str]) -> Call:
    """Return a call with the number that it was made to, even if that was erased. The stored row keeps the hash."""
    number = number_of.get(call.phone_number)
    return call if number is None else evolve(call, phone_number=number)


def recognized_among(connection: Connection, calls: Sequence[Call]) -> list[Call]:
    """Return the calls, with the erased number in each call that has the hash of another call's number."""
    number_of = numbers_by_hash(_erasure_key(connection), {call.phone_number for call in calls})
    return [recognized(call, number_of) for call in calls]


def hash_of(connection: Connection, phone_number: str) -> str | None:
    """Return the hash under which calls to a number may be stored; None if nothing was erased yet."""
    return next(iter(numbers_by_hash(_erasure_key(connection), [phone_number])), None)


def anonymize_calls(connection: Connection, now: datetime, *, spellings: Iterable[str], phone_number: str) -> int:
    """Remove from a number's calls what shows whose it is, and delete calls that no limit counts; return how many.

    `spellings` has every form in which the number is written. No call to the number is alive.
    """
    connection.execute(_MAKE_KEY, {"key": token_hex(32)})
    hashed = hash_of(connection, phone_number)
    calls = 0
    for spelling in spellings:
        calls += _delete_old(connection, now, spelling)
        connection.execute(_ANONYMIZE_MEMBERS, {"number": spelling})
        connection.execute(_DELETE_MEMBERS, {"number": spelling})
        calls += connection.execute(_ANONYMIZE, {"number": spelling, "hash": hashed}).rowcount
    return calls


def forget_erased(connection: Connection, now: datetime) -> int:
    """Delete the calls that erasures have left and that no limit counts anymore; return how many."""
    # In the order of texts, every hash is after its prefix, and before the prefix followed by "g".
    rows = connection.execute(_HASHES, {"first": ERASED, "after": f"{ERASED}g"}).fetchall()
    return sum(_delete_old(connection, now, row["phone_number"]) for row in rows)


def _erasure_key(connection: Connection) -> str | None:
    row = connection.execute(_KEY).fetchone()
    return None if row is None else str(row["value"])


def _delete_old(connection: Connection, now: datetime, number: str) -> int:
    old = {"number": number, "before": to_ms(now - KEPT)}
    connection.execute(_DELETE_OLD_MEMBERS, old)
    return connection.execute(_DELETE_OLD, old).rowcount
