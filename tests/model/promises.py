"""The promises: what the provider's own record and the database must never show.

Each exception is a line of docs/reliability.md, "Accepted risks", or has a comment here.
"""

from collections import Counter

from tests.model.model import Model
from tests.model.rows import (
    ALIVE,
    DAY,
    FINAL,
    KEY_LIFETIME,
    LEASE,
    MAX_CALLS,
    OPEN,
    OUTCOME_TIMEOUT,
    REACHED_PER_DAY,
    REDIAL_DELAY,
    Asked,
    Call,
    ProviderCall,
    Reminder,
    Task,
)

# When a phone rings


def hold_at_new_call(model: Model, task: Task, call: Call, new: ProviderCall) -> None:
    """Check a call that begins against the rules, and against all calls before it."""
    db = model.db
    if db.paused:
        model.broken("a call was placed while dialing was paused")
    if call.phone_number in db.opted_out:
        model.broken("a call was placed after an opt-out")
    if not model.has_hours(model.now):
        model.broken("a call was placed outside the calling hours")
    if call.account != task.account:
        model.broken("a request was repeated with another account")
    if not new.asked:
        model.broken("a call was placed for no reminder")
    for asked, message in zip(new.asked, new.messages, strict=True):
        _hold_reminder(model, call, asked, message)
    _hold_limits(model, task, new)
    for earlier in model.provider_calls:
        _hold_two_calls(model, call, new, earlier)
    for asked in new.asked:
        _hold_number_of_calls(model, new, asked)


def _hold_reminder(model: Model, call: Call, asked: Asked, message: int) -> None:
    reminder = model.db.reminders.get(asked[0])
    if reminder is None or reminder.row != asked[1]:
        model.broken("a deleted reminder was spoken")
    if reminder.status in FINAL:
        model.broken("a final reminder was spoken")
    if reminder.phone_number != call.phone_number:
        model.broken("a reminder was spoken to a number that it no longer has")
    if model.now < reminder.scheduled_at:
        model.broken("a reminder was spoken before its time")
    if model.now >= model.limit_of(reminder):
        model.broken("a reminder was spoken after its limit")
    if reminder.message != message:
        model.broken("an old message was spoken")


def _hold_limits(model: Model, task: Task, new: ProviderCall) -> None:
    past = model.past
    if past.clock_was_set or past.restores or not model.setting.repeats_attempt_id:
        return
    reached = sum(
        bool(one.heard)
        and one.phone_number == new.phone_number
        and one.reported_at is not None
        and one.reported_at < task.claimed_at
        and one.reported_on == model.now // DAY
        for one in model.provider_calls
    )
    if reached >= REACHED_PER_DAY:
        model.broken("a number was called though it was reached as often as the limits allow")


def _hold_two_calls(model: Model, call: Call, new: ProviderCall, earlier: ProviderCall) -> None:
    past, setting = model.past, model.setting
    if earlier.call_id == new.call_id and earlier.account == new.account and earlier.is_active:
        is_forgotten = past.clock_was_set and past.crashed_at >= earlier.placed_at - LEASE
        if not is_forgotten:
            model.broken("a second call was placed under one key")
    has_no_names = not setting.repeats_attempt_id and (setting.places_after_503 or past.restores > 0)
    if has_no_names:
        return
    if earlier.phone_number != new.phone_number:
        return
    if earlier.is_active and earlier.call_id != new.call_id:
        _hold_two_phones(model, new, earlier)
    for asked in new.asked:
        if asked in earlier.asked:
            _hold_called_again(model, call, new, earlier, asked)


def _hold_two_phones(model: Model, new: ProviderCall, earlier: ProviderCall) -> None:
    """Check a call that begins while another one to its number goes on."""
    past, call = model.past, model.db.calls.get(earlier.call_id)
    if call is not None and call.state in ALIVE and call.phone_number == new.phone_number:
        model.broken("two calls to one number at once: the other one is alive in the database")
    is_silent = earlier.known_at is None or model.elapsed - earlier.known_at >= OUTCOME_TIMEOUT
    if call is None or call.adopted:
        is_over = model.elapsed >= past.restored_at + OUTCOME_TIMEOUT
        # A process that starts after the clock was set forward can't know how long the quiet time has lasted.
        is_over = is_over or (past.clock_was_set and past.restarted_since_restore)
        is_forgotten = earlier.restores != past.restores and is_over
        if not (is_forgotten and is_silent):
            model.broken("two calls to one number at once: the other one is forgotten")
    elif call.state in {"not_placed", "refused"} and earlier.denied:
        if earlier.known_at is not None and not is_silent:
            model.broken("two calls to one number at once: the other one has shown a sign of life after its 503")
        _hold_key_used_again(model, call, new, earlier)
    elif not (call.state == "unreported" and is_silent and _silence(model, call) >= OUTCOME_TIMEOUT):
        model.broken(f"two calls to one number at once: the other one is {call.state}")


def _silence(model: Model, call: Call) -> int:
    return model.elapsed - model.past.signs.get(call.id, (0, model.elapsed))[1]


def _hold_called_again(model: Model, call: Call, new: ProviderCall, earlier: ProviderCall, asked: Asked) -> None:
    """Check another call for the same reminder against what is known about the earlier one."""
    past, before = model.past, model.db.calls.get(earlier.call_id)
    is_settled_by_staff = earlier.place in past.settled_by_staff.get(asked[0], set())
    has_other_database = earlier.restores != past.restores
    is_forgotten = has_other_database and past.clock_was_set and asked[2] > past.forgotten_until
    if earlier.place in past.erased or is_settled_by_staff or is_forgotten:
        return
    if earlier.denied and earlier.reported_at is None:
        if before is not None and before.id != new.call_id:
            _hold_key_used_again(model, before, new, earlier)
    elif earlier.reported_at is None:
        _hold_guess(model, call, before, has_other_database=has_other_database)
    elif not has_other_database or earlier.reported_at > past.restored_at:
        _hold_reported(model, earlier, asked, earlier.reported_at)


def _hold_guess(model: Model, call: Call, before: Call | None, *, has_other_database: bool) -> None:
    """Check a call that begins while nobody knows how the earlier one ended."""
    setting = model.setting
    is_nothing_known = before is not None and before.state == "unreported" and not before.evidence
    is_key_forgotten = model.past.clock_was_set and before is call
    is_unnamed = has_other_database and not setting.repeats_attempt_id
    if not ((setting.rings_again and is_nothing_known) or is_key_forgotten or is_unnamed):
        state = "forgotten" if before is None else before.state
        model.broken(f"called again on a guess: the earlier call is {state}")


def _hold_reported(model: Model, earlier: ProviderCall, asked: Asked, reported_at: int) -> None:
    """Check a call that begins after the end of the earlier one was reported."""
    setting, past = model.setting, model.past
    if asked in earlier.heard and setting.repeats_attempt_id:
        model.broken("called again after it was heard")
    is_written_since = past.written_at.get(asked[0], -1) >= reported_at
    if is_written_since or setting.rings_again or past.clock_was_set or earlier.denied:
        return
    if model.elapsed - reported_at < REDIAL_DELAY:
        model.broken("redialed before the delay was over")
    # A reminder that is in two calls at once is settled by the one that ends last.
    ends = [one.reported_at or model.elapsed for one in model.provider_calls if asked in one.asked]
    if not setting.repeats_attempt_id or max(ends) != reported_at:
        return
    if earlier.end == "declined":
        model.broken("called again after the patient declined")
    if earlier.has_hung_up and asked in earlier.spoken:
        model.broken("called again after the patient hung up")


def _hold_key_used_again(model: Model, before: Call, new: ProviderCall, earlier: ProviderCall) -> None:
    """Check whether a key would have prevented this call, made after a 503 that had placed an earlier one."""
    same = (earlier.asked, earlier.messages, earlier.account) == (new.asked, new.messages, new.account)
    is_young = model.elapsed - earlier.placed_at + 2 * LEASE < KEY_LIFETIME and not model.past.clock_was_set
    reminders = [model.db.reminders[asked[0]] for asked in new.asked]
    calls = [[one for _, one in model.history(reminder) if one.id != new.call_id] for reminder in reminders]
    is_newest = all(one and one[-1] is before for one in calls)
    is_counted = all(before.seq > reminder.again_seq for reminder in reminders)
    is_unknown = before.state == "not_placed" and not before.evidence
    if model.setting.honors_keys and same and is_young and is_newest and is_counted and is_unknown:
        model.broken("a second call after a 503 that had placed the first, though the same key would have prevented it")


def _hold_number_of_calls(model: Model, new: ProviderCall, asked: Asked) -> None:
    again_at = model.past.again_at.get(asked[0], -1)
    calls = {
        one.call_id
        for one in model.provider_calls
        if asked in one.asked
        and one.phone_number == new.phone_number
        and one.placed_at > again_at
        and not one.denied
        and one.restores == model.past.restores
        and one.place not in model.past.erased
    }
    if len(calls - {new.call_id}) >= MAX_CALLS:
        model.broken("more calls than max_calls")


def hold_at_drop(model: Model, task: Task) -> None:
    """Check a call that is dropped against the reminders that still need it."""
    call = model.db.calls.get(task.call_id)
    for _, reminder in [] if call is None else model.current(call):
        is_written_since = model.past.written_at.get(reminder.id, -1) >= task.claimed_at
        if reminder.status not in FINAL and not is_written_since:
            model.broken("a call was dropped that a reminder still needed")


# After every act


def hold_at_look(model: Model, process: str, call_id: str) -> None:
    """Check that a process that is about to check an alive call takes it from nobody who works on it."""
    call = model.db.calls[call_id]
    if any(task.process == process and task.token == call.lease_token for task in model.tasks):
        model.broken("a process took its own work for abandoned")
    if call.lease_token is not None and model.now < call.leased_until:
        model.broken("a call was taken from its process before the lease had run out")


def hold_after_claim(model: Model, reminder_id: str) -> None:
    reminder = model.db.reminders[reminder_id]
    is_waiting = reminder.status == "scheduled" and reminder.wake_at is not None and reminder.wake_at > model.now
    if is_waiting and model.alive_call(reminder) is not None:
        model.broken("a reminder waits for its own call")


def hold_database(model: Model) -> None:
    """Check the database against its own rules, and record the signs of life in it."""
    calls = model.db.calls.values()
    opened = Counter(call.phone_number for call in calls if call.state in OPEN)
    if any(times > 1 for times in opened.values()):
        model.broken("two open calls of one number")
    for call in calls:
        if (call.state in ALIVE) != (call.wake_at is not None):
            model.broken("an alive call at which nobody looks, or a closed one at which somebody does")
        if call.state in ALIVE and call.received_at is not None:
            model.broken("a call is alive whose end was reported")
        if model.past.signs.get(call.id, (-1, 0))[0] != call.last_sign_at:
            model.past.signs[call.id] = (call.last_sign_at, model.elapsed)
    for reminder in model.db.reminders.values():
        _hold_row(model, reminder)


def _hold_row(model: Model, reminder: Reminder) -> None:
    if reminder.expires_at != model.past.expires_at[reminder.id]:
        model.broken("the program wrote expires_at, which belongs to the clinic")
    if reminder.wake_at is not None:
        return
    if reminder.status not in FINAL and model.alive_call(reminder) is None:
        model.broken(f"a reminder is {reminder.status}, and nobody looks at it")
    if reminder.status == "called" and not _was_heard(model, reminder):
        model.broken("called, but nobody heard it for this time, at this number")
    if reminder.status in FINAL - {"called"} and reminder.end_code is None:
        model.broken("a reminder is final without a reason")


def _was_heard(model: Model, reminder: Reminder) -> bool:
    has_other_database = model.past.restores > 0
    if not model.setting.repeats_attempt_id and (has_other_database or model.setting.places_after_503):
        return True
    for call in model.provider_calls:
        if call.phone_number == reminder.phone_number and reminder.asked in call.heard:
            return True
        ids = {heard[0] for heard in call.heard} | ({call.reminder_id} if call.heard else set())
        if reminder.id in ids and (has_other_database or call.place in model.past.erased):
            return True
    return False


# Once nothing goes wrong anymore


def hold_at_rest(model: Model) -> None:
    """Check the final state against what the provider has reported."""
    for reminder in model.db.reminders.values():
        is_ahead = reminder.ended_at is not None and reminder.ended_at > model.now
        if reminder.end_code == "too_late" and reminder.status != "cancelled" and is_ahead:
            model.broken("a reminder stays ended by a clock that was ahead")
    for call in model.provider_calls:
        is_on_record = call.reported_at is not None and call.restores == model.past.restores
        if not is_on_record or call.place in model.past.erased or not model.setting.repeats_attempt_id:
            continue
        for asked in call.heard:
            heard = model.db.reminders.get(asked[0])
            is_same = heard is not None and (heard.asked, heard.phone_number) == (asked, call.phone_number)
            is_estimated = call.has_hung_up and model.past.clock_was_set
            if heard is not None and is_same and heard.status not in {"called", "cancelled"} and not is_estimated:
                model.broken(f"heard and reported, and the reminder is {heard.status}")


def cancelled_ids(model: Model) -> set[str]:
    return {one.id for one in model.db.reminders.values() if one.status == "cancelled"}


def hold_cancelled(model: Model, before: set[str]) -> None:
    """Check an act of the program itself against the reminders that were cancelled before it."""
    for reminder_id in before:
        reminder = model.db.reminders.get(reminder_id)
        if reminder is not None and reminder.status != "cancelled":
            model.broken("a cancelled reminder is no longer cancelled, though nobody asked for that")
