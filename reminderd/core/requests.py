"""Read the request for a reminder, from any source, and return its mistakes, its warnings and its limits."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cached_property, partial
from typing import Final, TypeVar
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from attrs import evolve, frozen

from reminderd.core.model import MESSAGE_LIMIT, Reminder
from reminderd.core.phone import ROUNDED, Numbering, patient_number
from reminderd.core.rules import NO_PLANNING, Planning, PlanningRules, Rules
from reminderd.core.schedule.dates import DayOrder, moment_of_text
from reminderd.core.schedule.time_zones import known_zone, place_zone
from reminderd.core.script.languages import language_tag, read_language
from reminderd.core.script.templates import (
    NO_TEMPLATES,
    Message,
    TemplateError,
    Templates,
    Values,
    is_error,
    message_warnings,
)

T = TypeVar("T")

REF_LIMIT: Final = 200
"""Longest `ref`, in characters."""

_ANY_ZONE: Final = ZoneInfo("UTC")
"""For a request that is refused anyway, because of its time zone."""
_UNSPEAKABLE: Final = re.compile("[\0\ud800-\udfff\ufffd]")
_BREAKS: Final = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029]")
_ROUNDED: Final = re.compile(r"[+-]?[0-9](?:[.,][0-9]+E[+-]?|E[+-])[0-9]{2,3}")
"""A long number as a spreadsheet shows it, in the same way for several numbers. "2E05" may be a room or a code."""
_SAME_REQUEST: Final = UUID("6f0b1d3c-52b1-5a51-9d2f-3f6a2f6f6d64")


@frozen(kw_only=True)
class ReminderRequest:
    """A reminder that somebody asks for, checked and in its stored form, the same for every kind of intake."""

    phone_number: str
    message: str
    scheduled_at: datetime
    ref: str | None = None
    expires_at: datetime | None = None
    timezone: str | None = None
    language: str | None = None
    """The language in which its call is spoken, a BCP 47 tag; None for the clinic's own."""
    warning: str | None = None
    """A warning if the call is not in the patient's language; None if it is."""
    generation: int = 0
    """How many earlier reminders with the same content were withdrawn."""

    @cached_property
    def own_id(self) -> str:
        """Return the id that the same phone number, time and message always have, however the message is encoded."""
        words = " ".join(normal_name(self.message).split())
        content = f"{self.phone_number}\n{self.scheduled_at.isoformat()}\n{words}"
        return str(uuid5(_SAME_REQUEST, f"{content}\n{self.generation}" if self.generation else content))


@frozen(kw_only=True)
class RequestText:
    """A request for a reminder as it was written; nothing of it is checked."""

    phone_number: str
    scheduled_at: str
    """When to call, as `moment_of_text` reads it."""
    message: str | None = None
    """The text to be spoken; None if it is made from a template."""
    template: str | None = None
    """The name of the template for its message; None if there is a `message`."""
    appointment_at: str | None = None
    """The appointment's time, as `moment_of_text` reads it, local to the clinic."""
    expires_at: str | None = None
    """The limit for its call; None for `max_lateness` after its time, or the appointment if that is earlier."""
    timezone: str | None = None
    """The patient's time zone, as `place_zone` reads it; None for the clinic's."""
    ref: str | None = None
    """The clinic's own name for it."""
    language: str | None = None
    """The patient's language, as `read_language` reads it; None for the clinic's own."""
    name: str | None = None
    """The patient's name, for a template that mentions it."""
    provider: str | None = None
    """Who the patient sees, for a template that mentions it."""
    place: str | None = None
    """Where the appointment is, for a template that mentions it."""


@frozen(kw_only=True)
class Reading:
    """What the clinic's configuration says about how requests are read."""

    zone: ZoneInfo | None
    """The clinic's zone, for times without an offset in requests without a `timezone`; None if it is not known, so that
    such times are refused."""
    normalize: Callable[[str], str]
    """Returns a number in its stored form, like `patient_number`, or raises ValueError."""
    templates: Templates = NO_TEMPLATES
    order: DayOrder | None = None
    """How dates with slashes are written."""
    planning: Planning = NO_PLANNING
    """Which calls are planned for an appointment."""


def read_request(text: RequestText, reading: Reading) -> ReminderRequest | list[str]:
    """Return the requested reminder, or all mistakes, each as `field: what; what is expected`."""
    name = None if text.ref is None else normal_name(text.ref)
    templates, order = reading.templates, reading.order
    found: list[str] = []
    number = read_field("phone_number", text.phone_number, reading.normalize, found)
    appointment = read_moment("appointment_at", text.appointment_at, templates.zone, order, found)
    language = read_field("language", text.language, read_language, found)
    message = _message(text, appointment, language, templates, found)
    read_field("timezone", text.timezone, place_zone, found)
    zone = reading.zone if text.timezone is None else known_zone(text.timezone) or reading.zone or _ANY_ZONE
    due = read_moment("scheduled_at", text.scheduled_at, zone, order, found)
    limit = read_moment("expires_at", text.expires_at, zone, order, found)
    if text.ref is not None and (mistake := wrong_name(text.ref, name)) is not None:
        found.append(f"ref: {mistake}")
    if due is not None and limit is not None and limit < due:
        found.append("expires_at: before the time to call; expected a later time")
    if due is not None and appointment is not None and appointment <= due:
        found.append("appointment_at: not after the time to call; expected a later time")
    if limit is None and due is not None and appointment is not None and appointment < due + templates.max_lateness:
        limit = appointment
    if found or number is None or due is None:
        return found
    return ReminderRequest(
        phone_number=number,
        message=message.text,
        scheduled_at=due,
        ref=name,
        expires_at=limit,
        timezone=text.timezone,
        language=message.language,
        warning=message.warning,
    )


def wrong_name(ref: str, name: str | None) -> str | None:
    """Return why a text can't be a `ref`, and what is expected, or None; `name` is its normal form.

    What a spreadsheet writes for a rounded number or for an error is the same for different appointments.
    """
    mistake = wrong_text(ref, name)
    if mistake is not None or name is None:
        return mistake
    if _ROUNDED.fullmatch(name):
        return ROUNDED
    if is_error(name):
        return "a spreadsheet's error; expected a name"
    return None if any(map(str.isalnum, name)) else "no letter or digit in it; expected a name"


def wrong_text(text: str, name: str | None) -> str | None:
    """Return why a text is not a short text on one line, and what is expected, or None; `name` is its normal form."""
    return None if is_name(text, name) else f"not a name; expected 1 to {REF_LIMIT} printable characters"


def is_name(ref: str, name: str | None) -> bool:
    """Return whether a text has the form of a `ref`; `name` is its normal form."""
    return bool(name and len(name) <= REF_LIMIT and name.isprintable()) and _BREAKS.search(ref) is None


def content_mistakes(
    *, phone_number: str, message: str, timezone: str | None, language: str | None = None, numbering: Numbering
) -> list[str]:
    """Return all mistakes in a reminder's content, each as `field: what; what is expected`."""
    return _read_content(phone_number, message, timezone, language, numbering)[1]


def why_never_callable(reminder: Reminder, numbering: Numbering) -> str | None:
    """Return why a stored reminder can never be called, or None; another program may have written anything."""
    content = reminder.phone_number, reminder.message, reminder.timezone, reminder.language
    return why_content_never_callable(*content, numbering)


def why_content_never_callable(
    phone_number: str, message: str, timezone: str | None, language: str | None, numbering: Numbering
) -> str | None:
    """Return why a reminder that is stored with this content can never be called, or None."""
    number, found = _read_content(phone_number, message, timezone, language, numbering)
    if not found and number != phone_number:
        found.append("phone_number: not in its international form; expected + and digits only")
    return "; ".join(found) or None


def _read_content(
    phone_number: str, message: str, timezone: str | None, language: str | None, numbering: Numbering
) -> tuple[str | None, list[str]]:
    """Return the number in its stored form, and all mistakes in a reminder's content."""
    found: list[str] = []
    number = read_field("phone_number", phone_number, partial(patient_number, numbering=numbering), found)
    found += _message_mistakes(message)
    read_field("timezone", timezone, place_zone, found)
    read_field("language", language, language_tag, found)
    return number, found


def zone_of(reminder: Reminder | ReminderRequest, rules: PlanningRules) -> ZoneInfo:
    """Return the patient's time zone if the reminder has a known one, else the clinic's."""
    own = known_zone(reminder.timezone) if reminder.timezone is not None else None
    return own or rules.calling_hours.zone


def expiry(reminder: Reminder | ReminderRequest, rules: Rules) -> datetime:
    """Return the moment from which no call of the reminder starts anymore."""
    return reminder.expires_at or reminder.scheduled_at + rules.max_lateness


def next_open(reminder: Reminder | ReminderRequest, start: datetime, rules: PlanningRules) -> datetime | None:
    """Return the first moment from `start` on in the calling hours of a patient; None if there is none."""
    return rules.calling_hours.next_open(start, zone_of(reminder, rules))


def why_out_of_hours(wanted: ReminderRequest, rules: Rules) -> str | None:
    """Return why a reminder will expire without a call, by the present rules; None if there is time for a call."""
    opens, limit = next_open(wanted, wanted.scheduled_at, rules), expiry(wanted, rules)
    if opens is not None and opens < limit:
        return None
    spoken = limit.astimezone(zone_of(wanted, rules))
    return f"the calling hours leave no time to call before {spoken:%Y-%m-%d %H:%M %Z}, so it will expire"


def why_too_late(wanted: ReminderRequest, rules: Rules, now: datetime) -> str | None:
    """Return why a reminder is refused because its time is over; None if there is time left."""
    limit = expiry(wanted, rules)
    if limit > now:
        return None
    return f"too late; it was to be called before {limit.astimezone(rules.calling_hours.zone):%Y-%m-%d %H:%M:%S}"


def _message(
    text: RequestText, appointment: datetime | None, language: str | None, templates: Templates, found: list[str]
) -> Message:
    """Return the message and its language, and add its mistakes to `found`."""
    message = Message(text=text.message or "", language=language)
    if text.template is not None and text.message is not None:
        found.append("template: together with a message; expected one of the two")
    elif text.template is not None:
        values = Values(appointment=appointment, name=text.name, provider=text.provider, place=text.place)
        try:
            message = templates.message(text.template, values, language)
        except TemplateError as error:
            known = {mistake.partition(":")[0] for mistake in found}
            found += [mistake for mistake in error.mistakes if mistake.partition(":")[0] not in known]
            return message
    elif language is not None and not templates.scripts.has(language):
        spoken_in = templates.scripts.own.language
        what = f"language: there are no texts in {language}, so the call is spoken by the voice for {spoken_in}"
        message = evolve(message, warning=f"{what}; expected a section [messages.{language}]")
    found += _message_mistakes(message.text)
    return message


def _message_mistakes(message: str) -> list[str]:
    if not message.strip():
        return ["message: empty; expected the text to be spoken"]
    if not any(map(str.isalnum, message)):  # a dash for "nothing", or characters that nobody sees
        return ["message: no letter or digit in it; expected the text to be spoken"]
    if len(message) > MESSAGE_LIMIT:
        return [f"message: {len(message)} characters; expected at most {MESSAGE_LIMIT}"]
    if _UNSPEAKABLE.search(message):
        return ["message: contains NUL or invalid characters; expected plain text"]
    return []


def read_field(field: str, text: str | None, reader: Callable[[str], T], found: list[str]) -> T | None:
    """Return the value of a field; None if it has no text, or after its mistake was added to `found`.

    `reader` raises ValueError with the mistake, and what is expected.
    """
    if text is None:
        return None
    try:
        return reader(text)
    except ValueError as error:
        found.append(f"{field}: {error}")
        return None


def read_moment(
    field: str, text: str | None, zone: ZoneInfo | None, order: DayOrder | None, found: list[str]
) -> datetime | None:
    """Return the moment in a field; None if it has no text, or after its mistake was added to `found`."""
    return read_field(
        field, text, partial(moment_of_text, zone=zone, order=order, midnight=field == "expires_at"), found
    )


NOTE_LIMIT: Final = 500
"""Longest note of staff, in characters."""


def note_mistake(note: str) -> str | None:
    """Return the mistake in a note of staff, or None."""
    is_readable = 0 < len(note) <= NOTE_LIMIT and note.isprintable() and not note.isspace()
    return None if is_readable else f"not a note; expected 1 to {NOTE_LIMIT} printable characters"


SOURCE_LIMIT: Final = 200
"""Longest source of an opt-out, in characters."""


def source_mistake(source: str) -> str | None:
    """Return the mistake in the source of an opt-out, or None."""
    is_readable = len(source) <= SOURCE_LIMIT and source.isprintable()
    return None if is_readable else f"expected at most {SOURCE_LIMIT} printable characters"


_UNSEEN: Final = frozenset({"\u034f", *map(chr, range(0xFE00, 0xFE10)), *map(chr, range(0xE0100, 0xE01F0))})
"""Variation selectors, which change the character before them, and U+034F, which is invisible."""


def normal_name(name: str) -> str:
    """Return the name without invisible characters, so that names that look the same are the same.

    Decomposed letters are composed (Unicode's NFC), and every kind of space becomes an ordinary one. Joiners, soft
    hyphens and marks of direction are left out, and so are spaces around the name.
    """
    if name.isascii() and name.isprintable():
        return name.strip()
    visible = (one for one in name if one not in _UNSEEN and unicodedata.category(one) != "Cf")
    seen = "".join(" " if one.isspace() else one for one in visible)
    return unicodedata.normalize("NFC", seen).strip()


def warnings_of(wanted: ReminderRequest, rules: Rules, *, opted_out: bool) -> Iterator[str]:
    """Return warnings, each with what to do: why the patient will not be called, and what to check in the message."""
    uncalled = why_out_of_hours(wanted, rules)
    why = None if uncalled is None else f"{uncalled}; choose another time to call, or a later expiry"
    return common_warnings(wanted.message, wanted.warning, why, opted_out=opted_out)


def common_warnings(message: str, warning: str | None, uncalled: str | None, *, opted_out: bool) -> Iterator[str]:
    """Yield each warning about a reminder or an appointment.

    `warning` is about the language of its message, and `uncalled` says why nobody will be called for it.
    """
    if opted_out:
        yield "this number has opted out: it will not be called; tell the patient in another way"
    if uncalled is not None:
        yield uncalled
    if warning is not None:
        yield warning
    yield from message_warnings(message)
