"""The provider answers a request to place a call, or the request was not sent after all."""

from datetime import datetime

from attrs import evolve

from reminderd.core.answers import Accepted, AccountTrouble, Answer, NotPlaced, Refused, Report, Unclear
from reminderd.core.lifecycle.check import give_up, unconfirmed
from reminderd.core.lifecycle.lookup import found_missing
from reminderd.core.lifecycle.report import reported
from reminderd.core.lifecycle.step import Level, Note, Step, at_rest, ended, replaced
from reminderd.core.reminder import OPTED_OUT, PROGRESS, Call, Reminder, Status
from reminderd.core.rules import Rules


def answered(
    reminder: Reminder,
    calls: tuple[Call, ...],
    call: Call,
    answer: Answer,
    *,
    token: str,
    tries: int,
    resend: bool,
    burns_try: bool,
    id_taken: bool,
    wanted_by_others: bool = False,
    rules: Rules,
    now: datetime,
    draw: float,
) -> Step:
    """What the provider's answer to the dial of `call` changes.

    Args:
        reminder: as it is now, perhaps no longer as it was when the request went out.
        calls: all its calls.
        call: the one that was dialled, as it is now.
        answer: the provider's.
        token: the lease under which the request was sent. If it was lost, what was learned is kept on the call only.
        tries: the call's count of requests when this one was sent.
        resend: this was not the call's first chance: an earlier request with its key may have been taken.
        burns_try: whether a request that was not placed counts (not while the provider is in trouble).
        id_taken: the id in the answer is already stored on another call.
        wanted_by_others: the call says other reminders, too, that still want it.
        rules: the clinic's.
        now: the time of the transaction.
        draw: a random number in [0, 1), for the jitter.
    """
    if isinstance(answer, Accepted):
        report = _evidence(call, answer)
        step = reported(
            reminder,
            calls,
            report,
            receipt_is_new=False,
            id_taken=id_taken,
            new_call_id=call.id,
            wanted_by_others=wanted_by_others,
            rules=rules,
            now=now,
        )
        said = tuple(evolve(note, text=note.text.replace(report.status, "accepted")) for note in step.notes)
        return evolve(step, notes=said)
    if reminder.lease_token != token or reminder.status.final or call.status not in {"dialing", "unconfirmed"}:
        return _late(reminder, calls, call, answer, only_request=_untouched(call, tries, resend=resend))
    if call.status == "unconfirmed":
        return _resend_answered(reminder, calls, call, answer, burns_try=burns_try, rules=rules, now=now, draw=draw)
    match answer:
        case Refused() if found_missing(call):  # it speaks of its own request; of an earlier one only look-ups do
            return give_up(reminder, calls, unconfirmed(call), rules, now)
        case Refused(reason):
            refused = evolve(call, status="refused", error=reason)
            calls = replaced(calls, refused)
            failed = ended(reminder, calls, Status.FAILED, reason)
            note = Note(f"failed: refused by the provider: {reason}", Level.ERROR)
            return Step(reminder=failed, calls=calls, call=refused, notes=(note,))
        case Unclear(reason):
            unsure = evolve(call, status="unconfirmed", error=reason)
            waiting = evolve(reminder, status=Status.PROCESSING, lease_token=None, wake_at=now + rules.confirm_after)
            note = Note(f"unconfirmed: {reason}", Level.WARNING)
            return Step(reminder=waiting, calls=replaced(calls, unsure), call=unsure, notes=(note,))
        case NotPlaced(reason) if burns_try and call.tries >= rules.max_tries:
            return _out_of_tries(reminder, calls, call, reason, rules, now)
        case NotPlaced(reason, retry_after):
            back = call if burns_try else _given_back(call)
            pause = rules.backoff.full_jitter(call.tries, draw)
            at = now + (pause if retry_after is None else max(pause, retry_after))
            return _scheduled_again(reminder, calls, back, f"not placed: {reason}", at)
        case AccountTrouble(reason):  # pragma: no branch - there is no sixth answer
            return _scheduled_again(reminder, calls, _given_back(call), f"the provider refuses us: {reason}", now)


def not_sent(
    reminder: Reminder,
    calls: tuple[Call, ...],
    call: Call,
    reason: str,
    *,
    token: str,
    tries: int,
    resend: bool,
    opted_out: bool,
    now: datetime,
) -> Step:
    """The last look, or a stop, kept a claimed request from going out: nothing of it reached the provider."""
    if reminder.lease_token != token or reminder.status.final:
        if _untouched(call, tries, resend=resend):
            return _never_placed(reminder, calls, call, reason)
        return Step(reminder=reminder, calls=calls, call=call)
    back = _given_back(call)
    if call.status == "unconfirmed":
        waiting = evolve(reminder, lease_token=None, wake_at=now)
        return Step(reminder=waiting, calls=replaced(calls, back), call=back)
    if opted_out:
        step = _never_placed(reminder, calls, back, OPTED_OUT)
        cancelled = ended(step.reminder, step.calls, Status.CANCELLED, OPTED_OUT)
        return evolve(step, reminder=cancelled, notes=(Note("cancelled: opted out"),))
    return _scheduled_again(reminder, calls, back, reason, now)


def _untouched(call: Call, tries: int, *, resend: bool) -> bool:
    """Whether our request is the only one that can have placed the call, however others have marked it since."""
    first = not resend and not found_missing(call)  # what look-ups missed may have been placed all the same
    return first and call.tries == tries and call.status in {"dialing", "unconfirmed"}


def _given_back(call: Call) -> Call:
    return evolve(call, tries=max(call.tries - 1, 0))


def _evidence(call: Call, answer: Accepted) -> Report:
    """An acceptance is the first report of progress, and is taken as one whoever holds the lease."""
    status = answer.status if answer.status in PROGRESS else "queued"
    return Report(external_call_id=answer.external_call_id, status=status, attempt_id=call.id)


def _resend_answered(
    reminder: Reminder,
    calls: tuple[Call, ...],
    call: Call,
    answer: Refused | Unclear | NotPlaced | AccountTrouble,
    *,
    burns_try: bool,
    rules: Rules,
    now: datetime,
    draw: float,
) -> Step:
    """Any answer but acceptance speaks of the second request only: whether the first was placed stays open."""
    # A request of unknown fate is never given back: an older request's late answer must not seem to be the only one.
    burnt = isinstance(answer, Unclear) or (burns_try and not isinstance(answer, AccountTrouble))
    unsure = evolve(call if burnt else _given_back(call), error=answer.reason)
    pause = rules.backoff.half_jitter(call.tries, draw)
    if isinstance(answer, NotPlaced) and answer.retry_after is not None:
        pause = max(pause, answer.retry_after)
    waiting = evolve(reminder, lease_token=None, wake_at=now + pause)
    note = Note(f"still unconfirmed: {answer.reason}", Level.WARNING)
    return Step(reminder=waiting, calls=replaced(calls, unsure), call=unsure, notes=(note,))


def _late(
    reminder: Reminder,
    calls: tuple[Call, ...],
    call: Call,
    answer: Refused | Unclear | NotPlaced | AccountTrouble,
    *,
    only_request: bool,
) -> Step:
    """The lease was lost while the request was out: only what the answer proves about its call is kept."""
    if not only_request:
        return Step(reminder=reminder, calls=calls, call=call)
    if isinstance(answer, Unclear):
        unsure = evolve(call, status="unconfirmed", error=answer.reason)
        note = Note(f"unconfirmed: {answer.reason}", Level.WARNING)
        return Step(reminder=reminder, calls=replaced(calls, unsure), call=unsure, notes=(note,))
    status = "refused" if isinstance(answer, Refused) else "not-placed"
    return _never_placed(reminder, calls, call, answer.reason, status=status)


def _never_placed(
    reminder: Reminder, calls: tuple[Call, ...], call: Call, reason: str, *, status: str = "not-placed"
) -> Step:
    closed = evolve(call, status=status, error=reason)
    calls = replaced(calls, closed)
    note = Note(f"the call is {status}: {reason}")
    return Step(reminder=at_rest(reminder, calls), calls=calls, call=closed, notes=(note,))


def _scheduled_again(reminder: Reminder, calls: tuple[Call, ...], call: Call, reason: str, wake_at: datetime) -> Step:
    closed = evolve(call, status="not-placed", error=reason)
    again = evolve(reminder, status=Status.SCHEDULED, lease_token=None, wake_at=wake_at, hold_reason=reason)
    return Step(reminder=again, calls=replaced(calls, closed), call=closed, notes=(Note(reason, Level.WARNING),))


def _out_of_tries(
    reminder: Reminder, calls: tuple[Call, ...], call: Call, reason: str, rules: Rules, now: datetime
) -> Step:
    if found_missing(call):  # that an earlier request was not placed was only good for another with its key
        return give_up(reminder, calls, unconfirmed(call), rules, now)
    closed = evolve(call, status="not-placed", error=reason)
    calls = replaced(calls, closed)
    why = f"not placed after {call.tries} tries: {reason}"
    failed = ended(reminder, calls, Status.FAILED, why)
    return Step(reminder=failed, calls=calls, call=closed, notes=(Note(f"failed: {why}", Level.ERROR),))
