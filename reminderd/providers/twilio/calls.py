"""Twilio's Call resource: how a call stands, and which of several could be ours.

Source: https://www.twilio.com/docs/voice/api/call-resource and the OpenAPI document in twilio/twilio-oai.
"""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from reminderd.core.answers import Candidates, Finding, Found, NoAnswer, NotFound, Report, spelled
from reminderd.providers.payload import DURATION_LIMIT, STATUS_LIMIT, usable

CLOCKS_DIFFER: Final = timedelta(seconds=60)
"""By so much Twilio's clock may be behind ours; a call that was created earlier is an older one."""


def found_in(answer: dict[str, Any], external_call_id: str) -> Finding:
    """What a Call resource says of the call that was asked about."""
    report = _report(answer)
    if report is None:
        return NoAnswer("the answer is not a call with a sid and a status")
    if report.external_call_id != external_call_id:
        return NoAnswer("the answer speaks of another call")
    return Found(report)


def candidates_in(
    answer: dict[str, Any], *, phone_number: str, from_number: str, asked_from: datetime
) -> Finding | Candidates:
    """The calls of a list, newest first, that could be the one that was asked for.

    Twilio keeps no id of ours. A call is a candidate if it goes from our number to this one, was made through the
    interface, and not before it was asked for.
    """
    calls = answer.get("calls")
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        return NoAnswer("calls: not a list of calls")
    created = [moment(call.get("date_created")) for call in calls]
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
    """A number as Twilio writes it, in digits; None if it is none, or beyond what it can be."""
    is_digits = isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 10
    number = int(text) if is_digits and isinstance(text, str) else None
    return number if number is not None and number <= limit else None


def _report(call: dict[str, Any]) -> Report | None:
    sid, status, answered_by = call.get("sid"), call.get("status"), call.get("answered_by")
    if not (isinstance(sid, str) and usable(sid) and isinstance(status, str)):
        return None
    word = spelled(status)
    if not usable(word, limit=STATUS_LIMIT):
        return None
    return Report(
        external_call_id=sid,
        status=word,
        duration_seconds=whole_number(call.get("duration"), DURATION_LIMIT),
        answered_by=answered_by if isinstance(answered_by, str) and usable(answered_by) else None,
        ended_at=moment(call.get("end_time")),
    )


def moment(text: object) -> datetime | None:
    """Return a moment as Twilio writes it, by RFC 2822 and in UTC; None: it is none."""
    try:
        at = parsedate_to_datetime(text if isinstance(text, str) else "")
    except (TypeError, ValueError, OverflowError):  # OverflowError: a zone beyond all measure
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
