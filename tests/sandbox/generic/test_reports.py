"""The reports of the generic dialect, read as the daemon reads them."""

import pytest

from reminderd.core.model import CallOutcome
from reminderd.core.outcomes import Sent, call_outcome_of
from reminderd.providers.generic.webhooks import read_report
from reminderd.sandbox.behaviors import behavior_of, example_number
from reminderd.sandbox.generic import CallRequest, GenericCall, report_of
from tests.support.builders import NOW, a_call


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("answered", CallOutcome.HEARD),
        ("hears it out", CallOutcome.HEARD),
        ("hangs up", CallOutcome.HUNG_UP),
        ("voicemail", CallOutcome.VOICEMAIL),
        ("fax", CallOutcome.NOT_HEARD),
        ("hears nothing", CallOutcome.NOT_HEARD),
        ("busy", CallOutcome.NOT_ANSWERED),
        ("no answer", CallOutcome.NOT_ANSWERED),
        ("phone off", CallOutcome.NOT_ANSWERED),
        ("declines", CallOutcome.DECLINED),
        ("failed", CallOutcome.FAILED),
    ],
)
def test_the_report_of_each_behavior_is_read_as_its_outcome(name: str, outcome: CallOutcome) -> None:
    number = example_number(name)
    behavior = behavior_of(number)
    request = CallRequest(phone_number=number, message="Tomorrow at nine.", metadata={"reminder_id": "r1"})
    end = behavior.ends[0]
    call = GenericCall(id="1", request=request, key=None, placed_at=NOW, behavior=behavior, end=end, status=end)
    report = read_report(report_of(call))
    ended = a_call(
        status=report.status,
        answered_by=report.answered_by,
        duration_seconds=report.duration_seconds,
        sip_response_code=report.sip_response_code,
    )
    assert call_outcome_of(ended, Sent.WITH_THE_REQUEST) is outcome
