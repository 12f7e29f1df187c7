"""Decide what the answers of Twilio's REST API mean."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from reminderd.core.answers import (
    AccountRefused,
    Candidates,
    Found,
    LookUpAnswer,
    NoAnswer,
    NotFound,
    NotPlaced,
    PlacingAnswer,
    Refused,
    Report,
    Unclear,
    standard_status,
)
from reminderd.providers.base import DURATION_LIMIT, STATUS_LIMIT, InvalidPayloadError, is_usable, json_object
from reminderd.providers.http import HttpAnswer, HttpFailure, HttpResult, accepted_or_unclear, reason_of, retry_after

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

NUMBER: Final = frozenset({21211, 21217, 21214, 21202, 13223, 13224, 13225, 32203})
"""Nobody can call this number: it is invalid, unreachable, premium or blocked."""

NUMBER_FOR_US: Final = frozenset({13227, 21203, 21215, 21216, 21219, 573002, 573005})
"""Our account may not call this number, but may call others: its country is not allowed, Twilio blocks it, or a trial
account may not call it."""

ACCOUNT: Final = frozenset(
    {10001, 10002, 20001, 20003, 20005, 20010, 20403, 20422, 21205, 21208, 21209, 21210, 21212, 21213, 21609, 21626}
)
"""Our account can't call any number: wrong credentials, a suspended account, the caller's number, a limit of a trial
account, or a parameter that is the same for every call, like our URLs."""

BUSY: Final = frozenset({10004, 20429})
"""Too many requests at once: this one was not processed, and may be sent again."""

CLOCKS_DIFFER: Final = timedelta(seconds=60)
"""How far Twilio's clock may be behind ours; a call that was created even earlier is an older call."""


def answer_to_placing(outcome: HttpResult, *, private: tuple[str, ...], now: datetime) -> PlacingAnswer:
    """Decide what the answer to `POST …/Calls.json` proves, and so whether the patient may be called again.

    Twilio knows no idempotency key: whatever may have been processed is unconfirmed, and never requested again.

    Args:
        outcome: the result of the request.
        private: texts that no reason may repeat.
        now: to count a Retry-After date from.
    """
    if isinstance(outcome, HttpFailure):
        return Unclear(outcome.reason) if outcome.sent else NotPlaced(outcome.reason)
    if 200 <= outcome.status < 300:
        return accepted_or_unclear(outcome, id_field="sid")
    why = reason_of(outcome, private=private)
    if outcome.status >= 500 or outcome.status in {408, 409}:
        return Unclear(why)
    code = code_in(outcome)
    if outcome.status == 429 or code in BUSY:
        return NotPlaced(why, retry_after(outcome.headers.get("retry-after"), now), rate_limited=True)
    if code in NUMBER:
        return Refused(why)
    is_status_of_account = outcome.status in {401, 402, 403, 404, 405} or outcome.status < 400
    if code in ACCOUNT or (is_status_of_account and code not in NUMBER_FOR_US):
        return AccountRefused(why)
    # Only the number differs between calls. So an unknown code is about this number or about every call; whether other
    # numbers are accepted shows which.
    return NotPlaced(why, number_refused=True)


def code_in(answer: HttpAnswer) -> int | None:
    """Return Twilio's own number for an error, or None."""
    try:
        code = json_object(answer.body).get("code")
    except InvalidPayloadError:
        return None
    return code if type(code) is int else None


def found_in(answer: dict[str, Any], external_call_id: str) -> LookUpAnswer:
    """Return what a Call resource proves about the call that was looked up."""
    report = _report(answer)
    if report is None:
        return NoAnswer("the answer is not a call with a sid and a status")
    if report.external_call_id != external_call_id:
        return NoAnswer("the answer speaks of another call")
    return Found(report)


def candidates_in(
    answer: dict[str, Any], *, phone_number: str, from_number: str, asked_from: datetime
) -> LookUpAnswer | Candidates:
    """Return the calls of a list, newest first, that could be the requested call.

    Twilio does not store our id. A call is a candidate if it is from our number to this one, and was created through
    the API, not before our request.
    """
    calls = answer.get("calls")
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        return NoAnswer("calls: not a list of calls")
    created = [rfc_2822_moment(call.get("date_created")) for call in calls]
    if None in created:
        return NoAnswer("a call is listed without the time of its creation")
    earliest = asked_from - CLOCKS_DIFFER
    recent = [call for call, at in zip(calls, created, strict=True) if at is not None and at >= earliest]
    if recent and len(recent) == len(calls) and answer.get("next_page_uri"):
        return NoAnswer("more calls to this number are listed than fit on a page")
    expected = {"to": phone_number, "from": from_number, "direction": "outbound-api"}
    ours = [call for call in recent if all(call.get(name) == value for name, value in expected.items())]
    reports = [_report(call) for call in ours]
    if None in reports:
        return NoAnswer("a call is listed without a sid or a status")
    return Candidates(tuple(report for report in reports if report is not None)) if reports else NotFound()


def whole_number(text: object, limit: int) -> int | None:
    """Return a number as Twilio writes it, in digits; None if it is not one, or above the limit."""
    is_digits = isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 10
    number = int(text) if is_digits and isinstance(text, str) else None
    return number if number is not None and number <= limit else None


def _report(call: dict[str, Any]) -> Report | None:
    sid, status, answered_by = call.get("sid"), call.get("status"), call.get("answered_by")
    if not (isinstance(sid, str) and is_usable(sid) and isinstance(status, str)):
        return None
    word = standard_status(status)
    if not is_usable(word, limit=STATUS_LIMIT):
        return None
    return Report(
        external_call_id=sid,
        status=word,
        duration_seconds=whole_number(call.get("duration"), DURATION_LIMIT),
        answered_by=answered_by if isinstance(answered_by, str) and is_usable(answered_by) else None,
        ended_at=rfc_2822_moment(call.get("end_time")),
    )


def rfc_2822_moment(text: object) -> datetime | None:
    """Return a moment as Twilio writes it, by RFC 2822 and in UTC; None if it is not one, or before 1970."""
    try:
        read = parsedate_to_datetime(text if isinstance(text, str) else "")
    except (TypeError, ValueError, OverflowError):  # OverflowError: an impossible time zone
        return None
    at = read if read.tzinfo else read.replace(tzinfo=UTC)
    return at if at >= _EPOCH else None
