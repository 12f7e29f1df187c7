"""Check what is due: a reminder ends, waits or gets a call; an alive call is repeated or given up."""

from attrs import frozen

from tests.model.closing import close
from tests.model.model import Model
from tests.model.rows import (
    ALIVE,
    BUSY_HOLD,
    CONFIRM_AFTER,
    DAY,
    FINAL,
    GROUP_WITHIN,
    IN_CALL,
    LEASE,
    MAX_BUNDLE,
    MAX_CALLS,
    MAX_CHECKS,
    MAX_TRIES,
    OUTCOME_TIMEOUT,
    Call,
    Member,
    Reminder,
    Task,
)
from tests.model.rules import Rule


@frozen
class Ends:
    """The reminder is not called."""

    status: str
    code: str | None


@frozen
class Waits:
    """The reminder is not called yet."""

    until: int
    code: str | None
    """None: its own time is in the future."""


def due_reminders(model: Model, process: str) -> list[str]:
    if model.db.paused or model.is_quiet(process):
        return []
    rows = model.db.reminders.values()
    return [one.id for one in rows if _is_due(one, model.now) or _ended_by_a_clock_ahead(model, one)]


def due_calls(model: Model, process: str) -> list[str]:
    held: set[str] = set()
    if Rule.OWN_WORK_IS_NOT_ABANDONED in model.rules:
        held = {task.token for task in model.tasks if task.process == process}
    calls = model.db.calls.values()
    return [one.id for one in calls if _is_due(one, model.now) and one.lease_token not in held]


def _is_due(row: Reminder | Call, now: int) -> bool:
    return row.wake_at is not None and row.wake_at <= now


# A reminder's turn


def claim_reminder(model: Model, process: str, reminder_id: str) -> None:
    """Decide what a reminder becomes, whatever its status."""
    reminder = model.db.reminders[reminder_id]
    if reminder.status in FINAL:
        _look_at_final(model, reminder)
        return
    reminder.end_code = reminder.ended_at = None
    reminder.attempts = model.attempts(reminder)
    call = model.alive_call(reminder)
    if call is not None and Rule.OWN_CALL_COMES_FIRST in model.rules:
        reminder.status = "dialing" if call.state == "dialing" else "processing"
        reminder.wake_at = reminder.retry_at = reminder.hold_code = None
        return
    if reminder.status in IN_CALL:
        _leave_call(model, reminder)
    if reminder.status in FINAL:
        return
    match verdict(model, reminder):
        case Ends(status, code):
            model.end(reminder, status, code)
        case Waits(until, code):
            reminder.wake_at, reminder.hold_code = until, code
        case None:
            _call_or_wait_for_bundle(model, process, reminder)


def _ended_by_a_clock_ahead(model: Model, reminder: Reminder) -> bool:
    is_ahead = reminder.end_code == "too_late" and reminder.ended_at is not None and reminder.ended_at > model.now
    return is_ahead and Rule.CLOCK_AHEAD_IS_UNDONE in model.rules and _may_wait_again(model, reminder)


def _may_wait_again(model: Model, reminder: Reminder) -> bool:
    return reminder.status != "cancelled" or Rule.CANCELLED_STAYS not in model.rules


def _look_at_final(model: Model, reminder: Reminder) -> None:
    """Let a final reminder wait again if it has left its calls, or make sure that it has a reason."""
    if _ended_by_a_clock_ahead(model, reminder):
        model.schedule(reminder, model.now)
    elif _may_wait_again(model, reminder) and _was_moved(model, reminder):
        reminder.attempts, reminder.tries, reminder.again_until = 0, 0, None
        model.schedule(reminder, model.now)
        reminder.wake_at = max(model.now, reminder.scheduled_at)
    else:
        ended_at = reminder.ended_at
        code = None if reminder.status == "called" else reminder.end_code or "cancelled_elsewhere"
        model.end(reminder, reminder.status, code)
        reminder.ended_at = ended_at or model.now


def _was_moved(model: Model, reminder: Reminder) -> bool:
    if Rule.MOVED_IS_CALLED_AGAIN not in model.rules:
        return False
    members = [one for one in model.db.members.values() if one.reminder_id == reminder.id and not one.deleted]
    current = [member for member, _ in model.history(reminder)]
    if not current:
        return bool(members)
    heard = [one for one in members if one.spoken and model.db.calls[one.call_id].outcome is not None]
    return reminder.status == "called" and bool(heard) and all(one not in heard for one in current)


def _leave_call(model: Model, reminder: Reminder) -> None:
    """Decide about a reminder that is in a call by its status only."""
    was_called = any(one.reminder_id == reminder.id and not one.deleted for one in model.db.members.values())
    if model.was_heard(reminder):
        model.end(reminder, "called", None)
    elif model.has_unknown_outcome(reminder) or not was_called:
        model.end(reminder, "failed", "unconfirmed")
    else:
        reminder.tries = reminder.tries if model.history(reminder) else 0
        model.schedule(reminder, model.now)


def verdict(model: Model, reminder: Reminder, *, is_bundled: bool = False) -> Ends | Waits | None:
    """Return why a waiting reminder may not be called now, or None if it may."""
    return _ends(model, reminder) or _waits(model, reminder, is_bundled=is_bundled)


def _ends(model: Model, reminder: Reminder) -> Ends | None:
    rules, now = model.rules, model.now
    if reminder.phone_number in model.db.opted_out:
        return Ends("cancelled", "opted_out")
    if model.was_heard(reminder) and Rule.HEARD_IS_REMEMBERED in rules:
        return Ends("called", None)
    if model.may_be_forgotten(reminder) and Rule.RESTORED_IS_FOR_STAFF in rules:
        return Ends("failed", "restored")
    if model.has_unknown_outcome(reminder) and Rule.UNKNOWN_OUTCOME_IS_FOR_STAFF in rules:
        return Ends("failed", "unconfirmed")
    if model.attempts(reminder) >= MAX_CALLS and Rule.CALLS_ARE_COUNTED in rules:
        return Ends("failed", "max_calls")
    start = max(now, reminder.scheduled_at, reminder.retry_at or now, model.free_from(reminder.phone_number))
    limit = model.limit_of(reminder)
    return Ends("expired", "too_late") if now >= limit or model.next_open(start) >= limit else None


def _waits(model: Model, reminder: Reminder, *, is_bundled: bool) -> Waits | None:
    now = model.now
    is_early = reminder.scheduled_at > now
    if is_early and not (is_bundled and Rule.NEVER_EARLY not in model.rules):
        return Waits(reminder.scheduled_at, None)
    if reminder.retry_at is not None and reminder.retry_at > now:
        return Waits(reminder.retry_at, reminder.hold_code or "redial")
    free_from = model.free_from(reminder.phone_number)
    opens = model.next_open(free_from)
    if opens > now:
        return Waits(opens, "hours" if free_from == now else "limits")
    alive = model.alive_at(reminder.phone_number)
    if not alive:
        return None
    if Rule.NUMBER_IS_LOOKED_AT_AGAIN in model.rules:
        return Waits(now + BUSY_HOLD, "number_busy")
    return Waits(max(call.wake_at or now for call in alive), "number_busy")


def _call_or_wait_for_bundle(model: Model, process: str, reminder: Reminder) -> None:
    bundle, later = [reminder], []
    for other in sorted(model.db.reminders.values(), key=lambda one: (one.scheduled_at, one.id)):
        if not _may_be_bundled(model, other, reminder):
            continue
        why = verdict(model, other, is_bundled=True)
        if why is None and len(bundle) < MAX_BUNDLE:
            bundle.append(other)
        elif isinstance(why, Waits) and why.code is None:
            later.append(other.scheduled_at)
    is_first = all(model.attempts(one) == 0 and one.tries == 0 for one in bundle)
    if later and is_first and len(bundle) < MAX_BUNDLE and _can_wait(model, reminder, max(later)):
        reminder.wake_at, reminder.hold_code = max(later), "bundle"
        return
    _make_call(model, process, sorted(bundle, key=lambda one: (one.scheduled_at, one.id)))


def _may_be_bundled(model: Model, other: Reminder, reminder: Reminder) -> bool:
    is_near = abs(other.scheduled_at - reminder.scheduled_at) <= GROUP_WITHIN
    is_other = other is not reminder and other.phone_number == reminder.phone_number and other.status == "scheduled"
    return model.setting.bundles and is_near and is_other and model.alive_call(other) is None


def _can_wait(model: Model, reminder: Reminder, until: int) -> bool:
    is_same_day = until // DAY == model.now // DAY
    return until < model.limit_of(reminder) - LEASE and model.has_hours(until) and is_same_day


def _make_call(model: Model, process: str, reminders: list[Reminder]) -> None:
    """Write the call before its request is sent, and hand the request to the process."""
    now = model.now
    call = _call_to_use_again(model, process, reminders)
    if call is None:
        call = Call(
            id=model.new_id("c"),
            seq=model.new_seq(),
            reminder_id=reminders[0].id,
            phone_number=reminders[0].phone_number,
            account=model.processes[process].account,
            created_at=now,
            last_sign_at=now,
            wake_at=None,
            state="dialing",
        )
        model.db.calls[call.id] = call
    call.state, call.requests, call.checks, call.last_sign_at = "dialing", 1, 0, now
    for reminder in reminders:
        reminder.status = "dialing"
        reminder.wake_at = reminder.retry_at = reminder.hold_code = None
        member = Member(call.id, reminder.id, reminder.scheduled_at, reminder.message)
        model.db.members[call.id, reminder.id] = member
    _lease(model, process, call, "place")


def _call_to_use_again(model: Model, process: str, reminders: list[Reminder]) -> Call | None:
    """Return the newest call of these reminders if it was not placed and its request can be sent unchanged."""
    histories = [model.history(one) for one in reminders]
    if Rule.KEY_IS_USED_AGAIN not in model.rules or not all(histories):
        return None
    call = histories[0][-1][1]
    is_newest = all(one[-1][1] is call for one in histories)
    asked = [(one.reminder_id, one.message) for one in model.members_of(call)]
    is_same = asked == [(one.id, one.message) for one in reminders]
    was_not_placed = call.state == "not_placed" and not call.evidence and call.received_at is None
    is_counted = all(call.seq > one.again_seq for one in reminders)
    is_usable = model.is_ours(call, model.processes[process].account) and model.key_holds(process, call, model.now)
    return call if is_newest and is_same and was_not_placed and is_counted and is_usable else None


def _lease(model: Model, process: str, call: Call, kind: str) -> None:
    call.lease_token = model.new_id("t")
    call.wake_at = call.leased_until = model.now + LEASE
    speaks = [(one.asked, one.message) for _, one in model.current(call)]
    deadline = model.elapsed + LEASE
    account = model.processes[process].account
    model.tasks.append(
        Task(
            process, kind, call.id, call.lease_token, deadline, claimed_at=model.elapsed, account=account, speaks=speaks
        )
    )


# An alive call's turn


def claim_call(model: Model, process: str, call_id: str) -> None:
    """Decide what an alive call needs next."""
    call, now, account = model.db.calls[call_id], model.now, model.processes[process].account
    call.lease_token = None
    if call.state == "dialing":
        call.state, call.wake_at = "unconfirmed", now + CONFIRM_AFTER
        for _, reminder in model.current(call):
            reminder.status = "processing" if reminder.status == "dialing" else reminder.status
        return
    if call.state == "unconfirmed":
        at = _repeated_at(model, process, call)
        if at is not None and at > now:
            call.wake_at = at
            return
        if at is not None:
            call.requests, call.last_sign_at = call.requests + 1, now
            _lease(model, process, call, "resend")
            return
    elif is_to_be_dropped(model, call, account):
        _lease(model, process, call, "drop")
        return
    elif call.checks == 0 and model.silence_left(process, call) > 0 and now < call.last_sign_at + OUTCOME_TIMEOUT:
        call.wake_at = now + model.silence_left(process, call)
        return
    if model.is_ours(call, account) and model.setting.looks_up and call.checks < MAX_CHECKS:
        _lease(model, process, call, "look_up")
    elif model.silence_left(process, call) > 0:
        call.wake_at = now + model.silence_left(process, call)
    else:
        close(model, call, "unreported", "unreported")


def is_to_be_dropped(model: Model, call: Call, account: str) -> bool:
    """Return whether the provider is asked to drop this call."""
    is_placed = call.state in ALIVE and call.external_call_id is not None
    is_unanswered = call.status in {None, "queued", "ringing"}
    can = model.setting.drops and model.is_ours(call, account) and call.checks < MAX_CHECKS
    return can and is_placed and is_unanswered and model.is_unwanted(call)


def _repeated_at(model: Model, process: str, call: Call) -> int | None:
    """Return when the same request may be sent again with its key, now or later; None: never."""
    if call.evidence or call.adopted or call.requests >= MAX_TRIES:
        return None
    if not model.is_ours(call, model.processes[process].account):
        return None
    current = model.current(call)
    reminders = [reminder for _, reminder in current]
    is_same = len(current) == len(model.members_of(call)) and all(
        member.message == one.message and one.status in IN_CALL for member, one in current
    )
    if not reminders or not (is_same or Rule.SAME_MESSAGE_IS_REPEATED not in model.rules):
        return None
    has_unknown = any(model.has_unknown_outcome(one) for one in reminders)
    if has_unknown and Rule.LAST_LOOK_AT_OUTCOMES in model.rules:
        return None
    if call.phone_number in model.db.opted_out or model.free_from(call.phone_number) > model.now:
        return None
    at = model.next_open(model.now)
    is_in_time = all(at < model.limit_of(one) and one.scheduled_at <= model.now for one in reminders)
    if not is_in_time or not model.key_holds(process, call, at):
        return None
    return model.now + BUSY_HOLD if at == model.now and model.db.paused else at
