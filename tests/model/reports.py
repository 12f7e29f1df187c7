"""Reports: which call a report is about, and what follows."""

from attrs import frozen

from tests.model.claims import is_to_be_dropped
from tests.model.closing import call_outcome_of, close
from tests.model.model import Model
from tests.model.rows import ALIVE, MESSAGE_TAKES, OPEN, OUTCOME_TIMEOUT, Asked, Call, Member, Reminder
from tests.model.rules import Rule

_RANKS = {None: 0, "queued": 1, "ringing": 2, "in-progress": 3}


@frozen(kw_only=True)
class News:
    """What the provider reports about a call."""

    external_call_id: str
    reminder_id: str
    attempt_id: str | None
    status: str
    """The provider's status for progress; it has no meaning in a terminal report."""
    end: str | None
    """None: progress."""
    ended_at: int = 0
    """When the line ended, by the provider's clock."""
    lasted: int = 0
    """For how long it was open."""


def call_of(model: Model, news: News) -> Call | None:
    """Return the call that a report is about, or None if we do not know the call."""
    calls = model.db.calls
    if news.attempt_id is not None:
        call = calls.get(news.attempt_id)
        if call is not None or Rule.ATTEMPT_ID_NEVER_FALLS_THROUGH in model.rules:
            return call
    for call in calls.values():
        is_same = call.reminder_id == news.reminder_id or Rule.ANOTHER_REMINDER_IS_ANOTHER_CALL not in model.rules
        if call.external_call_id == news.external_call_id and is_same:
            return call
    nameless = [
        call
        for call in calls.values()
        if call.reminder_id == news.reminder_id
        and call.external_call_id is None
        and call.state in ALIVE | {"unreported"}
        and not call.adopted
        and call.seq > model.db.restored_seq
    ]
    return nameless[0] if len(nameless) == 1 else None


def record(model: Model, news: News, account: str) -> Call | None:
    """Record a report and return its call; None: it changes nothing, because it names nothing of ours."""
    call = call_of(model, news)
    if call is None and news.reminder_id not in model.db.reminders:
        return None
    counts = _counts(model, call, news)
    if call is None:
        is_repeat = news.end is not None and news.attempt_id is None and not counts
        if is_repeat or Rule.UNKNOWN_CALLS_ARE_RECORDED not in model.rules:
            return None
        call = _adopted(model, news, account)
    if news.end is None:
        progress(model, call, news, account)
        return call
    is_named = news.attempt_id == call.id and Rule.OWN_ID_COMES_FIRST in model.rules
    _fill(model, call, news)
    if call.received_at is None and (counts or is_named):
        _ended(model, call, news)
    return call


def _counts(model: Model, call: Call | None, news: News) -> bool:
    """Leave a receipt for a terminal report that may count, and return whether it is the first with its id."""
    if news.end is None or (call is not None and call.received_at is not None):
        return False
    is_first = news.external_call_id not in model.db.receipts
    model.db.receipts.setdefault(news.external_call_id, news.reminder_id)
    return is_first or Rule.RECEIPT_COUNTS_ONCE not in model.rules


def progress(model: Model, call: Call, news: News, account: str) -> None:
    """Record a sign of life: it opens the call again if we had closed it."""
    _fill(model, call, news)
    if call.received_at is not None and Rule.END_IS_FINAL in model.rules:
        return
    if call.state not in ALIVE and Rule.CLOSED_CALLS_COME_BACK not in model.rules:
        return
    has_other = call.state not in OPEN and model.has_open_call(call.phone_number)
    is_stray = has_other and Rule.ONE_OPEN_CALL_PER_NUMBER in model.rules
    was = (call.state, call.status)
    call.state = "stray" if is_stray else "placed"
    call.status = max(call.status, news.status, key=_rank)
    call.checks = call.checks if call.evidence else 0
    call.evidence, call.last_sign_at, call.lease_token = True, model.now, None
    woken_at, call.wake_at = call.wake_at, model.now + OUTCOME_TIMEOUT
    for _, reminder in model.current(call):
        is_waiting = reminder.status == "scheduled" and model.alive_call(reminder) is call
        is_revived = reminder.status in {"called", "failed", "expired", "cancelled"}
        if (
            reminder.status == "dialing"
            or (is_waiting and Rule.OWN_CALL_COMES_FIRST in model.rules)
            or (is_revived and Rule.PROGRESS_LEAVES_FINAL_ALONE not in model.rules)
        ):
            reminder.status = "processing"
            reminder.wake_at = reminder.retry_at = reminder.hold_code = None
    if is_to_be_dropped(model, call, account):
        is_news = was != (call.state, call.status) or call.checks == 0
        call.wake_at = model.now if is_news else min(woken_at or model.now, call.wake_at)


def _ended(model: Model, call: Call, news: News) -> None:
    """Close a call by its one terminal report."""
    members = model.members_of(call)
    asks = model.setting.asks_what_to_say and Rule.SPOKEN_AS_HANDED_OUT in model.rules
    call.status, call.received_at, call.evidence = news.end, model.now, True
    if call.outcome != "heard":
        call.outcome = call_outcome_of(news.end or "", asks=asks, was_spoken=any(one.spoken for one in members))
    if call.outcome == "hung_up":
        ends = [model.now]
        if Rule.LATE_REPORTS_MAKE_NO_CALL_LONGER in model.rules:
            ends += [news.ended_at, *([] if call.fetched_at is None else [call.fetched_at + news.lasted])]
        call.hung_up_at = min(ends)
    if call.outcome in {"heard", "hung_up"} and not asks:
        if Rule.HEARD_BY_ALL_MEMBERS not in model.rules:
            members = [member for member, _ in model.current(call)]
        for member in members:
            member.spoken = True
    close(model, call, "ended", "reported" if call.state in ALIVE else "noted")


def _adopted(model: Model, news: News, account: str) -> Call:
    """Record a call that we do not know under the reminder that its report names: its number is busy until its end."""
    reminder = model.db.reminders[news.reminder_id]
    call = Call(
        id=news.attempt_id or model.new_id("n"),
        seq=model.new_seq(),
        reminder_id=reminder.id,
        phone_number=reminder.phone_number,
        account=account,
        created_at=model.now,
        last_sign_at=model.now,
        wake_at=model.now + OUTCOME_TIMEOUT,
        state="stray" if model.has_open_call(reminder.phone_number) else "placed",
        evidence=True,
        adopted=True,
    )
    is_about_it = _may_be_about(model, reminder, news)
    model.db.calls[call.id] = call
    if is_about_it:
        model.db.members[call.id, reminder.id] = Member(call.id, reminder.id, reminder.scheduled_at, reminder.message)
    return call


def _may_be_about(model: Model, reminder: Reminder, news: News) -> bool:
    """Return whether an unknown call may be about the present reminder."""
    if reminder.end_code == "restored":
        return model.db.restored_at is not None and reminder.scheduled_at <= model.db.restored_at
    if reminder.status == "scheduled" and model.may_be_forgotten(reminder):
        return True
    members = [one for one in model.db.members.values() if one.reminder_id == reminder.id]
    return news.attempt_id is None and bool(members) and len(members) == len(model.history(reminder))


def _fill(model: Model, call: Call, news: News) -> None:
    is_anothers = any(
        one.external_call_id == news.external_call_id for one in model.db.calls.values() if one is not call
    )
    if call.external_call_id is None and not is_anothers:
        call.external_call_id = news.external_call_id


def _rank(status: str | None) -> int:
    return _RANKS.get(status, len(_RANKS))


# If the provider asks what to speak


def answer_patient(model: Model, news: News, account: str) -> list[Asked]:
    """Record that somebody has answered, and return what must be spoken."""
    call = record(model, news, account)
    if call is None:
        return []
    call.fetched_at = model.now if call.fetched_at is None else call.fetched_at
    spoken: list[Asked] = []
    for member, reminder in model.current(call):
        is_out = call.phone_number in model.db.opted_out
        if reminder.status in {"called", "expired", "cancelled"}:
            continue
        if not is_out and model.now < model.limit_of(reminder):
            spoken.append(reminder.asked)
            member.spoken, member.message = True, reminder.message
            member.spoken_by = model.now + len(spoken) * MESSAGE_TAKES
        elif reminder.status != "failed":  # told that the call is not needed anymore
            model.end(reminder, *(("cancelled", "opted_out") if is_out else ("expired", "too_late")))
    return spoken


def settle_key(model: Model, news: News, account: str, key: str) -> None:
    """Settle the reminders that were spoken, whatever is reported later; a key may also opt the number out.

    The request that follows a message without a key proves as much.
    """
    call = record(model, news, account)
    if call is None or Rule.KEY_PRESS_IS_HEARD not in model.rules:
        return
    call.outcome = "heard"
    is_marked = any(member.spoken for member in model.members_of(call))
    for member, reminder in [(member, one) for member, one in model.current(call) if member.spoken or not is_marked]:
        member.spoken = True
        if reminder.status not in {"called", "cancelled"}:
            reminder.attempts = model.attempts(reminder)
            model.end(reminder, "called", None)
    if key == "opt_out":
        model.db.opted_out.add(call.phone_number)
        for reminder in model.db.reminders.values():
            if reminder.phone_number == call.phone_number and reminder.status == "scheduled":
                model.end(reminder, "cancelled", "opted_out")
