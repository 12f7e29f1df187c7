from datetime import UTC, datetime

import pytest

from reminderd.sandbox.behaviors import example_number
from reminderd.sandbox.generic import CallRequest, GenericCalls, Placed, RequestRejected

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def a_request(behavior: str = "answered", *, attempt_id: str = "a-1", reminder_id: str = "r-1") -> CallRequest:
    return CallRequest(
        phone_number=example_number(behavior),
        message="Hello",
        metadata={"attempt_id": attempt_id, "reminder_id": reminder_id},
    )


def test_the_same_key_gives_the_same_call_and_no_second_one() -> None:
    calls = GenericCalls()
    first = calls.decide(a_request(), key="k", now=NOW)
    second = calls.decide(a_request(), key="k", now=NOW)
    assert isinstance(first, Placed)
    assert isinstance(second, Placed)
    assert (first.repeated, second.repeated) == (False, True)
    assert first.call == second.call
    assert len(calls.switchboard.calls) == 1


def test_the_same_key_with_a_different_request_is_a_conflict() -> None:
    calls = GenericCalls()
    calls.decide(a_request(), key="k", now=NOW)
    assert calls.decide(a_request("busy"), key="k", now=NOW) == RequestRejected(409)
    assert len(calls.switchboard.calls) == 1


def test_without_a_key_each_request_places_a_call() -> None:
    calls = GenericCalls()
    for _ in range(2):
        calls.decide(a_request(), key=None, now=NOW)
    assert len(calls.switchboard.calls) == 2


@pytest.mark.parametrize(
    ("behavior", "statuses"),
    [("down then up", [503, 503]), ("error, not placed", [500]), ("too many requests", [429])],
)
def test_a_behavior_rejects_a_number_of_requests_and_then_places_the_call(behavior: str, statuses: list[int]) -> None:
    calls = GenericCalls()
    for status in statuses:
        assert calls.decide(a_request(behavior), key="k", now=NOW) == RequestRejected(status)
        assert calls.switchboard.calls == ()
    assert isinstance(calls.decide(a_request(behavior), key="k", now=NOW), Placed)


def test_each_new_call_is_rejected_first() -> None:
    calls = GenericCalls()
    for key in ("one", "two"):
        assert calls.decide(a_request("error, not placed"), key=key, now=NOW) == RequestRejected(500)


def test_a_refused_number_stays_refused() -> None:
    calls = GenericCalls()
    for _ in range(3):
        assert calls.decide(a_request("refused"), key="k", now=NOW) == RequestRejected(422)


def test_the_second_call_of_a_reminder_may_end_differently() -> None:
    calls = GenericCalls()
    ends = [calls.decide(a_request("busy then answered"), key=f"{n}", now=NOW) for n in range(3)]
    assert [each.call.end for each in ends if isinstance(each, Placed)] == ["busy", "completed", "completed"]
    other = calls.decide(a_request("busy then answered", reminder_id="r-2"), key="other", now=NOW)
    assert isinstance(other, Placed)
    assert other.call.end == "busy"


def test_calls_are_found_by_the_attempt_they_carry() -> None:
    calls = GenericCalls()
    calls.decide(a_request(attempt_id="a-1"), key="1", now=NOW)
    calls.decide(a_request(attempt_id="a-2"), key="2", now=NOW)
    assert [call.key for call in calls.calls_of("a-2")] == ["2"]
    assert calls.calls_of("a-3") == ()


def test_the_oldest_calls_are_forgotten_with_their_keys() -> None:
    calls = GenericCalls(remembered=3)
    for number in range(5):
        calls.decide(a_request(reminder_id=f"r-{number}"), key=f"{number}", now=NOW)
    assert [call.key for call in calls.switchboard.calls] == ["2", "3", "4"]
    forgotten = calls.decide(a_request(), key="0", now=NOW)
    assert isinstance(forgotten, Placed)
    assert not forgotten.repeated


def test_a_forgotten_call_is_not_updated_anymore() -> None:
    assert GenericCalls().switchboard.update("no-such-call", lambda call: call) is None


def test_the_repr_of_a_request_has_no_message() -> None:
    assert "Hello" not in repr(a_request())
