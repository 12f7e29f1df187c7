from datetime import UTC, datetime

import pytest

from reminderd.sandbox.behaviours import example_number
from reminderd.sandbox.switchboard import CallOrder, KeyConflict, Placed, Switchboard, TurnedAway

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def order(behaviour: str = "answered", *, attempt_id: str = "a-1", reminder_id: str = "r-1") -> CallOrder:
    return CallOrder(
        phone_number=example_number(behaviour),
        message="Hello",
        metadata={"attempt_id": attempt_id, "reminder_id": reminder_id},
    )


def test_the_same_key_gives_the_same_call_and_no_second_one() -> None:
    switchboard = Switchboard()
    first = switchboard.decide(order(), key="k", now=NOW)
    second = switchboard.decide(order(), key="k", now=NOW)
    assert isinstance(first, Placed)
    assert isinstance(second, Placed)
    assert (first.repeated, second.repeated) == (False, True)
    assert first.call == second.call
    assert len(switchboard.calls) == 1


def test_the_same_key_with_another_order_is_a_conflict() -> None:
    switchboard = Switchboard()
    switchboard.decide(order(), key="k", now=NOW)
    assert switchboard.decide(order("busy"), key="k", now=NOW) == KeyConflict()
    assert len(switchboard.calls) == 1


def test_without_a_key_every_request_places_a_call() -> None:
    switchboard = Switchboard()
    for _ in range(2):
        switchboard.decide(order(), key=None, now=NOW)
    assert len(switchboard.calls) == 2


@pytest.mark.parametrize(
    ("behaviour", "statuses"),
    [("down then up", [503, 503]), ("error, not placed", [500]), ("too many requests", [429])],
)
def test_a_call_is_turned_away_so_often_and_then_placed(behaviour: str, statuses: list[int]) -> None:
    switchboard = Switchboard()
    for status in statuses:
        assert switchboard.decide(order(behaviour), key="k", now=NOW) == TurnedAway(status)
        assert switchboard.calls == ()
    assert isinstance(switchboard.decide(order(behaviour), key="k", now=NOW), Placed)


def test_each_call_is_turned_away_anew() -> None:
    switchboard = Switchboard()
    for key in ("one", "two"):
        assert switchboard.decide(order("error, not placed"), key=key, now=NOW) == TurnedAway(500)


def test_a_refused_number_stays_refused() -> None:
    switchboard = Switchboard()
    for _ in range(3):
        assert switchboard.decide(order("refused"), key="k", now=NOW) == TurnedAway(422)


def test_the_second_call_of_a_reminder_may_end_in_another_way() -> None:
    switchboard = Switchboard()
    ends = [switchboard.decide(order("busy then answered"), key=f"{n}", now=NOW) for n in range(3)]
    assert [each.call.end for each in ends if isinstance(each, Placed)] == ["busy", "completed", "completed"]
    other = switchboard.decide(order("busy then answered", reminder_id="r-2"), key="other", now=NOW)
    assert isinstance(other, Placed)
    assert other.call.end == "busy"


def test_calls_are_found_by_the_attempt_they_carry() -> None:
    switchboard = Switchboard()
    switchboard.decide(order(attempt_id="a-1"), key="1", now=NOW)
    switchboard.decide(order(attempt_id="a-2"), key="2", now=NOW)
    assert [call.key for call in switchboard.calls_of("a-2")] == ["2"]
    assert switchboard.calls_of("a-3") == ()


def test_the_oldest_calls_are_forgotten_with_their_keys() -> None:
    switchboard = Switchboard(remembered=3)
    for number in range(5):
        switchboard.decide(order(reminder_id=f"r-{number}"), key=f"{number}", now=NOW)
    assert [call.key for call in switchboard.calls] == ["2", "3", "4"]
    forgotten = switchboard.decide(order(), key="0", now=NOW)
    assert isinstance(forgotten, Placed)
    assert not forgotten.repeated


def test_a_call_that_is_forgotten_does_not_move_any_more() -> None:
    assert Switchboard().moved("no-such-call", "ringing") is None


def test_the_message_shows_in_no_representation() -> None:
    assert "Hello" not in repr(order())
