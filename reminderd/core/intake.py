"""What a reminder must be like to be taken, and what time limits follow from it."""

from datetime import datetime
from zoneinfo import ZoneInfo

from reminderd.core.phone import normalised
from reminderd.core.reminder import MESSAGE_LIMIT, Reminder
from reminderd.core.rules import Rules
from reminderd.core.window import known_zone

PHONE_EXPECTED = "expected an international number that exists, like +4930123456"


def mistakes(*, phone_number: str, message: str, timezone: str | None) -> list[str]:
    """Everything that is wrong with what a reminder says, each as `field: what; what was expected`."""
    found = []
    if normalised(phone_number) is None:
        found.append(f"phone_number: not a possible number; {PHONE_EXPECTED}")
    if not message.strip():
        found.append("message: empty; expected the words to be read out")
    elif len(message) > MESSAGE_LIMIT:
        found.append(f"message: {len(message)} characters; expected at most {MESSAGE_LIMIT}")
    elif not _speakable(message):
        found.append("message: holds NUL or broken characters; expected plain text")
    if timezone is not None and known_zone(timezone) is None:
        found.append("timezone: unknown; expected an IANA name like Europe/Berlin")
    return found


def unfit(reminder: Reminder) -> str | None:
    """Why a stored reminder can never be rung, or None if it can: a foreign program may have written anything."""
    found = mistakes(phone_number=reminder.phone_number, message=reminder.message, timezone=reminder.timezone)
    if not found and normalised(reminder.phone_number) != reminder.phone_number:
        found.append("phone_number: not in its international form; expected + and digits only, like +4930123456")
    return "; ".join(found) or None


def zone_of(reminder: Reminder, rules: Rules) -> ZoneInfo:
    """The patient's time zone if the reminder brings a known one, else the clinic's."""
    own = known_zone(reminder.timezone) if reminder.timezone is not None else None
    return own or rules.window.zone


def expiry(reminder: Reminder, rules: Rules) -> datetime:
    """After this moment the reminder is not rung any more."""
    return reminder.expires_at or reminder.scheduled_at + rules.max_lateness


def _speakable(message: str) -> bool:
    return "\0" not in message and not any("\ud800" <= character <= "\udfff" for character in message)
