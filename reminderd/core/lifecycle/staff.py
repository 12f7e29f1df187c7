"""Actions by staff: cancel, accept a new number, note a manual call, ask for another call, restore a backup."""

from datetime import datetime

import attrs

from reminderd.core.lifecycle.replan import done_for, number_accepted, why_void
from reminderd.core.lifecycle.states import all_cancelled, ended, lasting_hold, patient_time
from reminderd.core.lifecycle.transition import Ledger, Level, LogLine, Transition
from reminderd.core.model import RESPONSES, Call, CallState, Reminder, Status, evolve
from reminderd.core.outcomes import NEED_A_HUMAN, outcome
from reminderd.core.phone import is_e164
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.requests import next_open, why_never_callable
from reminderd.core.rules import Rules
from reminderd.core.sentences import NotAllowedError, Sentence, TextValue


def cancelled(
    ledger: Ledger, reminder: Reminder, code: EndCode, now: datetime, reason: str | None = None
) -> Transition:
    """Cancel a reminder. Its alive call is still reconciled to its end, and dropped if no other reminder needs it.

    Raises:
        NotAllowedError: the patient has been reached, or the reminder is final for another reason.
    """
    if reminder.status is Status.CALLED:
        raise NotAllowedError("the patient has already been reached (status: %(status)s)", _status(reminder))
    if reminder.status.final:
        raise NotAllowedError("the reminder is already final (status: %(status)s)", _status(reminder))
    after, lines = all_cancelled(ledger, [reminder], code, now, reason)
    alive = ledger.alive_call(reminder)
    return Transition(ledger=after, call=None if alive is None else after.calls[alive.id], lines=lines)


def withdrawn(ledger: Ledger, reminder: Reminder) -> Transition:
    """Note that the clinic's own system has cancelled the reminder, too: the same request then adds a new reminder.

    If the reminder was cancelled because its number has opted out, it keeps that code.
    """
    code = reminder.end_code if reminder.end_code is EndCode.OPTED_OUT else EndCode.WITHDRAWN
    return Transition(ledger=ledger.put(evolve(reminder, end_code=code)))


def done(ledger: Ledger, reminder: Reminder, now: datetime, reason: str | None = None) -> Transition:
    """Note that staff have called the patient manually: no other call follows, and nothing is left to do.

    The other reminders of its appointment are cancelled, too.

    A reminder that is not final is cancelled. A final reminder keeps its status, which shows how its calls ended. If
    staff have noted this before, nothing changes.

    Raises:
        NotAllowedError: nothing is to be done, as the patient was reached, or the reminder was cancelled.
    """
    if not reminder.status.final:
        transition = cancelled(ledger, reminder, EndCode.DONE_BY_STAFF, now, reason)
        ended_one = evolve(transition.ledger.reminders[reminder.id], done_at=now)
        after, lines = done_for(transition.ledger.put(ended_one), reminder, now)
        return attrs.evolve(transition, ledger=after, lines=(*transition.lines, *lines))
    if reminder.done_at is not None:
        return Transition(ledger=ledger)
    word = outcome(reminder.status, reminder.response, reminder.end_code)
    if word not in NEED_A_HUMAN:
        values = {"outcome": Sentence(word), **_status(reminder)}
        raise NotAllowedError("it needs nothing: %(outcome)s (status: %(status)s)", values)
    line = LogLine(f"{reminder.status}: done by staff", reminder_id=reminder.id)
    after, lines = done_for(ledger.put(evolve(reminder, done_at=now)), reminder, now)
    return Transition(ledger=after, lines=(line, *lines))


def accepted(ledger: Ledger, reminder: Reminder, now: datetime) -> Transition:
    """Release a reminder that is held because its phone number was changed, and the others of its appointment.

    Raises:
        NotAllowedError: the reminder is not held for that reason.
    """
    if reminder.status is not Status.SCHEDULED or reminder.hold_code is not HoldCode.NUMBER_CHANGED:
        raise NotAllowedError("no new phone number waits to be accepted (status: %(status)s)", _status(reminder))
    after, others = number_accepted(ledger, reminder)
    held = [reminder, *others]
    released = [
        evolve(one, hold_code=None, last_error=None, wake_at=max(now, one.scheduled_at) if one.wake_at else None)
        for one in held
    ]
    lines = tuple(LogLine("new phone number accepted by staff", reminder_id=one.id) for one in held)
    return Transition(ledger=after.put(*released), lines=lines)


def called_again(ledger: Ledger, reminder: Reminder, *, rules: Rules, now: datetime) -> Transition:
    """Schedule a reminder again with a new count of calls and its own limit, counted from when it may be called.

    A reminder that is held for its changed number stays held: asking for another call does not accept the number.

    Raises:
        NotAllowedError: the patient was reached, the reminder still waits, or its number is busy or can't be called.
    """
    _refuse(ledger, reminder, rules)
    due = max(now, reminder.scheduled_at)  # a cancellation may be undone long before the reminder's time
    wrong = why_never_callable(reminder, rules.numbering)
    opens = next_open(reminder, max(due, ledger.free_from(reminder, rules, now) or due), rules)
    if wrong is not None or opens is None:
        raise NotAllowedError(wrong or "the calling hours leave no time to call")
    if reminder.planned_at is not None and opens >= reminder.planned_at:
        raise NotAllowedError("its appointment is over before it may be called")
    again = evolve(
        reminder,
        status=Status.SCHEDULED,
        wake_at=due,
        retry_at=None,
        attempts=0,
        tries=0,
        again_until=opens + rules.max_lateness,
        again_seq=ledger.newest_seq,
        hold_code=lasting_hold(reminder),
        end_code=None,
        ended_at=None,
        done_at=None,
        last_error=None,
    )
    held = "" if again.hold_code is None else f", and held: {again.hold_code.sentence}"
    line = LogLine(f"scheduled again by staff{held}", reminder_id=reminder.id)
    return Transition(ledger=ledger.put(again), lines=(line,))


def opt_out_allowed(phone_number: str, *, is_listed: bool = False) -> None:
    """Check that a reminder's number can opt out of all calls.

    Raises:
        NotAllowedError: the number was purged, can never be called, or has opted out already (`is_listed`).
    """
    if not phone_number:
        raise NotAllowedError("its phone number and message were purged")
    if not is_e164(phone_number):
        raise NotAllowedError("this phone number can never be called")
    if is_listed:
        raise NotAllowedError("the number has opted out")


def restored(ledger: Ledger, *, restored_at: datetime, now: datetime) -> Transition:
    """Close every call and reminder whose end may have come after the backup.

    Calls that were alive in the backup are given up; a sign of life opens them again. Reminders that were in a call,
    or whose time had come by `restored_at`, may have been called since: staff decide.

    The ledger has all alive calls of the backup, and all reminders that are not final. `restored_at` is the later of
    `now`, the time of the restore, and of the last change in the backup.
    """
    calls = [
        evolve(call, state=CallState.UNREPORTED, lease_token=None, wake_at=None, error=EndCode.RESTORED.sentence)
        for call in ledger.calls.values()
        if call.state.alive
    ]
    reminders = [
        ended(reminder, Status.FAILED, EndCode.RESTORED, now)
        for reminder in ledger.reminders.values()
        if reminder.status.in_call or (reminder.status is Status.SCHEDULED and reminder.scheduled_at <= restored_at)
    ]
    lines = tuple(LogLine(f"failed: {EndCode.RESTORED.sentence}", Level.ERROR, reminder.id) for reminder in reminders)
    return Transition(ledger=ledger.put(*calls, *reminders), lines=lines)


def _refuse(ledger: Ledger, reminder: Reminder, rules: Rules) -> None:
    if ledger.was_heard(reminder, rules):
        raise NotAllowedError("the patient was reached: the message was heard in a call")
    if reminder.response in RESPONSES and not ledger.has_left(reminder):
        answer = Sentence(reminder.response.replace("_", " "))
        raise NotAllowedError("the patient was reached, and has answered: %(answer)s", {"answer": answer})
    alive = ledger.alive_calls_to(reminder.phone_number)
    if alive:
        raise _number_busy(alive[-1], reminder, rules)
    if not reminder.status.can_be_called_again:
        text = "the reminder is %(status)s: only failed, expired or cancelled reminders can be called again"
        raise NotAllowedError(text, _status(reminder))
    void = why_void(ledger, reminder)
    if void is not None:
        raise NotAllowedError("it is not needed: %(why)s", {"why": Sentence(void.sentence)})
    if reminder.phone_number in ledger.opted_out:
        raise NotAllowedError("the number has opted out")
    if reminder.purged:
        raise NotAllowedError("its phone number and message were purged")


def _number_busy(call: Call, reminder: Reminder, rules: Rules) -> NotAllowedError:
    until = patient_time(call.last_sign_at + rules.outcome_timeout, reminder, rules)
    values: dict[str, TextValue] = {"word": Sentence(call.status or call.state), "until": until}
    return NotAllowedError(
        "a call to this number is under way (%(word)s); its end will be known by %(until)s at the latest", values
    )


def _status(reminder: Reminder) -> dict[str, TextValue]:
    return {"status": Sentence(reminder.status)}
