"""Break each promise about appointments in whole-program histories once."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve, field

from reminderd.core.model import Reminder, Status
from reminderd.core.reasons import EndCode
from reminderd.core.rules import Rules
from tests.chaos.appointments import (
    Diary,
    Visit,
    broken_by_a_call,
    broken_by_what_is_spoken,
    broken_in_the_plans,
    spoken_of,
    subjects_of,
    wanted_at,
)
from tests.chaos.carrier import CarrierCall
from tests.chaos.configurations import OFFICE_HOURS, WEEKDAY_MORNINGS, Account, Configuration
from tests.support.appointments import AT
from tests.support.builders import ACCOUNT, BOTH, DAY, HOUR, MINUTE, NO_HOURS
from tests.support.store import Store, a_store

PHONE, OTHER = "+12025550001", "+12025550002"
GENERIC = Account(provider="generic", account=ACCOUNT, capabilities=BOTH)
ANOTHER = (
    "INSERT INTO reminders (id, phone_number, message, scheduled_at, cadence, appointment_id, planned_at)"
    " SELECT 'n2', '', '', {}, {}, appointment_id, planned_at FROM reminders"
)
TEXT = "Visit v-1 on Monday, March 9 at 2:00 PM."


@define
class Scene:
    """An appointment, the call that is planned a day before it, and that call at its time."""

    rules: Rules = field(factory=lambda: Configuration(account=GENERIC).rules)
    now: datetime = AT - DAY
    visit: Visit = field(factory=lambda: Visit(name="v-1", life=1, phone_number=PHONE, at=AT))
    reminder: Reminder = field(
        factory=lambda: Reminder(
            id="n1",
            phone_number=PHONE,
            message=TEXT,
            scheduled_at=AT - DAY,
            appointment_id="v-1-1",
            planned_at=AT,
            cadence="1 day",
        )
    )
    diary: Diary = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.diary = Diary({"v-1": self.visit})

    @property
    def call(self) -> CarrierCall:
        subjects = subjects_of([self.reminder], self.diary)
        facts: dict[str, Any] = {
            "key": "k",
            "reminder_id": "n1",
            "call_id": "ext-0",
            "at": 0,
            "began": 0.0,
            "sign_at": 0.0,
        }
        return CarrierCall(phone_number=PHONE, account=GENERIC, subjects=subjects, spoken=subjects, **facts)

    def broken(self, message: str = TEXT) -> str:
        return "; ".join(broken_by_a_call(self.call, message, [self.reminder], self.rules, self.now, self.diary))


def test_a_planned_call_at_its_time_breaks_no_promise() -> None:
    assert Scene().broken() == ""
    assert list(broken_by_what_is_spoken(TEXT, Scene().diary)) == []


def _cancels(scene: Scene) -> None:
    scene.visit.is_cancelled = True


def _answers(scene: Scene) -> None:
    scene.diary.note_answer(scene.call)


def _calls_manually(scene: Scene) -> None:
    scene.visit.done_for.add(AT)


def _moves(scene: Scene) -> None:
    scene.visit.at = AT + HOUR


def _deletes(scene: Scene) -> None:
    del scene.diary.visits["v-1"]


def _changes_the_number(scene: Scene) -> None:
    scene.visit.phone_number = OTHER


def _holds(scene: Scene) -> None:
    scene.visit.is_held = True


def _is_early(scene: Scene) -> None:
    scene.now -= MINUTE


def _is_late(scene: Scene) -> None:
    scene.now = AT


def _closes(scene: Scene) -> None:
    scene.rules = evolve(scene.rules, calling_hours=NO_HOURS)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (_cancels, "v-1, which is cancelled"),
        (_answers, "which the patient has answered for"),
        (_calls_manually, "for which staff have called already"),
        (_moves, "at a time that it was moved from"),
        (_moves, "speaks of v-1 at another time than it has"),
        (_deletes, "which was deleted"),
        (_changes_the_number, "which has another number now"),
        (_holds, "whose new number nobody has accepted"),
        (_is_early, "before its planned time"),
        (_is_late, "after its appointment"),
        (_closes, "outside the calling hours"),
    ],
)
def test_a_call_that_contradicts_the_diary_is_reported(changes: Callable[[Scene], None], sentence: str) -> None:
    scene = Scene()
    changes(scene)
    assert sentence in scene.broken()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [(_cancels, "which is cancelled"), (_moves, "at another time than it has"), (_deletes, "which was deleted")],
)
def test_what_a_patient_hears_of_an_appointment_that_has_changed_is_reported(
    changes: Callable[[Scene], None], sentence: str
) -> None:
    scene = Scene()
    changes(scene)
    assert sentence in "; ".join(broken_by_what_is_spoken(TEXT, scene.diary))


def test_a_planned_call_is_recognized_in_what_is_spoken_whatever_its_row() -> None:
    scene = Scene()
    [subject] = scene.call.subjects
    assert subjects_of([evolve(scene.reminder, id="n9")], scene.diary) == (subject,)
    assert spoken_of(scene.call, TEXT, lambda _: ()) == [subject]
    assert spoken_of(scene.call, TEXT.replace("v-1", "v-2"), lambda _: ()) == []


@pytest.mark.parametrize(
    ("cadence", "hours", "at"),
    [
        ("1 day", OFFICE_HOURS, AT - DAY),
        ("1 day at 10:00", OFFICE_HOURS, (AT - DAY).replace(hour=10)),
        ("20 hours", OFFICE_HOURS, (AT - DAY).replace(hour=8)),
        ("2 days", WEEKDAY_MORNINGS, (AT - 3 * DAY).replace(hour=9)),
        ("1 day", NO_HOURS, None),
    ],
)
def test_a_call_is_wanted_at_its_moment_or_at_the_opening_before(cadence: str, hours: Any, at: datetime | None) -> None:
    assert wanted_at(cadence, AT, hours) == at


# The database


@define
class Clinic:
    """The scene's appointment in a database, planned."""

    store: Store
    diary: Diary

    def broken(self, now: datetime = AT - 2 * DAY) -> str:
        return "; ".join(broken_in_the_plans(self.store.connection, self.diary, now))

    def run(self, sql: str) -> None:
        self.store.connection.execute(sql)


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    scene = Scene()
    with a_store(tmp_path / "clinic.db", scene.rules) as store:
        clinic = Clinic(store, scene.diary)
        at = int(AT.timestamp() * 1000)
        clinic.run(
            "INSERT INTO appointments (id, ref, phone_number, at, name, revision, planned_at)"
            f" VALUES ('v-1-1', 'v-1', '{PHONE}', {at}, 'v-1', 1, {at})"
        )
        clinic.run(
            "INSERT INTO reminders (id, phone_number, message, scheduled_at, appointment_id, planned_at, cadence)"
            f" VALUES ('n1', '{PHONE}', '{TEXT}', {at - 86_400_000}, 'v-1-1', {at}, '1 day')"
        )
        scene.diary.note_plan({"v-1-1"}, scene.rules)
        assert clinic.broken() == ""
        yield clinic


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        ("DELETE FROM appointments", "v-1-1: in the diary or in the database only"),
        ("DELETE FROM reminders", "n1: planned for v-1-1, and not on record anymore"),
        ("UPDATE reminders SET cadence = '2 days'", "not on record anymore"),
        ("UPDATE appointments SET phone_number = 'other'", "another number, time or status"),
        ("UPDATE reminders SET status = 'cancelled', end_code = 'not_planned'", "nobody is going to call"),
        ("UPDATE reminders SET planned_at = 0", "waits for a time that it was moved from"),
        (ANOTHER.format("scheduled_at", "NULL"), "n2: planned, and nobody knows by what"),
        (ANOTHER.format("scheduled_at + 1", "cadence"), "n2: planned at"),
        (ANOTHER.format("scheduled_at", "cadence"), "two calls wait for the same moment"),
    ],
)
def test_a_plan_that_contradicts_the_diary_is_reported(clinic: Clinic, sql: str, sentence: str) -> None:
    clinic.run(sql)
    assert sentence in clinic.broken()


def test_a_call_that_waits_though_nobody_needs_it_is_reported(clinic: Clinic) -> None:
    clinic.diary.visits["v-1"].done_for.add(AT)
    assert "for which staff have called already: 1 day is scheduled" in clinic.broken()
    clinic.run(f"UPDATE reminders SET status = '{Status.CANCELLED}', end_code = '{EndCode.DONE_BY_STAFF}'")
    assert clinic.broken() == ""


def test_a_call_whose_moment_is_over_is_not_missed(clinic: Clinic) -> None:
    clinic.run("UPDATE reminders SET status = 'cancelled', end_code = 'not_planned'")
    assert clinic.broken(AT - DAY + timedelta(seconds=1)) == ""
