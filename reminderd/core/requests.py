"""Read the request for a reminder, whoever makes it: what is wrong with it, what to warn of, which limits follow."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cached_property, partial
from typing import Final
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from attrs import frozen

from reminderd.core.model import MESSAGE_LIMIT, Reminder
from reminderd.core.phone import Numbering, patient_number
from reminderd.core.rules import Rules
from reminderd.core.schedule.dates import DayOrder, moment
from reminderd.core.schedule.time_zones import known_zone, place_zone
from reminderd.core.script.advice import message_warnings
from reminderd.core.script.templates import NO_TEMPLATES, Templates

REF_LIMIT: Final = 200
"""Longest `ref`, in characters."""

_ANY_ZONE: Final = ZoneInfo("UTC")
"""For a request that is refused anyway, because of its time zone."""
_UNSPEAKABLE: Final = re.compile("[\0\ud800-\udfff\ufffd]")
_BREAKS: Final = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029]")
_SAME_REQUEST: Final = UUID("6f0b1d3c-52b1-5a51-9d2f-3f6a2f6f6d64")


@frozen(kw_only=True)
class ReminderRequest:
    """A reminder that somebody asks for, checked and in its stored form, whichever door it came through."""

    phone_number: str
    message: str
    scheduled_at: datetime
    ref: str | None = None
    expires_at: datetime | None = None
    timezone: str | None = None
    generation: int = 0
    """How many reminders with the same content came before it and were withdrawn."""

    @cached_property
    def own_id(self) -> str:
        """An id that the same phone number, time and message have every time, however the message is encoded."""
        words = " ".join(normal_name(self.message).split())
        content = f"{self.phone_number}\n{self.scheduled_at.isoformat()}\n{words}"
        return str(uuid5(_SAME_REQUEST, f"{content}\n{self.generation}" if self.generation else content))


def read_request(
    *,
    phone_number: str,
    message: str | None,
    scheduled_at: str,
    expires_at: str | None,
    timezone: str | None,
    ref: str | None,
    zone: ZoneInfo | None,
    normalise: Callable[[str], str],
    template: str | None = None,
    appointment_at: str | None = None,
    templates: Templates = NO_TEMPLATES,
    order: DayOrder | None = None,
) -> ReminderRequest | list[str]:
    """The reminder that was asked for, or everything that is wrong with it, each as `field: what; what was expected`.

    Args:
        phone_number: as it was typed.
        message: the text to be spoken; None: that of its template.
        scheduled_at: when to call, as `moment` reads it.
        expires_at: the same for the end of its time; None: the clinic's `max_lateness`, or the appointment if that
            comes sooner.
        timezone: the patient's, as `place_zone` reads it; None: the clinic's.
        ref: the clinic's own name for it.
        zone: the clinic's, in which times without an offset are local where `timezone` says nothing else; None: it is
            not known, and such times are refused.
        normalise: returns a number in its stored form, like `patient_number`, or raises ValueError.
        template: which of the clinic's templates its message is made from, instead of `message`.
        appointment_at: the appointment's time, as `moment` reads it, local to the clinic.
        templates: the clinic's templates.
        order: how dates with slashes are written.
    """
    name = None if ref is None else normal_name(ref)
    found: list[str] = []
    number = _number(phone_number, normalise, found)
    appointment = None
    if appointment_at is not None:
        appointment = _read("appointment_at", appointment_at, templates.zone, order, found)
    words = _worded(message, template, appointment, templates, found)
    found += _timezone_mistakes(timezone)
    local = zone if timezone is None else known_zone(timezone) or zone or _ANY_ZONE
    due = _read("scheduled_at", scheduled_at, local, order, found)
    limit = None if expires_at is None else _read("expires_at", expires_at, local, order, found)
    if ref is not None and (_BREAKS.search(ref) or not (name and len(name) <= REF_LIMIT and name.isprintable())):
        found.append(f"ref: not a name; expected 1 to {REF_LIMIT} printable characters")
    if due is not None and limit is not None and limit < due:
        found.append("expires_at: before the time to call; expected a later time")
    if due is not None and appointment is not None and appointment <= due:
        found.append("appointment_at: not after the time to call; expected a later time")
    if limit is None and due is not None and appointment is not None and appointment < due + templates.max_lateness:
        limit = appointment
    if found or number is None or due is None:
        return found
    return ReminderRequest(
        phone_number=number, message=words, scheduled_at=due, ref=name, expires_at=limit, timezone=timezone
    )


def mistakes(*, phone_number: str, message: str, timezone: str | None, numbering: Numbering) -> list[str]:
    """Everything that is wrong with what a reminder says, each as `field: what; what was expected`."""
    found: list[str] = []
    _number(phone_number, partial(patient_number, numbering=numbering), found)
    return found + _message_mistakes(message) + _timezone_mistakes(timezone)


def unfit(reminder: Reminder, numbering: Numbering) -> str | None:
    """Return why a stored reminder can never be called, or None: another program may have written anything."""
    found = mistakes(
        phone_number=reminder.phone_number,
        message=reminder.message,
        timezone=reminder.timezone,
        numbering=numbering,
    )
    if not found and patient_number(reminder.phone_number, numbering) != reminder.phone_number:
        found.append("phone_number: not in its international form; expected + and digits only")
    return "; ".join(found) or None


def zone_of(reminder: Reminder | ReminderRequest, rules: Rules) -> ZoneInfo:
    """The patient's time zone if the reminder brings a known one, else the clinic's."""
    own = known_zone(reminder.timezone) if reminder.timezone is not None else None
    return own or rules.calling_hours.zone


def expiry(reminder: Reminder | ReminderRequest, rules: Rules) -> datetime:
    """Return the moment from which on the patient is not called any more."""
    return reminder.expires_at or reminder.scheduled_at + rules.max_lateness


def out_of_hours(wanted: ReminderRequest, rules: Rules) -> str | None:
    """Return why a reminder will expire without a call, as things stand; None: there is a time for a call."""
    zone = zone_of(wanted, rules)
    opens, limit = rules.calling_hours.next_open(wanted.scheduled_at, zone), expiry(wanted, rules)
    if opens is not None and opens < limit:
        return None
    spoken = limit.astimezone(zone)
    return f"the calling hours leave no time to call before {spoken:%Y-%m-%d %H:%M %Z}, so it will expire"


def too_late(wanted: ReminderRequest, rules: Rules, now: datetime) -> str | None:
    """Why a reminder is not taken because its time is over already; None: there is time."""
    limit = expiry(wanted, rules)
    if limit > now:
        return None
    return f"too late; it was to be called before {limit.astimezone(rules.calling_hours.zone):%Y-%m-%d %H:%M:%S}"


def _worded(
    message: str | None, template: str | None, appointment: datetime | None, templates: Templates, found: list[str]
) -> str:
    """Return the message; what is wrong with it was added to `found`."""
    if template is not None and message is not None:
        found.append("template: together with a message; expected one of the two")
    elif template is not None:
        try:
            message = templates.message(template, appointment)
        except ValueError as error:
            if not any(mistake.startswith("appointment_at:") for mistake in found):
                found.append(f"{error}")
            return ""
    found += _message_mistakes(message or "")
    return message or ""


def _message_mistakes(message: str) -> list[str]:
    if not message.strip():
        return ["message: empty; expected the text to be spoken"]
    if len(message) > MESSAGE_LIMIT:
        return [f"message: {len(message)} characters; expected at most {MESSAGE_LIMIT}"]
    if _UNSPEAKABLE.search(message):
        return ["message: contains NUL or invalid characters; expected plain text"]
    return []


def _timezone_mistakes(timezone: str | None) -> list[str]:
    if timezone is None:
        return []
    try:
        place_zone(timezone)
    except ValueError as error:
        return [f"timezone: {error}"]
    return []


def _number(text: str, normalise: Callable[[str], str], found: list[str]) -> str | None:
    """Return the number in its stored form, or None after its mistake was added to `found`."""
    try:
        return normalise(text)
    except ValueError as error:
        found.append(f"phone_number: {error}")
        return None


def _read(field: str, text: str, zone: ZoneInfo | None, order: DayOrder | None, found: list[str]) -> datetime | None:
    """The moment in a field, or None after its mistake was added to `found`."""
    try:
        return moment(text, zone, order, midnight=field == "expires_at")
    except ValueError as error:
        found.append(f"{field}: {error}")
        return None


_UNSEEN: Final = frozenset({"\u034f", *map(chr, range(0xFE00, 0xFE10)), *map(chr, range(0xE0100, 0xE01F0))})
"""What only chooses how the character before it looks, as emoji have; U+034F joins nothing that is seen."""


def normal_name(name: str) -> str:
    """Return the name without what nobody sees in it: the same for every way to write the same characters.

    Composed and decomposed letters are one (Unicode's NFC), every space is a space, joiners, soft hyphens and marks of
    direction are left out, and so are spaces around it.
    """
    if name.isascii() and name.isprintable():
        return name.strip()
    seen = "".join(" " if one.isspace() else one for one in name if not _is_unseen(one))
    return unicodedata.normalize("NFC", seen).strip()


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) == "Cf" or character in _UNSEEN


def warnings_of(wanted: ReminderRequest, rules: Rules, *, opted_out: bool) -> Iterator[str]:
    """Yield why the patient will not be called, as things stand, and what of the message is not meant to be spoken.

    Each has what to do about it.

    Args:
        wanted: what is stored.
        rules: the clinic's rules.
        opted_out: whether its number has opted out.
    """
    if opted_out:
        yield "this number has opted out: it will not be called; tell the patient in another way"
    uncalled = out_of_hours(wanted, rules)
    if uncalled is not None:
        yield f"{uncalled}; choose another time to call, or a later expiry"
    yield from message_warnings(wanted.message)
