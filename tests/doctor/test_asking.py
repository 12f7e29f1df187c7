import pytest

from reminderd.doctor.connections import DoctorClient
from reminderd.providers.http import HttpFailure
from reminderd.validators import is_this_machine


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("api.twilio.com", False),
        ("192.168.1.5", False),
        ("0.0.0.0", False),  # noqa: S104 - nobody listens there
        ("::", False),
        ("127.0.0.1", True),
        ("127.0.1.1", True),
        ("::1", True),
        ("localhost", True),
        ("", False),
    ],
)
def test_loopback_addresses_are_recognized_as_this_machine(host: str, *, expected: bool) -> None:
    assert is_this_machine(host) is expected


@pytest.mark.parametrize("url", ["http://xn--/", "http://[::1", f"http://{'x' * 64}/"])
async def test_an_invalid_url_gets_no_answer(url: str, ask: DoctorClient) -> None:
    outcome = await ask.get(url)
    assert isinstance(outcome, HttpFailure)
    assert not outcome.sent
