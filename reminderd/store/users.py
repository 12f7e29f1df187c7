"""Store who may log in to the front desk's pages, who is logged in, and which log-ins have failed lately."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from secrets import token_urlsafe
from typing import Final

from attrs import field, frozen

from reminderd.core.logins import (
    FORGOTTEN_AFTER,
    KNOWN_FOR,
    LONGEST_SESSION,
    Counter,
    Failures,
    Role,
    one_failure_more,
    session_has_ended,
)
from reminderd.store.audit import audit
from reminderd.store.connection import Connection
from reminderd.store.queries import ShownValue, row_by_name
from reminderd.store.rows import from_ms, insert_rows, read_as, to_ms

_TOKEN_BYTES: Final = 32


@frozen(kw_only=True)
class Secrets:
    """What a user logs in with."""

    password_hash: str = field(repr=False)
    totp_secret: str | None = field(repr=False)
    """In base 32; None without one-time codes."""


@frozen(kw_only=True)
class User:
    """An account; a row of `users`."""

    name: str
    role: Role
    secrets: Secrets
    totp_used: int | None
    """The last time step whose one-time code was used."""


@frozen(kw_only=True)
class Session:
    """Somebody who is logged in; a row of `sessions`."""

    digest: str
    """The digest of the token that only the browser has."""
    user_name: str
    role: Role
    """The user's present role."""
    csrf: str = field(repr=False)
    notice: str | None
    seen_at: datetime


# Accounts


def has_users(connection: Connection) -> bool:
    """Return whether there is any account: without an account, nobody gets in."""
    return connection.execute("SELECT name FROM users LIMIT 1").fetchone() is not None


def find_user(connection: Connection, name: str) -> User | None:
    """Return the account with this name, as it is stored; None if there is none."""
    row = connection.execute(
        "SELECT name, role, password_hash, totp_secret, totp_used FROM users WHERE name = :name", {"name": name}
    ).fetchone()
    if row is None:
        return None
    secrets = Secrets(password_hash=row["password_hash"], totp_secret=row["totp_secret"])
    return User(name=row["name"], role=Role(row["role"]), secrets=secrets, totp_used=row["totp_used"])


def list_users(connection: Connection) -> list[dict[str, ShownValue]]:
    """Return all accounts by name, without their secrets, and when each last logged in within 90 days."""
    rows = connection.execute(
        "SELECT u.name, u.role, u.totp_secret IS NOT NULL AS totp, u.created_at, u.changed_at,"
        " (SELECT max(a.last_at) FROM login_addresses AS a WHERE a.user_name = u.name) AS last_login_at"
        " FROM users AS u ORDER BY u.name"
    ).fetchall()
    return [row_by_name(row) | {"totp": bool(row["totp"])} for row in rows]


def add_user(connection: Connection, now: datetime, *, name: str, role: Role, secrets: Secrets, actor: str) -> bool:
    """Add an account; return False if the name already has one, which stays as it is."""
    added = connection.execute(
        "INSERT INTO users (name, role, password_hash, totp_secret, created_at, changed_at)"
        " VALUES (:name, :role, :password_hash, :totp_secret, :now, :now) ON CONFLICT DO NOTHING",
        {
            "name": name,
            "role": str(role),
            "password_hash": secrets.password_hash,
            "totp_secret": secrets.totp_secret,
            "now": to_ms(now),
        },
    )
    if added.rowcount != 1:
        return False
    audit(connection, now, actor=actor, act="user-add", detail=f"{name}, {role}{_with_codes(secrets)}")
    return True


def set_secrets(connection: Connection, now: datetime, *, name: str, secrets: Secrets, actor: str) -> bool:
    """Give an account a new password, end its sessions, and forget its failures; return False if there is none."""
    changed = connection.execute(
        "UPDATE users SET password_hash = :password_hash, totp_secret = :totp_secret, totp_used = NULL,"
        " changed_at = :now WHERE name = :name",
        {
            "name": name,
            "password_hash": secrets.password_hash,
            "totp_secret": secrets.totp_secret,
            "now": to_ms(now),
        },
    )
    if changed.rowcount != 1:
        return False
    _end_log_ins(connection, name)
    audit(connection, now, actor=actor, act="user-passwd", detail=f"{name}{_with_codes(secrets)}")
    return True


def remove_user(connection: Connection, now: datetime, *, name: str, actor: str) -> bool:
    """Delete an account and end its sessions; return False if there is none. What the user did stays in the audit."""
    removed = connection.execute("DELETE FROM users WHERE name = :name", {"name": name})
    if removed.rowcount != 1:
        return False
    _end_log_ins(connection, name)
    connection.execute("DELETE FROM login_addresses WHERE user_name = :name", {"name": name})
    audit(connection, now, actor=actor, act="user-remove", detail=name)
    return True


def _with_codes(secrets: Secrets) -> str:
    return "" if secrets.totp_secret is None else ", with one-time codes"


# Sessions


def open_session(connection: Connection, now: datetime, *, user: User, address: str, step: int | None) -> str | None:
    """Log in a user whose password was right; return the token for the browser.

    Return None if the account has changed since it was read. From now on, the client's address is known as one of the
    user's, and the one-time code of the time step `step` is used (None if the user has no codes).
    """
    checked = {"name": user.name, "password_hash": user.secrets.password_hash, "step": -1 if step is None else step}
    unchanged = connection.execute(
        "UPDATE users SET totp_used = CASE WHEN totp_secret IS NULL THEN totp_used ELSE :step END"
        " WHERE name = :name AND password_hash = :password_hash"
        " AND (totp_secret IS NULL OR coalesce(totp_used, -1) < :step)",
        checked,
    )
    if unchanged.rowcount != 1:
        return None
    connection.execute(
        "INSERT INTO login_addresses (user_name, address, last_at) VALUES (:name, :address, :now)"
        " ON CONFLICT (user_name, address) DO UPDATE SET last_at = excluded.last_at",
        {"name": user.name, "address": address, "now": to_ms(now)},
    )
    token = token_urlsafe(_TOKEN_BYTES)
    connection.execute(
        "INSERT INTO sessions (digest, user_name, csrf, created_at, seen_at)"
        " VALUES (:digest, :name, :csrf, :now, :now)",
        {"digest": digest_of(token), "name": user.name, "csrf": token_urlsafe(_TOKEN_BYTES), "now": to_ms(now)},
    )
    audit(connection, now, actor=user.name, act="log-in", detail=f"from {address}")
    return token


def digest_of(token: str) -> str:
    """Return the digest under which a session is stored; only the browser has the token itself."""
    return sha256(token.encode(errors="surrogatepass")).hexdigest()


def session_of(connection: Connection, now: datetime, *, digest: str, idle: timedelta) -> Session | None:
    """Return the session with the token that has this digest; None if there is none, or it has ended."""
    row = connection.execute(
        "SELECT s.digest, s.user_name, u.role, s.csrf, s.notice, s.created_at, s.seen_at"
        " FROM sessions AS s JOIN users AS u ON u.name = s.user_name WHERE s.digest = :digest",
        {"digest": digest},
    ).fetchone()
    if row is None or session_has_ended(from_ms(row["created_at"]), from_ms(row["seen_at"]), now, idle=idle):
        return None
    return read_as(Session, row, role=Role, seen_at=from_ms)


def record_use(connection: Connection, now: datetime, *, digest: str) -> None:
    """Record that a session is in use: see `is_use_to_be_recorded`."""
    connection.execute(
        "UPDATE sessions SET seen_at = :now WHERE digest = :digest", {"now": to_ms(now), "digest": digest}
    )


def set_notice(connection: Connection, _now: datetime, *, digest: str, notice: str) -> None:
    """Keep the notice that the next page shows about the act before it."""
    connection.execute(
        "UPDATE sessions SET notice = :notice WHERE digest = :digest", {"notice": notice, "digest": digest}
    )


def drop_notice(connection: Connection, _now: datetime, *, digest: str, shown: str) -> None:
    """Forget the notice that a page has shown; keep the notice of an act in another tab, which is not shown yet."""
    connection.execute(
        "UPDATE sessions SET notice = NULL WHERE digest = :digest AND notice = :shown",
        {"digest": digest, "shown": shown},
    )


def close_session(connection: Connection, now: datetime, *, session: Session) -> None:
    """Log a user out."""
    closed = connection.execute("DELETE FROM sessions WHERE digest = :digest", {"digest": session.digest})
    if closed.rowcount == 1:
        audit(connection, now, actor=session.user_name, act="log-out")


# A restored backup


_Row = Mapping[str, str | int | None]


@frozen
class Accounts:
    """Who may log in, and from where each has logged in, as rows of `users` and `login_addresses`."""

    users: Sequence[_Row]
    addresses: Sequence[_Row]


_USERS: Final = ("name", "role", "password_hash", "totp_secret", "totp_used", "created_at", "changed_at")
_ADDRESSES: Final = ("user_name", "address", "last_at")


def all_accounts(connection: Connection) -> Accounts:
    """Return all accounts of a database, to be moved to another one."""
    users = connection.execute(f"SELECT {', '.join(_USERS)} FROM users ORDER BY name").fetchall()
    addresses = connection.execute(f"SELECT {', '.join(_ADDRESSES)} FROM login_addresses").fetchall()
    return Accounts(
        [{column: row[column] for column in _USERS} for row in users],
        [{column: row[column] for column in _ADDRESSES} for row in addresses],
    )


def replace_accounts(connection: Connection, accounts: Accounts) -> None:
    """Replace all accounts by these."""
    for table, names, rows in (("users", _USERS, accounts.users), ("login_addresses", _ADDRESSES, accounts.addresses)):
        connection.execute(f"DELETE FROM {table}")
        insert_rows(connection, table, {name: [row[name] for row in rows] for name in names})


def log_everybody_out(connection: Connection) -> None:
    """End all sessions and forget all failures, without a line for each in the audit."""
    connection.execute("DELETE FROM sessions")
    connection.execute("DELETE FROM login_failures")


# Failed log-ins


def has_logged_in_from(connection: Connection, now: datetime, *, name: str, address: str) -> bool:
    """Return whether the user with this name has logged in from this address lately."""
    row = connection.execute(
        "SELECT last_at FROM login_addresses WHERE user_name = :name AND address = :address AND last_at > :since",
        {"name": name, "address": address, "since": to_ms(now - KNOWN_FOR)},
    )
    return row.fetchone() is not None


def failures_of(connection: Connection, counted: Sequence[Counter]) -> list[tuple[Counter, Failures | None]]:
    """Return each counter with its failures; None if there were none lately."""
    return [(counter, _failures(connection, counter)) for counter in counted]


def _failures(connection: Connection, counter: Counter) -> Failures | None:
    row = connection.execute(
        "SELECT failures, last_at FROM login_failures WHERE counter = :counter", {"counter": counter.key}
    ).fetchone()
    return None if row is None else Failures(row["failures"], from_ms(row["last_at"]))


def note_failure(connection: Connection, now: datetime, *, counted: Sequence[Counter], detail: str) -> None:
    """Count a failed log-in; as nobody has logged in, the audit names reminderd as the actor.

    `detail` says which account, from where, and why.
    """
    for counter in counted:
        after = one_failure_more(_failures(connection, counter), now)
        connection.execute(
            "INSERT INTO login_failures (counter, failures, last_at) VALUES (:counter, :failures, :last_at)"
            " ON CONFLICT (counter) DO UPDATE SET failures = excluded.failures, last_at = excluded.last_at",
            {"counter": counter.key, "failures": after.count, "last_at": to_ms(after.last_at)},
        )
    audit(connection, now, actor="reminderd", act="log-in-refused", detail=detail)


def forget_failures(connection: Connection, _now: datetime, *, counted: Sequence[Counter]) -> None:
    """Reset the counters of a log-in that succeeded, except the address's counter."""
    for counter in counted:
        if counter.starts_again:
            connection.execute("DELETE FROM login_failures WHERE counter = :counter", {"counter": counter.key})


def _end_log_ins(connection: Connection, name: str) -> None:
    """End the sessions of an account, and forget its failures."""
    connection.execute("DELETE FROM sessions WHERE user_name = :name", {"name": name})
    connection.execute(
        "DELETE FROM login_failures WHERE counter = :account OR (counter >= :first AND counter < :after)",
        {"account": f"user:{name}", "first": f"user:{name} ", "after": f"user:{name}!"},
    )


def forget_old_log_ins(connection: Connection, now: datetime) -> None:
    """Delete the sessions that have ended, the failures that no longer count, and addresses not used for long."""
    connection.execute("DELETE FROM sessions WHERE created_at <= :before", {"before": to_ms(now - LONGEST_SESSION)})
    connection.execute("DELETE FROM login_failures WHERE last_at <= :before", {"before": to_ms(now - FORGOTTEN_AFTER)})
    connection.execute("DELETE FROM login_addresses WHERE last_at <= :before", {"before": to_ms(now - KNOWN_FOR)})
