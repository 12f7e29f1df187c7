"""The end of a call, applied to each of its reminders in the same way."""

from tests.model.model import Model
from tests.model.rows import BACKOFF, IN_CALL, MAX_CALLS, MAX_TRIES, OPEN, REDIAL_DELAY, Call, Member, Reminder
from tests.model.rules import Rule

_END_CODES = {"declined": "declined", "failed": "provider_failed", "hung_up": "hung_up"}


def call_outcome_of(end: str, *, asks: bool, was_spoken: bool) -> str:
    """Return how a call ended for the patient. Only this function decides it.

    Args:
        end: what the provider reports.
        asks: the provider asks what to speak: that a call was completed proves nothing.
        was_spoken: a message was handed out.
    """
    match end:
        case "completed" | "voicemail" if asks:
            return "hung_up" if was_spoken else "not_heard"
        case "completed":
            return "heard"
        case "busy":
            return "not_answered"
        case _:
            return end


def member_outcome_of(member: Member, call: Call) -> str | None:
    """Return how a call ended for one of its reminders: nothing is heard that was not spoken."""
    return "not_heard" if call.outcome in {"heard", "hung_up"} and not member.spoken else call.outcome


def close(model: Model, call: Call, state: str, how: str) -> None:
    """Close a call, and make a stray call of its number the open one.

    `how` is reported, noted (the same, for a call that was closed before), refused, not_placed, account, not_sent or
    unreported.
    """
    call.state, call.lease_token, call.wake_at = state, None, None
    for member, reminder in model.current(call):
        _settle(model, call, member, reminder, how)
    if Rule.NUMBER_IS_LOOKED_AT_AGAIN in model.rules:
        for reminder in model.db.reminders.values():
            if reminder.phone_number == call.phone_number and reminder.hold_code == "number_busy":
                reminder.wake_at = model.now
    alive = model.alive_at(call.phone_number)
    if alive and not any(one.state in OPEN for one in alive):
        min(alive, key=lambda one: one.seq).state = "placed"


def _settle(model: Model, call: Call, member: Member, reminder: Reminder, how: str) -> None:
    """Apply the end of a call to one of its current reminders."""
    is_reported = how in {"reported", "noted"}
    if is_reported and model.has_reached(member, call):
        if reminder.status in IN_CALL or (
            Rule.HEARD_WINS in model.rules and reminder.status not in {"called", "cancelled"}
        ):
            reminder.attempts = model.attempts(reminder)
            model.end(reminder, "called", None)
        return
    if how == "noted" or not _is_in_call(model, reminder, how):
        return
    match how:
        case "reported":
            _missed(model, call, member, reminder)
        case "refused":
            model.end(reminder, "failed", "refused")
        case "not_placed":
            reminder.tries += 1
            if reminder.tries >= MAX_TRIES:
                model.end(reminder, "failed", "not_placed")
            else:
                model.schedule(reminder, model.now + BACKOFF, "not_placed")
        case "unreported":
            _unreported(model, call, reminder)
        case "not_sent" if call.phone_number in model.db.opted_out:
            model.end(reminder, "cancelled", "opted_out")
        case _:
            model.schedule(reminder, model.now, how)


def _is_in_call(model: Model, reminder: Reminder, how: str) -> bool:
    """Return whether a reminder was in the call that is being closed, and is in no other one."""
    is_written_again = reminder.status == "scheduled" and how != "noted" and Rule.OWN_CALL_COMES_FIRST in model.rules
    return (reminder.status in IN_CALL or is_written_again) and model.alive_call(reminder) is None


def _unreported(model: Model, call: Call, reminder: Reminder) -> None:
    reminder.attempts, reminder.tries = model.attempts(reminder), 0
    if not model.has_unknown_outcome(reminder) and reminder.attempts < MAX_CALLS:
        model.schedule(reminder, model.now, "redial")
    else:
        model.end(reminder, "failed", "no_report" if call.evidence else "unconfirmed")


def _missed(model: Model, call: Call, member: Member, reminder: Reminder) -> None:
    """Redial a reminder that was not heard, with its own count of calls, or let it end."""
    outcome = member_outcome_of(member, call) or "failed"
    reminder.attempts, reminder.tries = model.attempts(reminder), 0
    redialed_at = model.next_open(model.now + REDIAL_DELAY)
    needed = {"declined": Rule.DECLINED_IS_NOT_REDIALED, "hung_up": Rule.HUNG_UP_IS_FOR_STAFF}
    is_redialed = outcome not in _END_CODES or (outcome in needed and needed[outcome] not in model.rules)
    if not is_redialed:
        model.end(reminder, "failed", _END_CODES[outcome])
    elif reminder.attempts >= MAX_CALLS:
        model.end(reminder, "failed", outcome)
    elif redialed_at >= model.limit_of(reminder):
        model.end(reminder, "failed", "too_late")
    else:
        model.schedule(reminder, redialed_at, "redial")
