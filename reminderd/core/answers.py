"""What a provider can answer: to a request to place a call, in a report, and in a look-up.

This also reads its words for the status of a call and for who answered; docs/webhooks.md has both tables.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final, TypeAlias

from attrs import frozen

from reminderd.core.model import PROGRESS, TERMINAL


@frozen
class Accepted:
    """The provider accepted the call."""

    external_call_id: str
    status: str = "queued"


@frozen
class NotPlaced:
    """The call was certainly not placed; the same request may be sent again later."""

    reason: str
    retry_after: timedelta | None = None
    rate_limited: bool = False
    """The provider asks us to pause all requests (429), not only this one."""
    number_refused: bool = False
    """Our account may not call this number, but may call others."""


@frozen
class Refused:
    """The provider will never place this call, because of its number or its message."""

    reason: str


@frozen
class AccountRefused:
    """The provider refuses us, not this patient, because of credentials, URL or credit. Nothing was placed."""

    reason: str


@frozen
class Unclear:
    """The call may or may not have been placed."""

    reason: str


PlacingAnswer: TypeAlias = Accepted | NotPlaced | Refused | AccountRefused | Unclear


@frozen(kw_only=True)
class Report:
    """What the provider reports about one call, by webhook or in a look-up; see `standard_status` for `status`."""

    external_call_id: str
    status: str
    reminder_id: str | None = None
    """None if the provider does not repeat it; `attempt_id` then identifies the call."""
    attempt_id: str | None = None
    transcript: str | None = None
    duration_seconds: int | None = None
    answered_by: str | None = None
    sip_response_code: int | None = None
    """How the telephone network ended the call (RFC 3261, 21)."""
    error_code: str | None = None
    """The provider's own code for the error."""
    ended_at: datetime | None = None
    """When the call ended, by the provider's clock."""


@frozen
class Found:
    """The provider knows the call and reports its status."""

    report: Report


@frozen
class Candidates:
    """Calls that could each be the call that was looked up: the provider repeats no id of ours."""

    reports: tuple[Report, ...]


@frozen
class NotFound:
    """The provider answered that it does not know the call."""


@frozen
class NoAnswer:
    """The provider could not be asked, or its answer can't be understood: this proves nothing."""

    reason: str


LookUpAnswer: TypeAlias = Found | NotFound | NoAnswer


@frozen(kw_only=True)
class Capabilities:
    """What a provider can do for us when we are unsure; each provider's class states it."""

    honors_key: bool = False
    """A second request with the same idempotency key places no second call."""
    key_lifetime: timedelta = timedelta(0)
    """How long after the first request the provider honors the key."""
    look_up: bool = False
    """It can be asked about a call, by its id and by ours."""
    drop: bool = False
    """It can be asked to drop a call that is not answered yet."""
    asks_what_to_say: bool = False
    """It asks us what to speak when a call is answered; nothing else is spoken."""
    listens_for: timedelta = timedelta(0)
    """How long after the answer it may listen for a machine before it asks."""


STATUS_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "in-progress": ("inprogress",),
    "completed": ("complete",),
    "busy": ("user-busy", "line-busy"),
    "no-answer": (
        "noanswer",
        "not-answered",
        "unanswered",
        "no-reply",
        "missed",
        "timeout",
        "timed-out",
        "ring-timeout",
    ),
    "canceled": ("cancelled", "cancel"),
    "declined": ("decline", "rejected", "reject", "call-rejected"),
    "hung-up": ("hangup", "hang-up", "hungup", "user-hangup"),
    "failed": ("failure", "error"),
}
"""Other gateways' words for each status."""

_STATUSES: Final = {word: word for word in PROGRESS | TERMINAL} | {
    word: status for status, words in STATUS_WORDS.items() for word in words
}


def standard_status(status: str) -> str:
    """Return a provider's status in our spelling: lower case, `-` for `_`, and one word for each meaning.

    An unknown word is kept.
    """
    word = status.strip().lower().replace("_", "-")
    return _STATUSES.get(word.replace(" ", "-"), word)


class Listener(StrEnum):
    """Who has answered a call."""

    PERSON = "person"
    MACHINE = "machine"
    FAX = "fax"


LISTENER_WORDS: Final[Mapping[Listener, tuple[str, ...]]] = {
    Listener.FAX: ("fax",),
    Listener.MACHINE: (
        "machine",
        "voicemail",
        "voicebox",
        "mailbox",
        "answerphone",
        "recording",
        "silence",
        "silent",
        "beep",
    ),
}
"""Parts of `answered_by` that mean a fax or a machine. Every other word means a person: if a provider is not sure, we
don't assume a machine."""


_WORD: Final = re.compile(r"[^\W\d_]+")
_NAMES: Final = "|".join(" ?".join(word) for words in LISTENER_WORDS.values() for word in words)
"""A pattern for the words, which may be written apart, like "voice mail"."""
_DENIED: Final = re.compile(
    rf"\b(?:no|not|non|without)(?: (?:an?|any|the|answering))*(?: (?:{_NAMES})\w*)+"
    rf"|\b(?:{_NAMES})\w*(?: detection)?(?: is| was)? (?:(?:off|false|not (?:detected|found|recognized))\b|no$)"
)
"""A pattern for words that deny a machine, like `not_a_machine`; `machine_no_beep` denies only the beep."""


@lru_cache(maxsize=64)
def listener_of(answered_by: str | None) -> Listener:
    """Return who has answered, by the provider's word in any case, with any separators; a person if there is none."""
    text = " ".join(_WORD.findall((answered_by or "").casefold()))
    letters = _DENIED.sub("|", text).replace(" ", "")
    for who, words in LISTENER_WORDS.items():
        if any(word in letters for word in words):
            return who
    return Listener.PERSON
