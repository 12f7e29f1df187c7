from datetime import timedelta

import pytest

from reminderd.core.answers import Accepted, AccountRefused, NotPlaced
from reminderd.core.model import Call, CallState
from reminderd.core.rules import Backoff
from reminderd.engine.breaker import BETWEEN_PROBES, AddressPause, Breaker, PauseChange
from tests.support.builders import MINUTE, NOW, a_call

ACCEPTED = Accepted("ext-1")
DRAW = 0.0  # every pause is half its ceiling


def a_pause(*, failing: bool = True) -> AddressPause:
    pause = AddressPause(Backoff(timedelta(seconds=100), timedelta(seconds=400)))
    if failing:
        assert pause.update(NOW, 0.0, DRAW) is PauseChange.BEGAN
    return pause


def a_probe(number: str = "+12025550001") -> Call:
    return a_call(CallState.DIALING, id="probe", phone_number=number)


def test_a_working_address_limits_nothing() -> None:
    pause = a_pause(failing=False)
    assert (pause.request_limit(0.0), pause.next_at(7.0), pause.reason, pause.last_resort) == (
        None,
        7.0,
        None,
        frozenset(),
    )
    assert pause.update(None, 0.0, DRAW) is None


def test_a_failing_address_pauses_all_dialing_and_names_the_key() -> None:
    pause = a_pause()
    assert (pause.request_limit(49.9), pause.next_at(0.0), pause.request_limit(50.0)) == (0, 50.0, 1)
    assert "[web].public_base_url" in (pause.reason or "")
    assert pause.update(NOW, 10.0, DRAW) is None, "it is the same pause"


def test_the_pause_ends_when_the_database_says_so_and_the_next_one_is_short() -> None:
    pause = a_pause()
    pause.note_sending("probe")
    pause.note_answer(a_probe(), ACCEPTED, 50.0, DRAW)
    pause.note_withdrawn("probe")
    assert pause.update(None, 60.0, DRAW) is PauseChange.ENDED
    assert (pause.request_limit(60.0), pause.reason, pause.last_resort) == (None, None, frozenset())
    assert pause.update(NOW + MINUTE, 100.0, DRAW) is PauseChange.BEGAN
    assert pause.next_at(100.0) == 150.0


def test_each_probe_that_is_accepted_is_the_only_one_for_longer() -> None:
    pause, now, waits = a_pause(), 50.0, []
    for number in range(4):
        pause.note_sending("probe")
        assert pause.request_limit(now) == 0, "one is in flight"
        pause.note_answer(a_probe(f"+1202555000{number}"), ACCEPTED, now, DRAW)
        pause.note_withdrawn("probe")
        waits.append(pause.next_at(now) - now)
        now = pause.next_at(now)
    assert waits == [100.0, 200.0, 200.0, 200.0]
    assert len(pause.last_resort) == 4, "another patient is called next"


@pytest.mark.parametrize("answer", [NotPlaced("503"), AccountRefused("401")], ids=["not placed", "account"])
def test_after_a_probe_that_was_not_placed_another_may_go(answer: NotPlaced | AccountRefused) -> None:
    pause = a_pause()
    pause.note_sending("probe")
    pause.note_answer(a_probe(), answer, 50.0, DRAW)
    pause.note_withdrawn("probe")
    assert (pause.request_limit(50.0), pause.last_resort) == (1, frozenset())


def test_an_older_request_that_is_accepted_is_no_probe() -> None:
    pause = a_pause(failing=False)
    pause.note_sending("older")
    pause.update(NOW, 0.0, DRAW)
    pause.note_answer(a_call(CallState.DIALING, id="older"), ACCEPTED, 60.0, DRAW)
    assert pause.request_limit(60.0) == 1


def test_a_reload_allows_a_probe_at_once() -> None:
    pause = a_pause()
    pause.probe_soon(1.0)
    assert pause.request_limit(1.0) == 1


def test_the_first_probe_waits_minutes_because_it_calls_a_patient() -> None:
    assert BETWEEN_PROBES.half_jitter(1, 0.0) >= timedelta(minutes=2)


def test_if_the_provider_fails_too_the_longer_pause_counts() -> None:
    pause = a_pause()
    breaker = Breaker(Backoff(timedelta(seconds=4), timedelta(seconds=300)), pause)
    assert (breaker.request_limit(0.0), breaker.next_at(0.0), breaker.paused) == (0, 50.0, False)
    breaker.note_answer(a_call(), AccountRefused("401"), 49.0, DRAW)
    assert (breaker.request_limit(50.0), breaker.next_at(49.0)) == (0, 51.0)
    assert breaker.request_limit(51.0) == 1
    breaker.note_sending("probe")
    assert breaker.note_answer(a_probe(), ACCEPTED, 51.0, DRAW) is PauseChange.ENDED
    assert breaker.request_limit(52.0) == 0, "an acceptance says nothing of our address"
    assert breaker.last_resort == {a_probe().phone_number}


def test_with_a_working_address_only_the_provider_decides() -> None:
    breaker = Breaker(Backoff(timedelta(seconds=4), timedelta(seconds=300)))
    breaker.note_answer(a_call(), AccountRefused("401"), 0.0, DRAW)
    assert (breaker.request_limit(1.0), breaker.request_limit(2.0)) == (0, 1)
