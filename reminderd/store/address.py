"""What every process on a database knows of our own public address: which one it is, and whether it is failing."""

from datetime import datetime
from hashlib import sha256
from typing import Final

from attrs import frozen

from reminderd.core.lifecycle.reconcile import is_failing, never_asked
from reminderd.core.model import Call
from reminderd.core.rules import Rules
from reminderd.store.erased import recognized_among
from reminderd.store.rows import CALLS, Connection, from_ms, to_ms

_MOST_CALLS: Final = 500
"""The newest calls that are looked at."""

_SETTINGS: Final = """
SELECT key, value FROM settings
 WHERE key IN ('public_address', 'answering_since', 'unreached_since', 'unreached_alerted')
"""
_NEWEST: Final = f"""
SELECT {CALLS.names} FROM call_logs
 WHERE seq > (SELECT coalesce(max(CAST(value AS BIGINT)), 0) FROM settings
               WHERE key IN ('public_address_seq', 'restored_seq'))
 ORDER BY seq DESC LIMIT :limit
"""
_FORGET: Final = "DELETE FROM settings WHERE key IN ('unreached_since', 'unreached_alerted')"


def unreached_since(connection: Connection) -> datetime | None:
    """Return since when the provider does not reach our address; None: it does, or nothing shows that it does not."""
    return _moment(_settings(connection).get("unreached_since"))


def note_end(connection: Connection, now: datetime, *, call: Call, rules: Rules) -> None:
    """Record, after the end of a call was saved, whether our address is failing."""
    if not never_asked(call, rules) or unreached_since(connection) is not None:
        return
    rows = connection.execute(_NEWEST, {"limit": _MOST_CALLS}).fetchall()
    newest = recognized_among(connection, [CALLS.read(row) for row in rows])
    if is_failing(newest, rules, answering_since=answering_since(connection)):
        _set(connection, "unreached_since", str(to_ms(now)))


def note_request(connection: Connection) -> None:
    """Record that the provider has asked what to say: it reaches our address."""
    if unreached_since(connection) is not None:
        forget(connection)


def forget(connection: Connection) -> None:
    """Forget that our address is failing: nothing shows it anymore."""
    connection.execute(_FORGET)


def answering_since(connection: Connection) -> datetime | None:
    """Return since when every request could be answered; None: unknown."""
    return _moment(_settings(connection).get("answering_since"))


def note_gap(connection: Connection, now: datetime) -> None:
    """Record that until now calls under way may have asked without an answer: we did not run, or could not write."""
    _set(connection, "answering_since", str(to_ms(now)))


def follow_address(connection: Connection, _now: datetime, *, address: str) -> None:
    """Record the address that calls are placed with from now on; of another one nothing is known yet.

    Only a digest of it is kept: an address may contain a password.

    Args:
        connection: in a write transaction.
        address: `[web].public_base_url`; empty if the provider does not ask what to say.
    """
    known = sha256(address.encode(errors="surrogatepass")).hexdigest()
    if _settings(connection).get("public_address") == known:
        return
    (newest,) = connection.execute("SELECT coalesce(max(seq), 0) FROM call_logs").fetchone()
    _set(connection, "public_address", known)
    _set(connection, "public_address_seq", str(newest))
    forget(connection)


@frozen
class Unreached:
    """A failing address for which no alert was sent yet."""

    since: datetime


def address_alert(connection: Connection) -> Unreached | None:
    """Return what an alert must say of our address; None: nothing new."""
    settings = _settings(connection)
    since = settings.get("unreached_since")
    return None if since is None or settings.get("unreached_alerted") == since else Unreached(from_ms(int(since)))


def note_address_alert(connection: Connection, _now: datetime, *, unreached: Unreached) -> None:
    """Record that an alert about our address was sent."""
    _set(connection, "unreached_alerted", str(to_ms(unreached.since)))


def _settings(connection: Connection) -> dict[str, str | None]:
    return {row["key"]: row["value"] for row in connection.execute(_SETTINGS).fetchall()}


def _set(connection: Connection, key: str, value: str) -> None:
    connection.execute(
        "INSERT INTO settings (key, value) VALUES (:key, :value)"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        {"key": key, "value": value},
    )


def _moment(milliseconds: str | None) -> datetime | None:
    return None if milliseconds is None else from_ms(int(milliseconds))
