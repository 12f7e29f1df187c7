"""Decide what an error of PostgreSQL means for the caller.

See https://www.postgresql.org/docs/current/errcodes-appendix.html.
"""

import re
from typing import Final

import psycopg

from reminderd.store.errors import StoreUnavailableError, StoreUnusableError

_BEFORE_THE_REASON: Final = re.compile(r"^(?:.*?\bfailed: |connection is bad: |FATAL: +)+")
_ATTEMPT: Final = re.compile(r"^- host: '?([^',]*)'?, port: '?([^',]*)'?, hostaddr: '?[^',]*'?: (.+)$", re.MULTILINE)
"""One of the attempts that psycopg lists if the URL names several hosts, or a host has several addresses."""
_DEADLOCK: Final = "40P01"
_SERIALIZATION: Final = "40001"
_LOCK_TIMEOUT: Final = "55P03"
_STATEMENT_TIMEOUT: Final = "57014"
_IDLE_TIMEOUT: Final = "25P03"

_UNAVAILABLE: Final = {
    _DEADLOCK: "a deadlock with another program's transaction",
    _SERIALIZATION: "another program has changed the same rows",
    _LOCK_TIMEOUT: "another program holds a lock",
    _STATEMENT_TIMEOUT: "the server took too long",
    "25006": "the server does not accept writes: it is a standby, or read-only",
    "25P02": "the transaction had failed before",
    _IDLE_TIMEOUT: "the transaction was idle for too long",
    "53100": "the server's disk is full",
    "53200": "the server is out of memory",
    "53300": "the server has no free connection",
    "57P01": "the server is being stopped",
    "57P02": "the server has crashed",
    "57P03": "the server is starting or stopping",
}
_UNAVAILABLE_CLASSES: Final = ("08", "40", "53", "55", "57", "58")
_UNUSABLE: Final = {
    "28000": "the server rejects this user",
    "28P01": "the server does not accept the user or the password of the URL",
    "3D000": "the database does not exist on the server",
    "42501": "the user lacks a privilege",
    "42P01": "a table is missing",
    "42703": "a column is missing",
    "XX001": "the database is damaged",
    "XX002": "the database is damaged",
}
_REFUSALS: Final = (
    ("password authentication failed", _UNUSABLE["28P01"]),
    ("no password supplied", "the server asks for a password, and the URL has none"),
    ("no pg_hba.conf entry", "the server's pg_hba.conf does not allow this machine or this user"),
    ("FATAL:  role ", _UNUSABLE["28000"]),
    ("FATAL:  database ", _UNUSABLE["3D000"]),
    ("SSL was required", "the server does not offer the encryption that the URL requires"),
    ("root certificate file", "the file with the server's CA is missing: name it in the URL by sslrootcert=FILE"),
    ("certificate", "the server could not be verified by its certificate"),
)
_ABSENCES: Final = (
    ("read-only", "no server in the URL accepts writes now: all are standbys, or read-only"),
    ("failed to resolve host", "the server's host name can't be resolved"),
    ("timeout expired", "the server does not answer in time"),
    ("refused", "the server does not answer"),
    ("No such file", "the server does not answer"),
    ("starting up", _UNAVAILABLE["57P03"]),
    ("shutting down", _UNAVAILABLE["57P03"]),
    ("too many c", _UNAVAILABLE["53300"]),
    ("connection slots are reserved", _UNAVAILABLE["53300"]),
)
"""Parts of the messages when no connection can be made, and what they mean; libpq gives no code for them.

After a refusal, somebody must correct something; an absent server may return.
"""


def store_error(error: BaseException) -> StoreUnavailableError | StoreUnusableError | None:
    """Return our error for an error of PostgreSQL, or None if it is a bug or a broken constraint."""
    if not isinstance(error, psycopg.Error):
        return None
    code = error.sqlstate
    if code is None:
        return _unconnected(error) if _is_of_the_connection(error) else None
    if code in _UNUSABLE:
        return StoreUnusableError(f"{_UNUSABLE[code]} ({first_line(error)})")
    if code in _UNAVAILABLE or code[:2] in _UNAVAILABLE_CLASSES:
        return StoreUnavailableError(f"{_UNAVAILABLE.get(code, 'the server refuses')} ({first_line(error)})")
    return None


def is_lost(error: BaseException) -> bool:
    """Return whether the connection was lost, so that the result of the last statement is unknown."""
    if not isinstance(error, psycopg.Error):
        return False
    code = error.sqlstate
    if code is None:
        return _is_of_the_connection(error)
    return code == _IDLE_TIMEOUT or code.startswith(("08", "57P"))


def is_of_one_statement(error: BaseException) -> bool:
    """Return whether only one statement has failed, because it took or waited too long."""
    return isinstance(error, psycopg.Error) and error.sqlstate in {_LOCK_TIMEOUT, _STATEMENT_TIMEOUT}


def is_collision(error: BaseException) -> bool:
    """Return whether the server has undone the transaction because of another one, so that it can be repeated."""
    return isinstance(error, psycopg.Error) and error.sqlstate in {_DEADLOCK, _SERIALIZATION}


def first_line(error: psycopg.Error) -> str:
    """Return the first line of the server's or libpq's message."""
    return error.diag.message_primary or str(error).partition("\n")[0]


def _is_of_the_connection(error: psycopg.Error) -> bool:
    """Return whether an error without a code is libpq's own, because there is no connection, and no wrong use of it.

    In a pipeline, libpq returns a lost connection as a result without a code, which psycopg raises as the base class.
    """
    return isinstance(error, psycopg.OperationalError) or type(error) is psycopg.DatabaseError


def _unconnected(error: psycopg.Error) -> StoreUnavailableError | StoreUnusableError:
    """Return our error for a connection that was lost, or that could not be opened."""
    line = first_line(error)
    reason = _reasons(error) or _BEFORE_THE_REASON.sub("", line)
    for words, meaning in _REFUSALS:
        if words in line:
            return StoreUnusableError(f"{meaning} ({reason})")
    for words, meaning in _ABSENCES:
        if words in line:
            return StoreUnavailableError(f"{meaning} ({reason})")
    return StoreUnavailableError(f"no connection to the server ({reason})")


def _reasons(error: psycopg.Error) -> str:
    """Return why each of several hosts could not be used; empty after one attempt, or with one reason for all."""
    attempts = [(host, port, _BEFORE_THE_REASON.sub("", line)) for host, port, line in _ATTEMPT.findall(str(error))]
    if len({reason for _, _, reason in attempts}) < 2:
        return ""
    return "; ".join(dict.fromkeys(f"{host}:{port}: {reason}" for host, port, reason in attempts))
