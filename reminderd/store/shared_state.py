"""What every process on a database must know: a pause of dialing, whose data it is, whether our address is failing."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from reminderd.core.masking import mask_numbers_in_notes
from reminderd.core.model import Call
from reminderd.core.outcomes import is_address_failing, provider_never_asked
from reminderd.core.rules import Rules
from reminderd.store.audit import audit
from reminderd.store.connection import Connection, Rows
from reminderd.store.erased import recognized_among
from reminderd.store.queries import ShownValue, row_by_name
from reminderd.store.rows import CALLS, from_ms, to_ms

_LAST_PAUSE: Final = """
SELECT id, at, actor, act, reminder_id, detail FROM audit WHERE act IN ('pause', 'resume') ORDER BY id DESC LIMIT 1
"""


def setting(connection: Connection, key: str) -> str | None:
    """Return the value of a setting; None if it has none."""
    row = connection.execute("SELECT value FROM settings WHERE key = :key", {"key": key}).fetchone()
    return None if row is None or row["value"] is None else str(row["value"])


def put_setting(connection: Connection, key: str, value: str) -> None:
    """Give a setting a value."""
    connection.execute(
        "INSERT INTO settings (key, value) VALUES (:key, :value)"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        {"key": key, "value": value},
    )


def moment_in(connection: Connection, key: str) -> datetime | None:
    """Return the moment in a setting; None if it has none."""
    value = setting(connection, key)
    return None if value is None else from_ms(int(value))


def put_moment(connection: Connection, key: str, moment: datetime) -> None:
    """Give a setting a moment."""
    put_setting(connection, key, str(to_ms(moment)))


def paused(connection: Connection) -> bool:
    """Return whether staff have paused dialing: `settings` contains `paused` = `true`."""
    return setting(connection, "paused") == "true"


def set_pause(connection: Connection, now: datetime, *, on: bool, reason: str | None, actor: str) -> bool:
    """Pause all dialing, or end the pause; return False if nothing changed, and then record only a reason to pause.

    Phone numbers in the reason are masked, as the audit is kept forever.
    """
    reason = None if reason is None else mask_numbers_in_notes(reason)
    if paused(connection) is on:
        if on and reason is not None:
            audit(connection, now, actor=actor, act="pause", detail=reason)
        return False
    put_setting(connection, "paused", "true" if on else "false")
    audit(connection, now, actor=actor, act="pause" if on else "resume", detail=reason)
    return True


STANDSTILL: Final = "SELECT key, value FROM settings WHERE key IN ('paused', 'restored_at', 'last_request_at')"
"""Reads what `standstill` and the pace need."""


def setting_values(rows: Rows) -> dict[str, str]:
    """Return the values that were read, by the keys of their settings."""
    return {row["key"]: row["value"] for row in rows.fetchall()}


def standstill(settings: Mapping[str, str], rules: Rules) -> tuple[bool, datetime | None]:
    """Return whether staff have paused dialing, and until when nobody is called after a restore (None without one).

    By then, a call that the restored backup has forgotten is over, or has shown a sign of life.
    """
    restored_at = settings.get("restored_at")
    quiet_until = None if restored_at is None else from_ms(int(restored_at)) + rules.outcome_timeout
    return settings.get("paused") == "true", quiet_until


LAST_REQUEST_AT: Final = "last_request_at"
"""The key of the moment at which the last request was sent, if there is a limit on calls per second."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def last_request_at(value: str | None) -> datetime | None:
    """Return the moment in that setting: Unix microseconds, as calls may be less than a millisecond apart."""
    return None if value is None else _EPOCH + int(value) * _MICROSECOND


def note_pace(connection: Connection, now: datetime) -> None:
    """Record that a request is sent now."""
    put_setting(connection, LAST_REQUEST_AT, str((now - _EPOCH) // _MICROSECOND))


def real_provider(connection: Connection) -> str | None:
    """Return the kind of real provider that this database was last opened for; None if only the sandbox was used."""
    return setting(connection, "real_provider")


def remember_real_provider(connection: Connection, _now: datetime, *, kind: str) -> None:
    """Record that a real provider of this kind uses this database: from now on it contains a clinic's reminders."""
    put_setting(connection, "real_provider", kind)


def database_id(connection: Connection) -> str | None:
    """Return the random id of this database, which all its backups carry; None if it has none yet."""
    return setting(connection, "database_id") or None


def give_database_id(connection: Connection, new: str) -> None:
    """Give the database this id, if it has none."""
    connection.execute(
        "INSERT INTO settings (key, value) VALUES ('database_id', :value)"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE coalesce(settings.value, '') = ''",
        {"value": new},
    )


def replace_database_id(connection: Connection, new: str) -> None:
    """Give the database this id, whatever it had."""
    put_setting(connection, "database_id", new)


def desk_key(connection: Connection, _now: datetime, *, new: str) -> str:
    """Return the key of the pages' addresses and forms, which is `new` if there was none."""
    found = setting(connection, "desk_key")
    if found:
        return found
    put_setting(connection, "desk_key", new)
    return new


def last_pause(connection: Connection) -> dict[str, ShownValue] | None:
    """Return, while dialing is paused, the row of `audit` that shows who paused it; None if no command of ours did."""
    if not paused(connection):
        return None
    row = connection.execute(_LAST_PAUSE).fetchone()
    return row_by_name(row) if row is not None and row["act"] == "pause" else None


_MOST_CALLS: Final = 500
"""How many of the newest calls are read."""

_NEWEST: Final = f"""
SELECT {CALLS.names} FROM call_logs
 WHERE seq > (SELECT coalesce(max(CAST(value AS BIGINT)), 0) FROM settings
               WHERE key IN ('public_address_seq', 'restored_seq'))
 ORDER BY seq DESC LIMIT :limit
"""
_FORGET: Final = "DELETE FROM settings WHERE key IN ('unreached_since', 'unreached_alerted')"


def unreached_since(connection: Connection) -> datetime | None:
    """Return since when the provider does not reach our address; None if it does, or nothing shows that it does not."""
    return moment_in(connection, "unreached_since")


def note_call_end(connection: Connection, now: datetime, *, call: Call, rules: Rules) -> None:
    """Record, after the end of a call was saved, whether our address is failing."""
    if not provider_never_asked(call, rules) or unreached_since(connection) is not None:
        return
    rows = connection.execute(_NEWEST, {"limit": _MOST_CALLS}).fetchall()
    newest = recognized_among(connection, [CALLS.read(row) for row in rows])
    if is_address_failing(newest, rules, answering_since=answering_since(connection)):
        put_moment(connection, "unreached_since", now)


def note_provider_asked(connection: Connection) -> None:
    """Record that the provider has asked what to say: it reaches our address."""
    if unreached_since(connection) is not None:
        forget_failing_address(connection)


def forget_failing_address(connection: Connection) -> None:
    """Forget that our address is failing: nothing shows it anymore."""
    connection.execute(_FORGET)


def answering_since(connection: Connection) -> datetime | None:
    """Return since when every request could be answered; None if unknown."""
    return moment_in(connection, "answering_since")


def note_gap(connection: Connection, now: datetime) -> None:
    """Record that calls under way may have asked without an answer until now: we did not run, or could not write."""
    put_moment(connection, "answering_since", now)


def note_public_address(connection: Connection, _now: datetime, *, address: str) -> None:
    """Record the address with which calls are placed from now on; nothing is known yet of a new address.

    It is `[web].public_base_url`, or empty if the provider does not ask what to say. Only a digest of it is kept: an
    address may contain a password.
    """
    known = sha256(address.encode(errors="surrogatepass")).hexdigest()
    if setting(connection, "public_address") == known:
        return
    (newest,) = connection.execute("SELECT coalesce(max(seq), 0) FROM call_logs").fetchone()
    put_setting(connection, "public_address", known)
    put_setting(connection, "public_address_seq", str(newest))
    forget_failing_address(connection)


def address_alert(connection: Connection) -> datetime | None:
    """Return since when the provider does not reach our address, if no alert was sent for it yet."""
    since = unreached_since(connection)
    return None if since is None or setting(connection, "unreached_alerted") == str(to_ms(since)) else since


def note_address_alert(connection: Connection, _now: datetime, *, unreached: datetime) -> None:
    """Record that an alert was sent: since this moment, the provider does not reach our address."""
    put_moment(connection, "unreached_alerted", unreached)
