"""Warnings about a reminder that is stored, the same for every way in; `intake` says what is refused."""

from collections.abc import Iterator

from reminderd.core.intake import ReminderRequest, out_of_hours
from reminderd.core.rules import Rules
from reminderd.core.unfilled import message_warnings


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
