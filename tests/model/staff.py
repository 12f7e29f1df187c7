"""What staff, other programs and a restore do to the database."""

from tests.model.model import Model
from tests.model.rows import (
    ALIVE,
    FINAL,
    IN_CALL,
    MAX_LATENESS,
    Member,
    Process,
    Reminder,
)
from tests.model.rules import Rule

# Staff


def cancel(model: Model, reminder_id: str) -> None:
    reminder = model.db.reminders[reminder_id]
    model.end(reminder, "cancelled", "cancelled_by_staff")
    for _, call in model.history(reminder):
        if model.is_unwanted(call):
            model.wake(call)


def call_again(model: Model, reminder_id: str) -> None:
    """Schedule a reminder again with a new count of calls and its own limit, unless its number is busy."""
    reminder, past = model.db.reminders[reminder_id], model.past
    number = reminder.phone_number
    is_busy = bool(model.alive_at(number)) and Rule.CALL_AGAIN_WAITS_FOR_THE_CALL in model.rules
    if is_busy or model.was_heard(reminder) or number in model.db.opted_out:
        return
    alive = {call.id for call in model.db.calls.values() if call.state in ALIVE}
    past.again_at[reminder_id] = model.elapsed
    past.settled_by_staff[reminder_id] = {one.place for one in model.provider_calls if one.call_id not in alive}
    due = max(model.now, reminder.scheduled_at)
    limit = model.next_open(max(due, model.free_from(number))) + MAX_LATENESS
    if Rule.STAFF_LIMIT_IS_APART in model.rules:
        reminder.again_until = limit
    else:
        reminder.expires_at = limit
    reminder.again_seq = max(model.db.newest_seq, model.db.restored_seq)
    reminder.attempts = reminder.tries = 0
    model.schedule(reminder, model.now)
    reminder.wake_at = due


def pause(model: Model) -> None:
    model.db.paused = True


def resume(model: Model) -> None:
    model.db.paused = False
    look_at_all(model)


def look_at_all(model: Model) -> None:
    """Check everything that waits, as after a reload or new calling hours: it must never change who is called."""
    for reminder in model.db.reminders.values():
        if reminder.status == "scheduled" and reminder.wake_at is not None:
            reminder.wake_at = min(reminder.wake_at, model.now)
    for call in model.db.calls.values():
        if call.lease_token is None and call.wake_at is not None:
            call.wake_at = min(call.wake_at, model.now)


def opt_out(model: Model, number: str) -> None:
    model.db.opted_out.add(number)
    for reminder in model.db.reminders.values():
        if reminder.phone_number == number and reminder.status == "scheduled":
            reminder.wake_at = model.now


def opt_in(model: Model, number: str) -> None:
    model.db.opted_out.discard(number)


def erase(model: Model, number: str) -> None:
    """Delete everything that is stored about a number, except its opt-out and, nameless, that it was called."""
    db, past = model.db, model.past
    if model.alive_at(number) and Rule.ERASE_WAITS_FOR_THE_CALL in model.rules:
        return
    alive = {call.id for call in db.calls.values() if call.state in ALIVE}
    past.erased |= {
        one.place for one in model.provider_calls if one.phone_number == number and one.call_id not in alive
    }
    for call in db.calls.values():
        if call.phone_number == number:
            call.reminder_id = "erased"
            spoken = any(one.spoken for one in model.members_of(call))
            db.members = {key: one for key, one in db.members.items() if one.call_id != call.id}
            db.members[call.id, "erased"] = Member(call.id, "erased", 0, 0, spoken=spoken, deleted=True)
    ids = {one.id for one in db.reminders.values() if one.phone_number == number}
    db.reminders = {key: one for key, one in db.reminders.items() if key not in ids}
    db.receipts = {key: one for key, one in db.receipts.items() if one not in ids}
    db.members = {key: one for key, one in db.members.items() if one.reminder_id not in ids}


def switch_account(model: Model, process: str, account: str) -> None:
    model.processes[process].account = account


# Clocks, crashes, restores


def set_clock(model: Model, steps: int) -> None:
    model.skew += steps
    model.past.clock_was_set = True
    if steps < 0:
        look_at_all(model)


def crash(model: Model, process: str) -> None:
    model.tasks = [task for task in model.tasks if task.process != process]
    model.processes[process] = Process(account=model.processes[process].account)
    model.past.crashed_at = model.elapsed
    model.past.restarted_since_restore = True


def back_up(model: Model) -> None:
    model.backup = (model.copy(), model.now)


def restore(model: Model) -> None:
    """Restore the backup, pause, and leave to staff what may have been called since."""
    if model.backup is None:
        return
    old, (_, made_at) = model.db, model.backup
    model.db = model.backup[0]
    back_up(model)
    for process in model.processes:
        crash(model, process)
    db, past = model.db, model.past
    past.restores, past.restored_at = past.restores + 1, model.elapsed
    past.restarted_since_restore = False
    past.forgotten_until = max(model.now, made_at)
    past.expires_at |= {one.id: one.expires_at for one in db.reminders.values()}
    db.restored_at = past.forgotten_until if Rule.RESTORE_COUNTS_FROM_THE_LATER_TIME in model.rules else model.now
    db.restored_seq = db.newest_seq = db.newest_seq + 1
    db.opted_out |= old.opted_out
    db.paused = True
    for process in model.processes:
        model.is_quiet(process)
    for call in db.calls.values():
        if call.state in ALIVE:
            call.state, call.lease_token, call.wake_at = "unreported", None, None
    for reminder in db.reminders.values():
        is_due = reminder.status == "scheduled" and reminder.scheduled_at <= db.restored_at
        if reminder.status in IN_CALL or (is_due and Rule.RESTORED_IS_FOR_STAFF in model.rules):
            model.end(reminder, "failed", "restored")


# SQL of other programs, with the effects of the triggers


def sql_cancel(model: Model, reminder_id: str) -> None:
    sql_status(model, reminder_id, "cancelled")


def sql_status(model: Model, reminder_id: str, status: str) -> None:
    reminder = model.db.reminders[reminder_id]
    reminder.status = status
    _written(model, reminder)
    if status in FINAL:
        _wake_calls(model, reminder_id)


def sql_move(model: Model, reminder_id: str, steps: int) -> None:
    reminder = model.db.reminders[reminder_id]
    reminder.scheduled_at += steps
    if reminder.expires_at is not None:
        reminder.expires_at += steps
    _written(model, reminder, reminder.scheduled_at if reminder.status == "scheduled" else None)


def sql_edit(model: Model, reminder_id: str) -> None:
    """Change the message, for which there is no trigger."""
    model.db.reminders[reminder_id].message += 1


def sql_number(model: Model, reminder_id: str, number: str) -> None:
    reminder = model.db.reminders[reminder_id]
    reminder.phone_number = number
    _written(model, reminder)


def sql_insert(model: Model, reminder_id: str, number: str, steps: int) -> None:
    model.insert(reminder_id, number, model.now + steps)


def sql_replace(model: Model, reminder_id: str, steps: int) -> None:
    """Write the row again: SQLite deletes the old one without asking the trigger for deletes."""
    old = model.db.reminders[reminder_id]
    at = old.scheduled_at + steps
    model.db.reminders[reminder_id] = Reminder(
        id=old.id,
        row=old.row,
        phone_number=old.phone_number,
        scheduled_at=at,
        expires_at=None,
        wake_at=at,
        message=old.message,
    )
    model.past.expires_at[reminder_id] = None
    model.past.written_at[reminder_id] = model.elapsed
    if Rule.CALLS_OUTLIVE_REMINDERS not in model.rules:
        _delete_calls(model, reminder_id)


def sql_delete(model: Model, reminder_id: str) -> None:
    model.db.reminders.pop(reminder_id)
    for member in model.db.members.values():
        if member.reminder_id == reminder_id:
            member.deleted = True
    _wake_calls(model, reminder_id)
    if Rule.CALLS_OUTLIVE_REMINDERS not in model.rules:
        _delete_calls(model, reminder_id)


def _written(model: Model, reminder: Reminder, wake_at: int | None = None) -> None:
    model.past.expires_at[reminder.id] = reminder.expires_at
    model.past.written_at[reminder.id] = model.elapsed
    if reminder.status == "scheduled" or Rule.OTHER_PROGRAMS_WAKE_ROWS in model.rules:
        reminder.wake_at = model.now if wake_at is None else wake_at


def _wake_calls(model: Model, reminder_id: str) -> None:
    for member in model.db.members.values():
        if member.reminder_id == reminder_id:
            model.wake(model.db.calls[member.call_id])


def _delete_calls(model: Model, reminder_id: str) -> None:
    """Delete as a foreign key with ON DELETE CASCADE would."""
    db = model.db
    db.calls = {key: one for key, one in db.calls.items() if one.reminder_id != reminder_id}
    db.members = {
        key: one for key, one in db.members.items() if one.reminder_id != reminder_id and one.call_id in db.calls
    }
