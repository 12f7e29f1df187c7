"""How each number of the generic dialect ends is reported so that it is read as what it is."""

import pytest

from reminderd.core.model import CallOutcome
from reminderd.core.outcomes import Told, outcome_of
from reminderd.providers.generic.payload import read_report
from reminderd.sandbox.behaviours import behaviour_of, example_number
from reminderd.sandbox.ringing import reported
from reminderd.sandbox.switchboard import CallOrder, SandboxCall
from tests.support.nouns import NOW, a_call


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
def test_a_numbers_end_is_read_as_what_it_is(name: str, outcome: CallOutcome) -> None:
    number = example_number(name)
    behaviour = behaviour_of(number)
    order = CallOrder(phone_number=number, message="Tomorrow at nine.", metadata={"reminder_id": "r1"})
    end = behaviour.ends[0]
    call = SandboxCall(id="1", order=order, key=None, placed_at=NOW, behaviour=behaviour, end=end, status=end)
    report = read_report(reported(call))
    ended = a_call(
        status=report.status,
        answered_by=report.answered_by,
        duration_seconds=report.duration_seconds,
        sip_response_code=report.sip_response_code,
    )
    assert outcome_of(ended, Told.WITH_THE_REQUEST) is outcome
