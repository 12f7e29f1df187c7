"""A claimed request: the last look before it is sent, and what the provider's answer changes."""

from tests.model.closing import close
from tests.model.model import Model
from tests.model.provider import news_of, take_request
from tests.model.reports import progress
from tests.model.rows import BACKOFF, CONFIRM_AFTER, IN_CALL, MAYBE_PLACED, Call, Reminder, Task
from tests.model.rules import Rule


def send(model: Model, place: int, answer: str) -> None:
    """Send a claimed request, unless the last look finds a reason against it. `answer` is what the provider does."""
    task = model.tasks[place]
    call = model.db.calls.get(task.call_id)
    if call is not None and _may_be_sent(model, task, call):
        take_request(model, task, call, answer)
        return
    model.tasks.pop(place)
    if call is not None:
        _not_sent(model, task, call)


def _may_be_sent(model: Model, task: Task, call: Call) -> bool:
    rules, now = model.rules, model.now
    is_mine = call.lease_token == task.token and call.state in MAYBE_PLACED and not call.evidence
    has_time = call.wake_at is not None and now < call.wake_at and model.elapsed < task.deadline
    if Rule.LEASE_IS_CHECKED in rules and not (is_mine and has_time):
        return False
    if Rule.LAST_LOOK_AT_THE_NUMBER in rules and any(one is not call for one in model.alive_at(call.phone_number)):
        return False
    current = model.current(call)
    has_unknown = any(model.has_unknown_outcome(reminder) for _, reminder in current)
    if Rule.LAST_LOOK_AT_OUTCOMES in rules and has_unknown:
        return False
    if Rule.LAST_LOOK_REPEATS_THE_CLAIM not in rules:
        return True
    if model.db.paused or model.is_quiet(task.process) or call.phone_number in model.db.opted_out:
        return False
    is_same = len(current) == len(task.speaks) and all(
        member.message == reminder.message and reminder.status in IN_CALL for member, reminder in current
    )
    if not is_same and (task.kind == "place" or Rule.SAME_MESSAGE_IS_REPEATED in rules):
        return False
    return model.has_hours(now) and all(_is_in_time(model, reminder) for _, reminder in current)


def _is_in_time(model: Model, reminder: Reminder) -> bool:
    is_due = reminder.scheduled_at <= model.now or Rule.NEVER_EARLY not in model.rules
    return is_due and model.now < model.limit_of(reminder)


def _not_sent(model: Model, task: Task, call: Call) -> None:
    """Record that nothing of a request has reached the provider."""
    is_mine = call.lease_token == task.token
    call.requests = max(call.requests - 1, 0)
    if call.evidence or call.state not in MAYBE_PLACED:
        return
    if call.requests == 0:
        close(model, call, "not_placed", "not_sent")
    elif is_mine:
        call.lease_token, call.wake_at = None, model.now + BACKOFF


def settle(model: Model, place: int) -> None:
    """Record the provider's answer, perhaps after the lease was lost."""
    task = model.tasks.pop(place)
    call = model.db.calls.get(task.call_id)
    if call is None:
        return
    if task.found is not None:
        news = news_of(model, task.found, None, status="queued", attempt_id=call.id)
        progress(model, call, news, task.account)
        return
    is_mine = call.lease_token == task.token
    if call.state not in MAYBE_PLACED or call.evidence:
        return
    if task.answer == "unclear" and Rule.UNCLEAR_IS_UNCONFIRMED in model.rules:
        if is_mine:
            _unconfirmed(model, call)
        return
    answer = "not_placed" if task.answer == "unclear" else task.answer
    is_only_request = task.kind == "place" and call.requests == 1
    if is_only_request or Rule.ONLY_REQUEST_DECIDES not in model.rules:
        close(model, call, "refused" if answer == "refused" else "not_placed", answer)
    elif is_mine:
        call.lease_token, call.wake_at = None, model.now + BACKOFF


def _unconfirmed(model: Model, call: Call) -> None:
    call.state, call.lease_token, call.wake_at = "unconfirmed", None, model.now + CONFIRM_AFTER
    for _, reminder in model.current(call):
        reminder.status = "processing" if reminder.status == "dialing" else reminder.status
