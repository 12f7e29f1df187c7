"""Test days of a clinic in seconds: files dropped, patients called, results received, the real program killed."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from tests.chaos.day_promises import LATE, Wanted, broken_calls, broken_results, is_sure
from tests.chaos.days import some_days
from tests.support.builders import HOUR, NOW, SECOND


@pytest.mark.chaos
async def test_files_become_calls_and_calls_become_results_through_every_kill(tmp_path: Path) -> None:
    async with some_days(tmp_path, seed=1) as days:
        broken = list(days.broken())
        assert not broken, "\n".join(broken[:30])
        assert set(days.happened) >= {"move", "cancel", "delete", "killed in an import", "killed in planning"}
        assert days.happened["killed at a delivery"] == 2, "not every moment was met"
        assert days.provider.strikes.total() == 1
        assert days.received.refused > 0, "every result was accepted at once"
        facts = [
            (one, following)
            for facts in days.wanted.values()
            for one, following in zip(facts, [*facts[1:], None], strict=True)
        ]
        now = max(days.provider.rang_at.values())
        assert sum(is_sure(one, following, now) for one, following in facts) > 8, "hardly a call was sure to come"
        assert sum(one.call_at is None for one, _ in facts) > 3, "hardly anything was cancelled"


@define
class Scene:
    """Two appointments, one called at its time and the other cancelled before, and what was received."""

    wanted: dict[str, list[Wanted]] = field(
        factory=lambda: {
            "A-1": [Wanted(since=NOW, before=NOW, call_at=NOW + HOUR)],
            "A-2": [
                Wanted(since=NOW, before=NOW, call_at=NOW + 3 * HOUR),
                Wanted(since=NOW + HOUR, before=NOW + HOUR - SECOND, call_at=None),
            ],
        }
    )
    called: dict[str, list[Any]] = field(factory=lambda: {"A-1": [NOW + HOUR]})
    stored: list[tuple[str, str]] = field(factory=lambda: [("e1", "r1"), ("e2", "r2"), ("e3", "r1")])
    accepted: list[str] = field(factory=lambda: ["e2", "e1", "e3"])
    by_staff: set[Any] = field(factory=set)

    def broken(self, *, after: timedelta = 9 * HOUR) -> str:
        received = [{"id": one} for one in self.accepted]
        return "; ".join(
            [
                *broken_calls(self.wanted, self.called, self.by_staff, NOW + after),
                *broken_results(self.stored, received, repeats=1),
            ]
        )


def test_days_as_they_should_be_break_no_promise() -> None:
    assert Scene().broken() == ""


def _calls_a_cancelled_one(scene: Scene) -> None:
    scene.called["A-2"] = [NOW + 3 * HOUR]


def _calls_at_the_former_time(scene: Scene) -> None:
    scene.wanted["A-2"][1] = Wanted(since=NOW + HOUR, before=NOW + HOUR, call_at=NOW + 4 * HOUR)
    scene.called["A-2"] = [NOW + 3 * HOUR, NOW + 4 * HOUR]


def _calls_nobody(scene: Scene) -> None:
    scene.called.clear()


def _loses_a_change(scene: Scene) -> None:
    scene.accepted.remove("e3")


def _receives_what_is_not_on_record(scene: Scene) -> None:
    scene.accepted.append("e4")


def _repeats(scene: Scene) -> None:
    scene.accepted += ["e1", "e2"]


def _reorders(scene: Scene) -> None:
    scene.accepted = ["e3", "e2", "e1"]


@pytest.mark.parametrize(
    ("breaks", "sentence"),
    [
        (_calls_a_cancelled_one, "A-2: called, and it was known that it does not take place"),
        (_calls_at_the_former_time, "A-2: called before its time"),
        (_calls_nobody, "A-1: not called"),
        (_loses_a_change, "1 were never received"),
        (_receives_what_is_not_on_record, "1 are not on record"),
        (_repeats, "2 came again"),
        (_reorders, "the changes of r1 came in another order"),
    ],
)
def test_a_broken_promise_of_the_days_is_reported(breaks: Callable[[Scene], None], sentence: str) -> None:
    scene = Scene()
    breaks(scene)
    assert sentence in scene.broken()


def test_nobody_is_missed_who_became_known_just_before_the_time_of_the_call() -> None:
    scene = Scene()
    scene.called.clear()
    scene.wanted["A-1"] = [Wanted(since=NOW + HOUR - LATE, before=NOW, call_at=NOW + HOUR)]
    assert scene.broken() == ""


def test_nobody_is_missed_before_the_time_or_who_failed_for_staff() -> None:
    scene = Scene()
    scene.called.clear()
    assert scene.broken(after=HOUR - SECOND) == ""
    scene.by_staff.add(("A-1", NOW + HOUR))
    assert scene.broken() == ""
