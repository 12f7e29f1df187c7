"""A report that can be matched to none of its reminder's calls is kept in a row of its own."""

from datetime import datetime

from reminderd.core.answers import Report
from reminderd.core.lifecycle.reached import after_reaching, reached
from reminderd.core.lifecycle.restored import MAYBE_RUNG
from reminderd.core.lifecycle.step import Level, Note, Step, replaced
from reminderd.core.reminder import TERMINAL, Call, Reminder
from reminderd.core.rules import Rules


def unmatched(
    reminder: Reminder,
    calls: tuple[Call, ...],
    report: Report,
    external_id: str | None,
    *,
    receipt_is_new: bool,
    new_call_id: str,
    rules: Rules,
    now: datetime,
) -> Step:
    """What a report changes that none of the reminder's calls can be the subject of; only `completed` speaks for it.

    Args:
        reminder: the reminder that the report names.
        calls: all its calls; without any the report is kept only if a restored backup may have forgotten them.
        report: what the provider says.
        external_id: the provider's id, or None if it is on another call already.
        receipt_is_new: a terminal report with this id was never received before.
        new_call_id: the id for the row that keeps the report.
        rules: the clinic's.
        now: the time of the transaction.
    """
    if not calls and reminder.last_error != MAYBE_RUNG:
        note = Note(f"a report ({report.status}) for a reminder that was never dialled", Level.WARNING)
        repeat = report.status in TERMINAL and not receipt_is_new
        return Step(reminder=reminder, calls=calls, notes=(note,), duplicate=repeat)
    if report.status in TERMINAL and not receipt_is_new:
        return Step(reminder=reminder, calls=calls, duplicate=True, notes=(Note("noted: a repeat changes nothing"),))
    if external_id is None and report.status not in TERMINAL:
        note = Note(f"a report ({report.status}) that matches none of its calls is not kept", Level.WARNING)
        return Step(reminder=reminder, calls=calls, notes=(note,))
    kept = Call(
        id=new_call_id,
        reminder_id=reminder.id,
        attempt=None,
        provider=rules.provider,
        external_call_id=external_id,
        status=report.status,
        transcript=report.transcript,
        answered_by=report.answered_by,
        duration_seconds=report.duration_seconds,
        sip_response_code=report.sip_response_code,
        error_code=report.error_code,
        created_at=now,
        updated_at=now,
        received_at=now if report.status in TERMINAL else None,
    )
    after = after_reaching(reminder, replaced(calls, kept)) if reached(kept, rules) else reminder
    became = f"{after.status}: " if after.status is not reminder.status else ""
    note = Note(f"{became}a report ({report.status}) that matches none of its calls is kept", Level.WARNING)
    return Step(reminder=after, calls=replaced(calls, kept), call=kept, notes=(note,))
