"""Break each promise of `oracle.py` once, and test that no exception is wider than documented."""

import ast
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from attrs import define, evolve, field

from tests.month import oracle
from tests.month.house import House
from tests.month.oracle import Answered, Down, End, Event, Known, Month, Ring, broken
from tests.support.builders import DAY, MINUTE, SECOND

ZONE = ZoneInfo("America/New_York")
HOUSE = House(
    zone=ZONE,
    hours={day: (time(9), time(19)) for day in range(5)} | {5: (time(9), time(12, 30))},
    holidays=frozenset({date(2026, 3, 17)}),
    before=("3 days", "1 day at 10:00"),
)


def local(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-{text}").replace(tzinfo=ZONE).astimezone(UTC)


AT = local("03-12T14:00")
FIRST, SECOND_CALL = local("03-09T14:00"), local("03-11T10:00")
UNTIL = local("03-20T00:00")
PHONE, OTHER = "+12025550101", "+12025550102"


@pytest.mark.parametrize(
    ("appointment", "calls"),
    [
        ("03-12T14:00", ["03-09T14:00", "03-11T10:00"]),
        ("03-12T08:00", ["03-07T09:00", "03-11T10:00"]),  # 8:00 is before the hours of Monday, and Sunday has none
        ("03-16T11:00", ["03-13T11:00", "03-14T09:00"]),  # the day before is a Sunday
        ("03-16T20:00", ["03-13T09:00", "03-14T09:00"]),  # after the hours of Friday: its start
        ("03-18T11:00", ["03-14T09:00", "03-16T09:00"]),  # Sunday and a holiday are before it
        ("03-10T11:00", ["03-07T11:00", "03-09T10:00"]),  # the clock is put forward in between
        ("03-17T15:00", ["03-14T09:00", "03-16T10:00"]),  # after the hours of Saturday
    ],
)
def test_the_oracles_calendar_is_that_of_the_documents(appointment: str, calls: list[str]) -> None:
    assert HOUSE.planned(local(appointment)) == [local(one) for one in calls]


def test_two_entries_at_the_same_moment_make_one_call() -> None:
    twice = evolve(HOUSE, before=("2 days", "1 day at 10:00"))
    assert twice.planned(local("03-16T20:00")) == [local("03-14T09:00")]


def test_the_oracle_knows_nothing_of_the_program() -> None:
    texts = [Path(__file__).with_name(name).read_text("utf-8") for name in ("house.py", "oracle.py")]
    nodes = [node for text in texts for node in ast.walk(ast.parse(text))]
    names = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    names += [one.name for node in nodes if isinstance(node, ast.Import) for one in node.names]
    assert [name for name in names if name.startswith(("reminderd", "tests"))] == ["tests.month.house"]


@define
class Scene:
    """An appointment with its two calls and the correct results about them."""

    month: Month = field(factory=Month)

    def __attrs_post_init__(self) -> None:
        self.knows(local("03-02T06:00"), AT)
        self.calls("r1", FIRST)
        self.calls("r2", SECOND_CALL)

    @property
    def rings(self) -> list[Ring]:
        return self.month.rings

    def knows(self, since: datetime, at: datetime | None, phone: str = PHONE, ref: str = "A-1") -> None:
        self.month.known[ref].append(Known(since=since, time=at, phone_number=phone))

    def calls(self, reminder: str, at: datetime, end: End = End.HEARD, ref: str = "A-1") -> Ring:
        over = at + 30 * SECOND
        ring = Ring(reminder=reminder, ref=ref, time=AT, phone_number=PHONE, at=at, over=over, end=end)
        self.month.rings.append(ring)
        self.month.rings.sort(key=lambda one: one.at)
        status = {End.HEARD: "called", End.NOT_NEEDED: "cancelled"}.get(end, "failed")
        self.receives(reminder, status)
        return ring

    def receives(self, reminder: str, status: str, response: str | None = None) -> Event:
        event = Event(
            id=f"{reminder} {status} {response}", subject=reminder, status=status, response=response, why=None
        )
        if all(one.status != status or one.response != response for one in self.of(reminder)):
            self.month.events.append(event)
            self.month.stored_events.append(event.id)
        return event

    def of(self, reminder: str) -> list[Event]:
        return [one for one in self.month.events if one.subject == reminder]

    def answers(self, reminder: str, at: datetime, response: str = "confirmed") -> None:
        answer = Answered(ref="A-1", time=AT, at=at, response=response, phone_number=PHONE, reminder=reminder)
        self.month.answers.append(answer)

    def forgets(self, reminder: str) -> None:
        """Remove a call and all its results."""
        self.month.rings = [one for one in self.month.rings if one.reminder != reminder]
        self.month.events = [one for one in self.month.events if one.subject != reminder]
        self.month.stored_events = [one.id for one in self.month.events]

    def broken(self, until: datetime = UNTIL) -> str:
        return "; ".join(broken(HOUSE, self.month, until=until))


def test_a_month_as_it_should_be_breaks_no_promise() -> None:
    assert Scene().broken() == ""


def _misses_a_call(scene: Scene) -> None:
    scene.forgets("r1")


def _is_late(scene: Scene) -> None:
    scene.rings[0].at += 3 * MINUTE
    scene.rings[0].over = scene.rings[0].at + 30 * SECOND


def _calls_again_late(scene: Scene) -> None:
    scene.rings[0].end = End.NOT_REACHED
    scene.calls("r1", FIRST + 19 * MINUTE)


def _knows_of_a_cancel(scene: Scene) -> None:
    scene.knows(local("03-10T06:00"), None)


def _knows_of_a_move(scene: Scene) -> None:
    scene.knows(local("03-10T06:00"), AT + 5 * MINUTE)


def _knows_another_number(scene: Scene) -> None:
    scene.knows(local("03-10T06:00"), AT, OTHER)


def _knows_nothing(scene: Scene) -> None:
    scene.month.known.clear()


def _confirms(scene: Scene) -> None:
    scene.answers("r1", FIRST + 20 * SECOND)
    scene.receives("r1", "called", "confirmed")
    scene.receives("A-1", "booked", "confirmed")


def _opts_out(scene: Scene) -> None:
    scene.month.answers.append(
        Answered(ref="A-9", time=AT, at=FIRST - DAY, response="opted_out", phone_number=PHONE, reminder="r9")
    )
    scene.receives("r9", "called", "opted_out")


def _calls_at_night(scene: Scene) -> None:
    scene.rings[1].at = local("03-11T19:00")


def _calls_too_late(scene: Scene) -> None:
    scene.rings[1].at = local("03-11T14:00")


def _calls_before_its_time(scene: Scene) -> None:
    scene.rings[0].at = local("03-09T13:59")


def _calls_twice(scene: Scene) -> None:
    scene.calls("r1", FIRST + 20 * MINUTE)


def _calls_again_under_another_name(scene: Scene) -> None:
    scene.calls("r3", FIRST + 20 * MINUTE)


def _calls_again_after_a_hang_up(scene: Scene) -> None:
    scene.rings[0].end = End.HUNG_UP
    scene.calls("r1", FIRST + 20 * MINUTE)


def _calls_again_too_soon(scene: Scene) -> None:
    scene.rings[0].end = End.NOT_REACHED
    scene.calls("r1", FIRST + 15 * MINUTE)


def _calls_four_times(scene: Scene) -> None:
    scene.rings[0].end = End.NOT_REACHED
    for number in range(1, 4):
        scene.calls("r1", FIRST + number * 16 * MINUTE, End.NOT_REACHED if number < 3 else End.HEARD)


def _does_not_call_again(scene: Scene) -> None:
    scene.rings[0].end = End.NOT_REACHED
    scene.month.events[0] = evolve(scene.month.events[0], status="failed")


def _calls_a_busy_number(scene: Scene) -> None:
    scene.knows(local("03-02T06:00"), AT, ref="A-2")
    scene.calls("q1", FIRST + 10 * SECOND, ref="A-2")
    scene.calls("q2", SECOND_CALL + MINUTE, ref="A-2")


def _loses_an_answer(scene: Scene) -> None:
    scene.answers("r2", SECOND_CALL + 20 * SECOND)
    scene.receives("A-1", "booked", "confirmed")


def _loses_an_answer_of_the_appointment(scene: Scene) -> None:
    scene.answers("r2", SECOND_CALL + 20 * SECOND)
    scene.receives("r2", "called", "confirmed")


def _tells_an_answer_twice(scene: Scene) -> None:
    scene.answers("r2", SECOND_CALL + 20 * SECOND)
    scene.receives("r2", "called", "confirmed")
    scene.receives("r2", "failed")
    scene.receives("r2", "cancelled", "confirmed")
    scene.receives("r2", "expired", "confirmed")
    scene.month.events.append(evolve(scene.month.events[-1], id="again", status="called"))
    scene.month.stored_events.append("again")
    scene.month.events[-2] = evolve(scene.month.events[-2], response=None)


def _makes_an_answer_up(scene: Scene) -> None:
    scene.receives("r2", "called", "confirmed")


def _tells_a_change_twice(scene: Scene) -> None:
    scene.month.events.append(evolve(scene.month.events[0], id="again"))
    scene.month.stored_events.append("again")


def _uses_an_id_twice(scene: Scene) -> None:
    scene.month.events[1] = evolve(scene.month.events[1], id=scene.month.events[0].id)


def _loses_a_change(scene: Scene) -> None:
    scene.month.stored_events.append("lost")


def _calls_it_reached(scene: Scene) -> None:
    scene.rings[1].end = End.HUNG_UP


@pytest.mark.parametrize(
    ("breaks", "sentence"),
    [
        (_misses_a_call, "not called at 03-09 18:00"),
        (_is_late, "called late, at 18:03:00"),
        (_calls_again_late, "called late, at 18:19:00 instead of 18:15:30"),
        (_knows_of_a_cancel, "which is cancelled"),
        (_knows_of_a_move, "which was moved"),
        (_knows_another_number, "which has another number"),
        (_knows_nothing, "of which nobody knows"),
        (_confirms, "the patient has answered: confirmed"),
        (_opts_out, "whose number has opted out"),
        (_calls_at_night, "outside the calling hours"),
        (_calls_too_late, "after its limit"),
        (_calls_before_its_time, "at a time that nobody has planned"),
        (_calls_twice, "called again after a call that ended: heard"),
        (_calls_again_under_another_name, "called again after a call that ended: heard"),
        (_calls_again_after_a_hang_up, "called again after a call that ended: hung up"),
        (_calls_again_too_soon, "called again too soon"),
        (_calls_four_times, "called 4 times"),
        (_does_not_call_again, "not called again"),
        (_calls_a_busy_number, "another call to the number is not over"),
        (_loses_an_answer, "confirmed came 0 times"),
        (_loses_an_answer_of_the_appointment, "confirmed came 0 times for the appointment, instead of 1 times"),
        (_tells_an_answer_twice, "confirmed came 3 times"),
        (_makes_an_answer_up, "an answer that nobody has given"),
        (_tells_a_change_twice, "the same change twice"),
        (_uses_an_id_twice, "an id came for two changes"),
        (_loses_a_change, "received only, or stored only"),
        (_calls_it_reached, "hung up, and the last change is called"),
    ],
)
def test_a_broken_promise_is_reported(breaks: Callable[[Scene], None], sentence: str) -> None:
    scene = Scene()
    breaks(scene)
    assert sentence in scene.broken()


def test_an_answer_comes_again_for_an_appointment_that_is_moved_back() -> None:
    scene = Scene()
    _confirms(scene)
    scene.forgets("r2")
    scene.knows(local("03-10T06:00"), AT + DAY)
    scene.receives("A-1", "booked")
    scene.knows(local("03-10T12:00"), AT)
    scene.month.events.append(evolve(scene.of("A-1")[0], id="again"))
    scene.month.stored_events.append("again")
    assert scene.broken() == ""
    scene.month.events.pop()
    assert "confirmed came 1 times for the appointment, instead of 2 times" in scene.broken()


def test_nobody_is_missed_who_was_booked_too_late() -> None:
    scene = Scene()
    scene.forgets("r1")
    scene.month.known["A-1"] = [Known(since=FIRST, time=AT, phone_number=PHONE)]
    assert scene.broken() == ""
    scene.month.known["A-1"] = [Known(since=FIRST - SECOND, time=AT, phone_number=PHONE)]
    assert "not called at" in scene.broken()


def test_nobody_is_missed_whose_appointment_was_cancelled_or_confirmed_in_time() -> None:
    scene = Scene()
    scene.forgets("r2")
    assert "not called at" in scene.broken()
    scene.knows(SECOND_CALL - SECOND, None)
    assert scene.broken() == ""
    confirmed = Scene()
    confirmed.forgets("r2")
    _confirms(confirmed)
    assert confirmed.broken() == ""


def test_a_call_may_be_late_while_no_daemon_runs_and_no_longer() -> None:
    scene = Scene()
    late = FIRST + 30 * MINUTE + oracle.AFTER_A_KILL
    scene.rings[0].at, scene.rings[0].over = late, late + 30 * SECOND
    assert "called late" in scene.broken()
    scene.month.downs.append(Down(since=FIRST - MINUTE, until=FIRST + 30 * MINUTE))
    assert scene.broken() == ""
    scene.rings[0].at += SECOND
    assert "called late" in scene.broken()
    scene.forgets("r1")
    assert scene.broken(until=late) == ""
    assert "not called at" in scene.broken(until=late + SECOND)


def test_a_call_may_be_late_while_its_number_is_busy_and_no_longer() -> None:
    scene = Scene()
    scene.forgets("r1")
    scene.knows(local("03-02T06:00"), AT, ref="A-2")
    busy = scene.calls("q1", FIRST - MINUTE, ref="A-2")
    scene.calls("q2", SECOND_CALL + MINUTE, ref="A-2")
    busy.over = FIRST + 10 * MINUTE
    assert "A-1" not in scene.broken(until=FIRST + 10 * MINUTE + oracle.SLACK)
    assert "A-1" in scene.broken(until=FIRST + 20 * MINUTE)


def test_a_reminder_that_was_heard_is_cancelled_only_if_that_became_known_in_the_call() -> None:
    scene = Scene()
    scene.month.events[1] = evolve(scene.month.events[1], status="cancelled")
    assert "heard, and the last change is cancelled" in scene.broken()
    scene.knows(SECOND_CALL + 20 * SECOND, None)
    assert scene.broken() == ""


def test_a_redial_is_not_missed_after_the_limit_or_the_last_call() -> None:
    scene = Scene()
    scene.rings[1].end = End.NOT_REACHED
    scene.month.events[1] = evolve(scene.month.events[1], status="failed")
    assert "not called again" in scene.broken()
    for number in (1, 2):
        scene.calls("r2", SECOND_CALL + number * 16 * MINUTE, End.NOT_REACHED)
    assert scene.broken() == ""


def test_a_call_may_be_late_while_a_request_to_its_number_is_unclear_and_no_longer() -> None:
    scene = Scene()
    kill = Down(since=FIRST + SECOND, until=FIRST + 3 * SECOND)
    late = kill.since + oracle.UNCLEAR_FOR
    scene.rings[0].at, scene.rings[0].over = late, late + 30 * SECOND
    scene.month.downs.append(kill)
    scene.knows(local("03-02T06:00"), AT, ref="A-2")
    scene.knows(FIRST + 4 * SECOND, None, ref="A-2")
    assert scene.broken() == ""
    scene.rings[0].at += SECOND
    assert "called late" in scene.broken()


@pytest.mark.parametrize(
    ("phone", "cancelled", "killed"),
    [
        (OTHER, FIRST + 4 * SECOND, FIRST + SECOND),  # the request was to another number
        (PHONE, FIRST - SECOND, FIRST + SECOND),  # it was never sent
        (PHONE, FIRST + 4 * SECOND, FIRST - SECOND),  # the process was killed before
        (PHONE, FIRST + 4 * SECOND, FIRST + 5 * MINUTE),  # its answer had come by then
    ],
)
def test_no_request_is_unclear_without_a_kill_just_then(phone: str, cancelled: datetime, killed: datetime) -> None:
    scene = Scene()
    late = FIRST + oracle.UNCLEAR_FOR
    scene.rings[0].at, scene.rings[0].over = late, late + 30 * SECOND
    scene.month.downs.append(Down(since=killed, until=killed + 2 * SECOND))
    scene.knows(local("03-02T06:00"), AT, phone=phone, ref="A-2")
    scene.knows(cancelled, None, ref="A-2")
    assert "called late" in scene.broken()
