"""The provider: it calls phones, remembers every call, and reports at any time."""

from tests.model.closing import close
from tests.model.model import Model
from tests.model.promises import hold_at_drop, hold_at_new_call
from tests.model.reports import News, answer_patient, record, settle_key
from tests.model.rows import CONFIRM_AFTER, DAY, KEY_LIFETIME, MESSAGE_TAKES, Call, ProviderCall, Report, Task
from tests.model.rules import Rule

PLACED = frozenset({"accepted", "lost", "unavailable_but_placed"})
"""Requests after which a phone rings: accepted, placed with a lost answer, placed with a 503."""


def take_request(model: Model, task: Task, call: Call, answer: str) -> None:
    """Receive a request, and answer it: a known key places no second call."""
    task.is_sent = True
    known = next(
        (
            one
            for one in reversed(model.provider_calls)
            if (one.call_id, one.account) == (call.id, task.account) and model.elapsed - one.placed_at <= KEY_LIFETIME
        ),
        None,
    )
    if known is not None and list(zip(known.asked, known.messages, strict=True)) != task.speaks:
        model.broken("a key was used again for another message")
    found = known if model.setting.honors_keys else None
    is_new = answer in PLACED and found is None
    if is_new:
        found = _place(model, task, call, denied=answer == "unavailable_but_placed")
    if answer == "accepted":
        task.answer, task.found = "accepted", found
    elif answer == "unavailable" or (answer == "unavailable_but_placed" and is_new):
        task.answer = "not_placed"
    else:
        task.answer = answer if answer in {"refused", "account"} else "unclear"


def _place(model: Model, task: Task, call: Call, *, denied: bool) -> ProviderCall:
    place = len(model.provider_calls)
    asked = [one for one, _ in task.speaks]
    new = ProviderCall(
        place=place,
        external_call_id=f"ext{place % 2 if model.setting.reuses_ids else place}",
        call_id=call.id,
        reminder_id=call.reminder_id,
        phone_number=call.phone_number,
        account=task.account,
        asked=asked,
        messages=[message for _, message in task.speaks],
        placed_at=model.elapsed,
        denied=denied,
        restores=model.past.restores,
        spoken=[] if model.setting.asks_what_to_say else list(asked),
    )
    hold_at_new_call(model, task, call, new)
    model.provider_calls.append(new)
    return new


def news_of(
    model: Model, call: ProviderCall, end: str | None, *, status: str = "ringing", attempt_id: str | None = None
) -> News:
    """Return the provider's report of a call, and record that the program knows it from now on."""
    number = getattr(model.db.reminders.get(call.reminder_id), "phone_number", None)
    if call.call_id in model.db.calls or number == call.phone_number:
        call.known_at = model.elapsed
    if end is not None and call.reported_at is None:
        call.reported_at, call.reported_on = model.elapsed, model.now // DAY
    own_id = call.call_id if model.setting.repeats_attempt_id else None
    return News(
        external_call_id=call.external_call_id,
        reminder_id=call.reminder_id,
        attempt_id=attempt_id or own_id,
        status="in-progress" if call.answered_at is not None else status,
        end=end,
        ended_at=call.ended_at,
        lasted=call.ended_at - (call.ended_at if call.answered_at is None else call.answered_at),
    )


# What happens to a call


def show_sign(model: Model, place: int) -> None:
    call = model.provider_calls[place]
    call.signs += 1
    model.reports.append(Report(call, None))


def end(model: Model, place: int, how: str) -> None:
    """End a call: heard, hung_up, voicemail, busy, declined or failed."""
    call, asks = model.provider_calls[place], model.setting.asks_what_to_say
    if how == "heard" and asks and call.spoken and not call.heard:
        press_key(model, place, "none")
    elif how == "heard":
        call.heard |= set(call.spoken)
    elif how == "hung_up" and asks and call.answered_at is not None:
        call.heard |= set(call.spoken[: (model.elapsed - call.answered_at) // MESSAGE_TAKES])
    call.is_active, call.ended_at, call.has_hung_up = False, model.elapsed, how == "hung_up"
    call.end = "completed" if how == "heard" or (how == "hung_up" and asks) else how
    model.reports.append(Report(call, call.end))


def answer(model: Model, place: int, how: str) -> None:
    """Let somebody answer; the provider asks what to speak, unless it fails to."""
    call = model.provider_calls[place]
    call.answered_at = model.elapsed
    if how == "asks":
        call.spoken = answer_patient(model, news_of(model, call, None), call.account)


def press_key(model: Model, place: int, key: str) -> None:
    call = model.provider_calls[place]
    call.heard |= set(call.spoken)
    settle_key(model, news_of(model, call, None), call.account, key)


# Webhooks


def deliver(model: Model, place: int) -> None:
    report = model.reports.pop(place)
    record(model, news_of(model, report.call, report.end), report.call.account)


def deliver_and_repeat(model: Model, place: int) -> None:
    report = model.reports[place]
    report.times += 1
    record(model, news_of(model, report.call, report.end), report.call.account)


def lose(model: Model, place: int) -> None:
    model.reports.pop(place)


# Look-ups


def ask(model: Model, place: int, how: str) -> None:
    """Receive a look-up, or a request to drop a call: the answer is true, finds nothing, or fails."""
    task = model.tasks[place]
    task.is_sent = True
    if how == "fails":
        task.answer = "failed"
        return
    call = model.db.calls.get(task.call_id)
    external_call_id = None if call is None or model.setting.reuses_ids else call.external_call_id
    for one in model.provider_calls:
        is_meant = one.call_id == task.call_id or one.external_call_id == external_call_id
        if how == "true" and is_meant and one.account == task.account:
            task.found = one
            break
    if task.kind == "drop" and task.found is not None and task.found.is_active and task.found.answered_at is None:
        hold_at_drop(model, task)
        task.found.is_active, task.found.end, task.found.ended_at = False, "busy", model.elapsed


def settle_look_up(model: Model, place: int) -> None:
    task = model.tasks.pop(place)
    call = model.db.calls.get(task.call_id)
    if call is None:
        return
    if task.found is not None:
        call.checks += 1
        found_end = None if task.found.is_active else task.found.end
        news = news_of(model, task.found, found_end, attempt_id=call.id)
        record(model, news, task.account)
    elif call.lease_token == task.token and call.wake_at is not None:
        call.checks, call.lease_token, call.wake_at = call.checks + 1, None, model.now + CONFIRM_AFTER
        if task.answer != "failed" and Rule.NOT_FOUND_PROVES_NOTHING not in model.rules:
            close(model, call, "not_placed", "not_placed")
