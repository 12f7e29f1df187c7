"""Acts on a reminder by the name of its appointment, which is the one that staff know."""

from typing import Any

import pytest

from reminderd.store.rows import to_ms
from reminderd.store.sqlite.opening import open_sync
from tests.cli.conftest import Terminal
from tests.support.builders import NOW
from tests.support.rows import insert_row

LATER = to_ms(NOW) + 10 * 365 * 86_400_000


@pytest.fixture
def clinic(terminal: Terminal) -> Terminal:
    with open_sync(terminal.folder / "reminderd.db") as connection:
        row = {"id": "visit", "ref": "A7", "phone_number": "+4930123456", "at": LATER, "planned_at": LATER}
        insert_row(connection, "appointments", row | {"revision": 1})
    return terminal


def insert(terminal: Terminal, name: str, **columns: Any) -> None:
    row = {"id": name, "phone_number": "+4930123456", "message": "Hello", "scheduled_at": LATER - 86_400_000}
    with open_sync(terminal.folder / "reminderd.db") as connection:
        insert_row(connection, "reminders", row | {"appointment_id": "visit", "planned_at": LATER} | columns)


@pytest.mark.parametrize(
    ("command", "acted_on", "status"),
    [("cancel", "waits", "cancelled"), ("call-again", "failed", "scheduled")],
)
@pytest.mark.parametrize("name", ["A7", "visit"])
def test_an_act_is_done_where_only_one_reminder_allows_it(
    clinic: Terminal, command: str, acted_on: str, status: str, name: str
) -> None:
    insert(clinic, "waits")
    insert(clinic, "failed", status="failed", end_code="not_answered")
    found = clinic.json(command, name)
    assert (found["id"], found["status"]) == (acted_on, status)


def test_where_several_allow_it_their_ids_are_listed(clinic: Terminal) -> None:
    insert(clinic, "waits")
    insert(clinic, "failed", status="failed", end_code="not_answered")
    insert(clinic, "reached", status="called")
    said = clinic.type("done", "A7", code=1).stderr.splitlines()
    assert said[0] == "not noted: 2 of the reminders of the appointment A7 allow it; expected the id of one"
    assert [line.split(",")[0].strip() for line in said[1:]] == ["failed", "waits"]
    assert said[1].endswith(": failed")
    assert clinic.json("show", "waits")["status"] == "scheduled"


def test_where_none_allows_it_each_reason_is_given(clinic: Terminal) -> None:
    insert(clinic, "reached", status="called")
    insert(clinic, "over", status="expired", end_code="too_late")
    said = clinic.type("cancel", "A7", code=1).stderr.splitlines()
    assert said[0] == "not cancelled: no reminder of the appointment A7 allows it"
    assert said[1].endswith(": the reminder is already final (status: expired)")
    assert said[2].endswith(": the patient has already been reached (status: called)")


def test_show_still_asks_for_a_reminder(clinic: Terminal) -> None:
    insert(clinic, "waits")
    assert "A7 is an appointment, and may have several reminders" in clinic.type("show", "A7", code=1).stderr
