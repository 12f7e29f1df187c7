import pytest
from attrs import evolve

from reminderd.core.lifecycle.reached import reached
from reminderd.core.reminder import CLOSED, PROGRESS
from tests.support.nouns import RULES, a_call

STRICT = evolve(RULES, voicemail_is_reached=False)
MACHINES = ["machine", "machine_start", "machine_end_beep", "machine_end_silence", "machine_end_other", "fax"]
NO_MACHINES = ["human", "unknown", "", None]


@pytest.mark.parametrize("answered_by", MACHINES)
def test_a_machine_is_the_patient_only_where_a_voicemail_counts(answered_by: str) -> None:
    call = a_call("completed", answered_by=answered_by)
    assert call.by_machine
    assert reached(call, RULES)
    assert not reached(call, STRICT)


@pytest.mark.parametrize("answered_by", NO_MACHINES)
@pytest.mark.parametrize("rules", [RULES, STRICT], ids=["a voicemail counts", "it does not"])
def test_whoever_is_not_known_to_be_a_machine_is_the_patient(answered_by: str | None, rules: object) -> None:
    call = a_call("completed", answered_by=answered_by)
    assert not call.by_machine
    assert reached(call, STRICT if rules is STRICT else RULES)


@pytest.mark.parametrize("status", sorted((CLOSED | PROGRESS) - {"completed"}))
def test_only_a_completed_call_has_reached_anybody(status: str) -> None:
    assert not reached(a_call(status, answered_by="human"), RULES)
