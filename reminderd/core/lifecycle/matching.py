"""Which call a report speaks of, and what it adds to what is known of it."""

from attrs import evolve

from reminderd.core.answers import Report
from reminderd.core.reminder import Call


def call_spoken_of(report: Report, calls: tuple[Call, ...]) -> tuple[Call | None, bool]:
    """The call that a report speaks of, and whether it names our own id; (None, False) if it can't be told."""
    for call in calls:
        if report.attempt_id is not None and call.id == report.attempt_id:
            return call, True
    for call in calls:
        if call.external_call_id == report.external_call_id:
            return call, False
    nameless = [call for call in calls if call.external_call_id is None and call.attempt is not None]
    return (nameless[0] if len(nameless) == 1 else None), False


def filled(call: Call, report: Report, external_id: str | None) -> Call:
    """The call with what the report knows in the columns that are still empty."""
    return evolve(
        call,
        external_call_id=call.external_call_id or external_id,
        transcript=report.transcript if call.transcript is None else call.transcript,
        duration_seconds=report.duration_seconds if call.duration_seconds is None else call.duration_seconds,
        answered_by=report.answered_by if call.answered_by is None else call.answered_by,
        sip_response_code=report.sip_response_code if call.sip_response_code is None else call.sip_response_code,
        error_code=report.error_code if call.error_code is None else call.error_code,
        error=None if call.status == "unconfirmed" else call.error,  # the doubt is over
    )
