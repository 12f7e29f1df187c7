"""What a process remembers of the calls that it has seen takes no more memory with the years."""

from datetime import timedelta

from reminderd.engine.context import Sightings
from tests.support.builders import NOW, a_call


def known_for(seen: Sightings, call_id: str, monotonic: float) -> timedelta:
    return seen.witness(monotonic).known_for(a_call(id=call_id))


def test_a_call_that_is_alive_is_never_forgotten_however_many_come_after_it() -> None:
    seen = Sightings()
    for second in range(30):
        others = [(f"{second}-{number}", NOW) for number in range(1_000)]
        seen.see([("alive", NOW), *others], second)
    assert known_for(seen, "alive", 30) == timedelta(seconds=30)
    assert known_for(seen, "29-999", 30) == timedelta(seconds=1)


def test_of_the_calls_that_have_ended_the_last_10_000_are_remembered() -> None:
    seen = Sightings()
    for second in range(30):
        seen.see([(f"{second}-{number}", NOW) for number in range(1_000)], second)
    first = seen.witness(30).first
    assert len(first) == 10_000
    assert known_for(seen, "20-0", 30) == timedelta(seconds=10)
    assert known_for(seen, "19-999", 30) == timedelta(0)


def test_more_than_10_000_calls_may_be_alive() -> None:
    seen = Sightings()
    alive = [(str(number), NOW) for number in range(12_000)]
    for second in range(3):
        seen.see(alive, second)
    assert known_for(seen, "0", 3) == known_for(seen, "11999", 3) == timedelta(seconds=3)
