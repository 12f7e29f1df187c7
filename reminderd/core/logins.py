"""Decide who may log in to the front desk's pages: names, passwords, one-time codes, failed log-ins, sessions."""

import hmac
import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Final

from attrs import frozen
from pyotp import TOTP, random_base32

from reminderd.core.rules import Backoff


class Role(StrEnum):
    """What a user may do."""

    DESK = "desk"
    """May do everything about patients, and pause all dialing."""
    ADMIN = "admin"
    """May also resume, undo an opt-out, and see who has looked at what."""


# Names

_NAME: Final = re.compile(r"[a-z][a-z0-9._-]{0,39}")
_OTHER_ACTORS: Final = frozenset({"api", "folder", "patient", "reminderd", "staff"})
"""The other actors in the audit: a user with such a name would make it untrue."""


def user_name(text: str) -> str:
    """Return a user's name as it is stored, in lower case, as phones type the first letter as a capital.

    Raises:
        ValueError: The name is not allowed; the message says why.
    """
    name = text.strip().lower()
    if _NAME.fullmatch(name) is None:
        raise ValueError("expected 1 to 40 of a-z, 0-9, dot, hyphen and underscore, beginning with a letter")
    if name in _OTHER_ACTORS:
        raise ValueError(f"{name} is what the audit calls somebody else; choose another name")
    return name


# Passwords

LEAST_CHARACTERS: Final = 12
_MOST_CHARACTERS: Final = 200
_LEAST_DIFFERENT: Final = 5
_TRIED_FIRST: Final = (
    "password",
    "passwort",
    "contrasena",
    "qwertyuiop",
    "qwertzuiop",
    "123456789",
    "letmein",
    "changeme",
)
"""Attackers first try these passwords, with a few characters more."""
_FEW: Final = 4


def normal_password(text: str) -> str:
    """Return a password in the form that is hashed, as keyboards compose characters in different ways."""
    return unicodedata.normalize("NFKC", text)


def weakness_of(password: str, name: str) -> str | None:
    """Return why a password is refused for the user with this name; None if it is strong enough."""
    text = normal_password(password)
    if len(text) < LEAST_CHARACTERS:
        return f"shorter than {LEAST_CHARACTERS} characters; several words are easy to remember"
    if len(text) > _MOST_CHARACTERS:
        return f"longer than {_MOST_CHARACTERS} characters"
    if any(unicodedata.category(each) in {"Cc", "Cs"} for each in text):
        return "has a control character, which no keyboard types again"
    folded = text.casefold()
    if len(set(folded)) < _LEAST_DIFFERENT:
        return f"has fewer than {_LEAST_DIFFERENT} different characters"
    if _is_nearly(folded, name):
        return "is the name with a few characters more"
    if any(_is_nearly(folded, known) for known in _TRIED_FIRST):
        return "is among those that are tried first"
    return None


def _is_nearly(text: str, known: str) -> bool:
    """Return whether a text is this word, once or repeatedly, with a few characters more."""
    return known in text and len(text.replace(known, "")) <= _FEW


# One-time codes

_STEP: Final = 30
_DIGITS: Final = 6
_LATE_AND_EARLY: Final = (0, -1, 1)
"""The accepted time steps, as the clock of a phone may differ, and typing takes time."""


def totp_step(secret: str, code: str, now: datetime, used: int | None) -> int | None:
    """Return the time step of a code, to be stored as used; None if the code is wrong, or was used before (RFC 6238).

    The secret is in base 32. `used` is the last time step whose code was used; only later codes are accepted.
    """
    typed = "".join(code.split())
    if not (len(typed) == _DIGITS and typed.isascii() and typed.isdigit()):
        return None
    current = int(now.timestamp()) // _STEP
    codes = TOTP(secret, digits=_DIGITS, interval=_STEP)
    for step in (current + offset for offset in _LATE_AND_EARLY):
        if (used is None or step > used) and hmac.compare_digest(codes.generate_otp(step), typed):
            return step
    return None


def new_totp_secret() -> str:
    """Return a new random key for one-time codes, of the 160 bits that RFC 4226 recommends."""
    return random_base32()


def totp_url(secret: str, name: str) -> str:
    """Return the URL with which an authenticator app adds the user's key."""
    return TOTP(secret, digits=_DIGITS, interval=_STEP).provisioning_uri(name=name, issuer_name="reminderd")


# Failed log-ins

FORGOTTEN_AFTER: Final = timedelta(days=1)
"""This long after the last failure, a counter starts again."""
KNOWN_FOR: Final = timedelta(days=90)
"""How long an address counts as one from which a user logs in."""

_FREE_OF_ACCOUNT: Final = 5
_FREE_OF_ADDRESS: Final = 20
"""A whole clinic may share one address."""
_DELAY: Final = Backoff(timedelta(seconds=30), timedelta(minutes=15))
"""The maximum is also the longest time for which a stranger can lock somebody out with one more failure."""


@frozen
class Counter:
    """An account or an address whose failed log-ins are counted."""

    key: str
    free: int
    """From this number of failures on, a delay follows each failure."""
    starts_again: bool
    """Whether the count starts again after a log-in. Not for an address: its user might guess other passwords."""


@frozen
class Failures:
    """How often log-ins of a counter have failed lately."""

    count: int
    last_at: datetime


def counters(name: str, address: str, *, exists: bool, is_known: bool) -> tuple[Counter, ...]:
    """Return the counters of a failed log-in, which may refuse further log-ins for a while.

    The failures of strangers must not lock a user out. So if the user has logged in from the address before, only the
    failures of this account at this address count. Otherwise, two counters apply: all failures of the account at
    unknown addresses, and all failures at the address. A name without an account is counted in the same way, so that
    nobody learns which names exist. It may be a password in the wrong field, so the name is not stored.

    `is_known`: the account was logged in to from this address in the last `KNOWN_FOR`.
    """
    if exists and is_known:
        return (Counter(f"user:{name} address:{address}", _FREE_OF_ACCOUNT, starts_again=True),)
    account = f"user:{name}" if exists else f"unknown:{sha256(name.encode(errors='surrogatepass')).hexdigest()[:3]}"
    return (
        Counter(account, _FREE_OF_ACCOUNT, starts_again=True),
        Counter(f"address:{address}", _FREE_OF_ADDRESS, starts_again=False),
    )


def one_failure_more(failures: Failures | None, now: datetime) -> Failures:
    """Return a counter's failures after one more."""
    is_fresh = failures is None or abs(now - failures.last_at) >= FORGOTTEN_AFTER
    return Failures(1 if failures is None or is_fresh else failures.count + 1, now)


def locked_until(counted: Iterable[tuple[Counter, Failures | None]], now: datetime) -> datetime | None:
    """Return until when log-ins are refused; None if a log-in may be tried now.

    The delay doubles with each failure. A log-in that is refused during the delay is not counted, so the delay ends.
    """
    ends = (_end_of_delay(counter, failures, now) for counter, failures in counted)
    return max((end for end in ends if end is not None), default=None)


def _end_of_delay(counter: Counter, failures: Failures | None, now: datetime) -> datetime | None:
    if failures is None or failures.count < counter.free:
        return None
    end = failures.last_at + _DELAY.ceiling(failures.count - counter.free + 1)
    # A failure in the future shows that the clock was wrong, and locks nobody out until then.
    return end if failures.last_at <= now < end else None


# Sessions

LONGEST_SESSION: Final = timedelta(hours=12)
"""A working day, even if the session is in use. The next day begins with a log-in."""
_TOUCHED_AFTER: Final = timedelta(minutes=1)


def session_has_ended(created_at: datetime, seen_at: datetime, now: datetime, *, idle: timedelta) -> bool:
    """Return whether a session is over: it was idle for too long, is too old, or began in the future."""
    return abs(now - seen_at) >= idle or abs(now - created_at) >= LONGEST_SESSION


def is_use_to_be_recorded(seen_at: datetime, now: datetime) -> bool:
    """Return whether it is time to record that a session is in use."""
    return abs(now - seen_at) >= _TOUCHED_AFTER
