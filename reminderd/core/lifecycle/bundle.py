"""Several reminders in one call: which of them belong together, and what the call speaks."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Final

from attrs import frozen

from reminderd.core.lifecycle.transition import Ledger, limit_of
from reminderd.core.model import MESSAGE_LIMIT, Call, Reminder
from reminderd.core.requests import zone_of
from reminderd.core.rules import Rules

_SENTENCE_ENDS: Final = (".", "!", "?", "…", "。")


@frozen(kw_only=True)
class Bundle:
    """The reminders of a call that is to be made."""

    reminders: tuple[Reminder, ...]
    """In the order in which they are spoken."""
    waits_until: datetime | None = None
    """When another reminder of the bundle is due; None: the call is made now."""


def bundle_for(
    ledger: Ledger,
    reminder: Reminder,
    ready: Sequence[Reminder],
    early: Sequence[Reminder],
    rules: Rules,
    now: datetime,
) -> Bundle:
    """Decide which reminders one call speaks, all in one language. None is ever spoken before its time.

    Args:
        ledger: contains all of them.
        reminder: the one that starts the call, which may be called now.
        ready: others of its number that may be called now.
        early: others of its number that are due later.
        rules: the clinic's rules.
        now: the time of the transaction.
    """
    if not rules.group_within:
        return Bundle(reminders=(reminder,))
    near = [
        one
        for one in ready
        if abs(one.scheduled_at - reminder.scheduled_at) <= rules.group_within
        and rules.scripts.are_one(one.language, reminder.language)
    ]
    bundle = [reminder]
    for other in sorted(near, key=attrgetter("scheduled_at", "id")):
        if _fits([*bundle, other]):
            bundle.append(other)
    is_first = all(ledger.attempts(one) == 0 and one.tries == 0 for one in bundle)
    later = [
        one.scheduled_at
        for one in early
        if one.scheduled_at - reminder.scheduled_at <= rules.group_within
        and rules.scripts.are_one(one.language, reminder.language)
        and _fits([*bundle, one])
    ]
    if is_first and later and _can_wait(reminder, max(later), rules, now):
        return Bundle(reminders=tuple(bundle), waits_until=max(later))
    return Bundle(reminders=tuple(sorted(bundle, key=attrgetter("scheduled_at", "id"))))


def language_of(ledger: Ledger, call: Call) -> str | None:
    """Return the language in which a call is spoken: that of its reminders, of which the first that is known counts."""
    members = ledger.members_of(call)
    found = (ledger.reminders[one.reminder_id] for one in members if one.reminder_id in ledger.reminders)
    return next((one.language for one in found if one.phone_number == call.phone_number), None)


def spoken_together(messages: Iterable[str]) -> str:
    """Return what one call speaks: each message as a separate sentence; a single one is left as it is."""
    texts = tuple(messages)
    if len(texts) == 1:
        return texts[0]
    return " ".join(text if text.endswith(_SENTENCE_ENDS) else f"{text}." for text in map(str.strip, texts))


def _fits(reminders: Sequence[Reminder]) -> bool:
    return len(spoken_together(one.message for one in reminders)) <= MESSAGE_LIMIT


def _can_wait(reminder: Reminder, until: datetime, rules: Rules, now: datetime) -> bool:
    """Return whether the reminder can still be called then: before its limit, in the calling hours, on the same day."""
    zone = zone_of(reminder, rules)
    is_in_time = until < limit_of(reminder, rules) - rules.lease
    is_same_day = until.astimezone(zone).date() == now.astimezone(zone).date()
    return is_in_time and is_same_day and rules.calling_hours.is_open(until, zone)
