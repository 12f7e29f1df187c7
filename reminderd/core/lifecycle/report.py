"""A provider reports on a call, by webhook or when asked: what follows."""

from datetime import datetime

from attrs import evolve

from reminderd.core.answers import Report
from reminderd.core.intake import expiry, zone_of
from reminderd.core.lifecycle.check import is_to_be_dropped
from reminderd.core.lifecycle.matching import call_spoken_of, filled
from reminderd.core.lifecycle.reached import after_reaching, reached
from reminderd.core.lifecycle.step import Level, Note, Step, at_rest, ended, replaced
from reminderd.core.lifecycle.unmatched import unmatched
from reminderd.core.reminder import CLOSED_BY_US, PROGRESS, TERMINAL, Call, Reminder, Status, newest_call, open_call
from reminderd.core.rules import Rules

_RANK = {
    "dialing": 0,
    "unconfirmed": 0,
    "not-placed": 0,
    "refused": 0,
    "unreported": 0,
    "queued": 1,
    "initiated": 2,
    "ringing": 3,
    "answered": 4,
    "in-progress": 4,
}
_RANK_OF_OTHER_WORDS = 3

VOICEMAIL = "voicemail"
"""How a call ended that a machine has completed, where that does not count."""

_REDIALLED = frozenset({"busy", "no-answer", "canceled", VOICEMAIL})


def reported(
    reminder: Reminder,
    calls: tuple[Call, ...],
    report: Report,
    *,
    receipt_is_new: bool,
    id_taken: bool,
    new_call_id: str,
    wanted_by_others: bool = False,
    rules: Rules,
    now: datetime,
) -> Step:
    """What a report changes.

    Args:
        reminder: the reminder that the report names.
        calls: all its calls.
        report: what the provider says.
        receipt_is_new: a terminal report with this provider's id was never received before.
        id_taken: the provider's id is already stored on another call, of whichever reminder.
        new_call_id: the id for a row that keeps a report which can't be matched.
        wanted_by_others: the call says other reminders, too, that still want it.
        rules: the clinic's.
        now: the time of the transaction.
    """
    call, named = call_spoken_of(report, calls)
    external_id = None if id_taken else report.external_call_id
    notes: tuple[Note, ...] = ()
    if id_taken and (call is None or call.external_call_id is None):
        notes = (Note("the provider's call id is already on another call; it is not stored again", Level.ERROR),)
    if call is None:
        step = unmatched(
            reminder,
            calls,
            report,
            external_id,
            receipt_is_new=receipt_is_new,
            new_call_id=new_call_id,
            rules=rules,
            now=now,
        )
    elif report.status in TERMINAL:
        counts = call.received_at is None and (receipt_is_new or named)
        if counts:
            step = _terminal(reminder, calls, filled(call, report, external_id), report, rules, now)
        else:
            step = _noted(reminder, calls, filled(call, report, external_id), "a repeat changes nothing", repeat=True)
    else:
        placed = filled(call, report, external_id)
        step = _progress(reminder, calls, placed, report, wanted_by_others=wanted_by_others, rules=rules, now=now)
    return evolve(step, notes=notes + step.notes) if notes else step


def _noted(reminder: Reminder, calls: tuple[Call, ...], call: Call, why: str, *, repeat: bool = False) -> Step:
    calls = replaced(calls, call)
    return Step(
        reminder=at_rest(reminder, calls), calls=calls, call=call, duplicate=repeat, notes=(Note(f"noted: {why}"),)
    )


def _terminal(
    reminder: Reminder, calls: tuple[Call, ...], call: Call, report: Report, rules: Rules, now: datetime
) -> Step:
    """The first terminal report of a call that was open, or that we had closed without one."""
    if not call.open and call.status not in {"unreported", "not-placed"} and call.attempt is not None:
        heard = evolve(call, received_at=now)
        return _noted(reminder, calls, heard, f"{report.status}, but the call had ended: {call.status}")
    closed = evolve(call, status=report.status, received_at=now)
    calls = replaced(calls, closed)
    newest = newest_call(calls)
    speaks_for_the_reminder = newest is not None and newest.id == call.id and reminder.attempts > 0
    word = VOICEMAIL if report.status == "completed" else report.status
    if reached(closed, rules):
        word, after = report.status, after_reaching(reminder, calls)
    elif speaks_for_the_reminder and not reminder.status.final:
        after = not_reached(reminder, calls, closed, word, rules, now)
    else:
        after = at_rest(reminder, calls)
    if speaks_for_the_reminder and closed.external_call_id not in {None, after.external_call_id}:
        after = evolve(after, external_call_id=closed.external_call_id)
    return Step(reminder=after, calls=calls, call=closed, notes=(_said(reminder, after, word),))


def not_reached(
    reminder: Reminder, calls: tuple[Call, ...], call: Call, word: str, rules: Rules, now: datetime
) -> Reminder:
    """The reminder after a call that ended as `word`: redialled while calls and time remain, else failed."""
    if word not in _REDIALLED:
        return ended(reminder, calls, Status.FAILED, f"the provider reported: {word}{_codes(call)}")
    if reminder.attempts >= rules.max_calls:
        return ended(reminder, calls, Status.FAILED, f"{word}, after {reminder.attempts} calls")
    again = now + rules.redial_delay(max(reminder.attempts, 1))
    opens = rules.window.next_open(again, zone_of(reminder, rules))
    if opens is None or opens >= expiry(reminder, rules):
        return ended(reminder, calls, Status.FAILED, f"{word}, and too late for another call")
    return evolve(
        reminder, status=Status.SCHEDULED, wake_at=opens, lease_token=None, hold_reason=f"{word}, to be rung again"
    )


def _codes(call: Call) -> str:
    """What is known of why a call failed, as an appendix."""
    codes = (("error", call.error_code), ("SIP", call.sip_response_code))
    known = ", ".join(f"{name} {code}" for name, code in codes if code is not None)
    return f" ({known})" if known else ""


def _said(before: Reminder, after: Reminder, status: str) -> Note:
    if before.status is after.status:
        return Note(f"noted: {status}")
    if after.status is Status.SCHEDULED:
        return Note(f"{after.hold_reason}: {after.wake_at:%Y-%m-%d %H:%M %Z}")
    if after.status is Status.FAILED:
        return Note(f"failed: {after.last_error}", Level.ERROR)
    return Note(f"{after.status}: {status}")


def _progress(
    reminder: Reminder,
    calls: tuple[Call, ...],
    call: Call,
    report: Report,
    *,
    wanted_by_others: bool,
    rules: Rules,
    now: datetime,
) -> Step:
    """Evidence that the call was placed: it ends every doubt, and it is news for which the next check waits."""
    other_open = open_call(calls)
    newest = newest_call(calls)
    reopens = (
        call.status in CLOSED_BY_US
        and call.received_at is None
        and not reminder.status.final
        and newest is not None
        and newest.id == call.id
        and other_open is None
    )
    if not call.open and not reopens:
        return _noted(reminder, calls, call, f"{report.status}, after the call's end")
    known = report.status in PROGRESS
    level = Level.INFO if known else Level.WARNING
    word = "" if known else "a word we don't know, taken as progress: "
    is_later = _RANK.get(report.status, _RANK_OF_OTHER_WORDS) >= _RANK.get(call.status, _RANK_OF_OTHER_WORDS)
    is_news = is_later and report.status != call.status
    call = evolve(call, status=report.status) if is_later else call
    calls = replaced(calls, call)
    is_due = reminder.wake_at is not None and reminder.wake_at <= now
    # Once a word: a provider that was asked to drop it may go on telling of its ringing.
    is_unwanted = is_to_be_dropped(reminder, call, rules, wanted_by_others=wanted_by_others)
    drops_now = (is_news or is_due) and is_unwanted
    heard = evolve(
        reminder,
        status=reminder.status if reminder.status.final else Status.PROCESSING,
        wake_at=now if drops_now else now + rules.outcome_timeout,
        lease_token=None,
        hold_reason=None,
        attempts=max(reminder.attempts, 1),
        external_call_id=call.external_call_id or reminder.external_call_id,
    )
    is_told = is_news or heard.status is not reminder.status
    notes = (Note(f"{word}{report.status}", level),) if is_told else ()
    return Step(reminder=heard, calls=calls, call=call, notes=notes)
