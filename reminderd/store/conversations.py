"""Settling a turn of a conversation: somebody has picked up or pressed a key; on record before anything is said."""

from datetime import datetime

from attrs import evolve, frozen

from reminderd.core.answers import Report
from reminderd.core.conversation import Reply
from reminderd.core.lifecycle import NOT_NEEDED, Key, Step, picked_up, pressed, still_said, together
from reminderd.core.reminder import Reminder
from reminderd.core.rules import Rules
from reminderd.store.audit import audit
from reminderd.store.company import riders_of
from reminderd.store.driver import Connection
from reminderd.store.facts import opted_out
from reminderd.store.optouts import opt_out
from reminderd.store.reports import hear
from reminderd.store.rows import save


@frozen(kw_only=True)
class Spoken:
    """What is said next, and what was changed for it."""

    reply: Reply
    message: str
    """The words of the reminder, and of those that its call says, too."""
    steps: tuple[Step, ...]
    """Of the reminder that was spoken of, and of those that an opt-out cancelled with it."""


def settle_pick_up(connection: Connection, now: datetime, *, report: Report, rules: Rules, new_call_id: str) -> Spoken:
    """Record that a call was answered, and decide what is said.

    Raises:
        UnknownReminderError: there is no such call; nothing is written.
    """
    told = hear(connection, now, report=report, rules=rules, new_call_id=new_call_id)
    step, reminder = told.step, told.step.reminder
    save(connection, told.reminder, told.calls, step, now)
    if step.call is None:
        return Spoken(reply=NOT_NEEDED, message=reminder.message, steps=(step,))
    said = still_said(reminder, riders_of(connection, step.call), rules, now)
    is_out = opted_out(connection, reminder.phone_number)
    reply = picked_up(step.call, said, opted_out=is_out, rules=rules)
    return Spoken(reply=reply, message=_words(said, reminder), steps=(step,))


def settle_key(
    connection: Connection, now: datetime, *, report: Report, key: Key, rules: Rules, new_call_id: str
) -> Spoken:
    """Record what a key means; an opt-out is on record for the number, and on all its waiting reminders, with it.

    Raises:
        UnknownReminderError: there is no such call; nothing is written.
    """
    told = hear(connection, now, report=report, rules=rules, new_call_id=new_call_id)
    heard, reminder = told.step, told.step.reminder
    if heard.call is None:
        save(connection, told.reminder, told.calls, heard, now)
        return Spoken(reply=NOT_NEEDED, message=reminder.message, steps=(heard,))
    turn = pressed(reminder, heard.calls, heard.call, key)
    step = evolve(turn.step, notes=heard.notes + turn.step.notes)
    save(connection, told.reminder, told.calls, step, now)
    if step.reminder.response != told.reminder.response:
        audit(connection, now, actor="patient", act=step.reminder.response or "", reminder_id=reminder.id)
    others: tuple[Step, ...] = ()
    if turn.opts_out:
        source = f"key pressed in call {heard.call.id}"
        others = opt_out(connection, now, phone_number=reminder.phone_number, source=source, actor="patient")
    said = still_said(reminder, riders_of(connection, heard.call), rules, now)
    return Spoken(reply=turn.reply, message=_words(said, reminder), steps=(step, *others))


def _words(said: tuple[Reminder, ...], reminder: Reminder) -> str:
    """What the call says; of one in which nothing is left to say, the words of its own reminder."""
    return together(one.message for one in said or (reminder,))
