"""Settling a turn of a conversation: somebody has picked up or pressed a key; on record before anything is said."""

from datetime import datetime

from attrs import evolve, frozen

from reminderd.core.answers import Report
from reminderd.core.conversation import Reply
from reminderd.core.lifecycle import NOT_NEEDED, Key, Step, parted, picked_up, pressed, still_said, together
from reminderd.core.reminder import Reminder, Response
from reminderd.core.rules import Rules
from reminderd.store.audit import audit
from reminderd.store.company import riders_of
from reminderd.store.driver import Connection
from reminderd.store.facts import opted_out
from reminderd.store.optouts import opt_out
from reminderd.store.reports import hear
from reminderd.store.rows import save, save_other


@frozen(kw_only=True)
class Spoken:
    """What is said next, and what was changed for it."""

    reply: Reply
    message: str
    """The words of the reminder, and of those that its call says, too."""
    steps: tuple[Step, ...]
    """Of the reminder that was spoken of, of those that its call says, too, and of those that an opt-out cancelled."""


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
    riders, is_out = riders_of(connection, step.call), opted_out(connection, reminder.phone_number)
    said = () if is_out else still_said((reminder, *(rider.reminder for rider in riders)), rules, now)
    # From now on those that belong to the call are those that are said in it; a repeat finds them answered already.
    left = [one for one in riders if one.reminder not in said and one.reminder.response not in frozenset(Response)]
    others = tuple(parted(left, rules, now, opted_out=is_out))
    for other in others:
        save_other(connection, other, now)
    reply = picked_up(step.call, said, rules=rules)
    return Spoken(reply=reply, message=_words(said or (reminder,)), steps=(step, *others))


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
    riders = riders_of(connection, heard.call)
    turn = pressed(reminder, heard.calls, heard.call, key, riders)
    step = evolve(turn.step, notes=heard.notes + turn.step.notes)
    save(connection, told.reminder, told.calls, step, now)
    _audit_answer(connection, now, told.reminder, step)
    before = {rider.reminder.id: rider.reminder for rider in riders}
    answered = tuple(other for other in step.others if other.reminder != before[other.reminder.id])
    for other in answered:
        save_other(connection, other, now)
        _audit_answer(connection, now, before[other.reminder.id], other)
    opted: tuple[Step, ...] = ()
    if turn.opts_out:
        source = f"key pressed in call {heard.call.id}"
        opted = opt_out(connection, now, phone_number=reminder.phone_number, source=source, actor="patient")
    own = () if key.others_only else (step.reminder,)
    said = (*own, *before.values())
    message = _words(still_said(said, rules, now) or said)
    return Spoken(reply=turn.reply, message=message, steps=(step, *answered, *opted))


def _audit_answer(connection: Connection, now: datetime, before: Reminder, step: Step) -> None:
    response = step.reminder.response
    if response != before.response:
        audit(connection, now, actor="patient", act=response or "", reminder_id=before.id)


def _words(said: tuple[Reminder, ...]) -> str:
    return together(one.message for one in said)
