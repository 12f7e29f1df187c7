import pytest

from reminderd.core.model import ERASED, CallState
from tests.support.builders import a_call


@pytest.mark.parametrize("phone_number", ["", f"{ERASED}0123"])
def test_a_call_with_an_erased_number_is_stored_without_personal_data(phone_number: str) -> None:
    call = a_call(CallState.ENDED, phone_number=phone_number, transcript="I am ill.", answered_by="Anna")
    assert call.anonymous
    assert (call.storable.transcript, call.storable.answered_by) == ("", None)
    silent = a_call(CallState.ENDED, phone_number=phone_number)
    assert silent.storable == silent


def test_any_other_call_is_stored_completely() -> None:
    call = a_call(CallState.ENDED, transcript="I am ill.", answered_by="Anna")
    assert call.storable is call
