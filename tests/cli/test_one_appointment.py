"""The commands about appointments: add, list, show, move, cancel."""

from datetime import timedelta
from typing import Any

import pytest

from reminderd.clock import SystemClock
from tests.cli.conftest import Terminal

PLANNING = """
[calling]
timezone = "Europe/Berlin"

[messages.templates]
visit = "Your appointment is on {date} at {time}."

[reminders]
before = ["3 days", "1 day at 10:00"]
template = "visit"
"""
ADD = ("appointment", "add", "--phone", "+49 30 123456", "--at", "2030-01-10 09:30", "--ref", "A-1")


@pytest.fixture
def desk(terminal: Terminal) -> Terminal:
    (terminal.folder / "config.toml").write_text(PLANNING, encoding="utf-8")
    return terminal


def waiting(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["cadence"], one["scheduled_at"]) for one in found["reminders"] if one["status"] == "scheduled"]


def test_an_added_appointment_has_its_calls_planned(desk: Terminal) -> None:
    printed = desk.type(*ADD, "--name", "Ada").stdout
    assert "call planned for 2030-01-07 09:30:00 (3 days)" in printed
    assert "call planned for 2030-01-09 10:00:00 (1 day at 10:00)" in printed
    found = desk.json("appointment", "show", "A-1")
    assert (found["phone_number"], found["name"], found["at"]) == (
        "+4930123456",
        "Ada",
        "2030-01-10T09:30:00.000+01:00",
    )
    assert waiting(found) == [
        ("3 days", "2030-01-07T09:30:00.000+01:00"),
        ("1 day at 10:00", "2030-01-09T10:00:00.000+01:00"),
    ]
    assert desk.json("appointment", "list", "--date", "2030-01-10")[0]["id"] == found["id"]
    assert desk.type("appointment", "list", "--date", "2030-01-11").stdout == "no appointments\n"
    assert "A-1" in desk.type("appointment", "list").stdout
    assert "3 days" in desk.type("appointment", "show", "A-1").stdout


def test_every_mistake_is_reported_with_its_option(desk: Terminal) -> None:
    result = desk.type("appointment", "add", "--phone", "x", "--at", "soon", "--template", "none", code=2)
    assert all(f"{option}:" in result.stderr for option in ("--phone", "--at", "--template"))


def test_without_a_cadence_nothing_is_added(terminal: Terminal) -> None:
    assert "[reminders].before" in terminal.type(*ADD, code=2).stderr


def test_a_ref_that_is_taken_or_a_time_that_is_over_is_refused(desk: Terminal) -> None:
    desk.type(*ADD)
    assert "has this ref already" in desk.type(*ADD, code=1).stderr
    words = ("appointment", "add", "--phone", "+49 30 123456", "--at", "2020-01-10 09:30")
    assert "not added: too late" in desk.type(*words, code=1).stderr


def test_the_same_without_a_ref_is_there_already(desk: Terminal) -> None:
    words = ADD[:-2]
    assert desk.json(*words)["id"] == desk.json(*words)["id"]
    assert "is there already, unchanged" in desk.type(*words).stdout


def test_a_moved_appointment_has_its_calls_planned_again(desk: Terminal) -> None:
    desk.type(*ADD)
    assert "call planned for 2030-01-08" in desk.type("appointment", "move", "A-1", "--to", "2030-01-11 09:30").stdout
    found = desk.json("appointment", "show", "A-1")
    assert [at for _, at in waiting(found)] == ["2030-01-08T09:30:00.000+01:00", "2030-01-10T10:00:00.000+01:00"]
    assert (
        "not moved: the new time is in the past"
        in desk.type("appointment", "move", "A-1", "--to", "2020-01-01 9:00", code=1).stderr
    )
    assert "--to" in desk.type("appointment", "move", "A-1", "--to", "soon", code=2).stderr


def test_a_cancelled_appointment_calls_nobody(desk: Terminal) -> None:
    desk.type(*ADD)
    assert waiting(desk.json("appointment", "cancel", "A-1")) == []
    assert {row["status"] for row in desk.json("list")} == {"cancelled"}
    assert "is cancelled already" in desk.type("appointment", "cancel", "A-1", code=1).stderr


@pytest.mark.parametrize("words", [("show", "x"), ("cancel", "x"), ("move", "x", "--to", "2030-01-01 9:00")])
def test_an_unknown_name_is_named(desk: Terminal, words: tuple[str, ...]) -> None:
    desk.type(*ADD)
    assert "no appointment has the id or ref x" in desk.type("appointment", *words, code=1).stderr


def test_the_ref_of_an_appointment_leads_to_the_ids_of_its_reminders(desk: Terminal) -> None:
    desk.type(*ADD)
    error = desk.type("show", "A-1", code=1).stderr
    assert "A-1 is an appointment" in error
    assert "reminderd appointment show A-1" in error


@pytest.mark.parametrize("command", ["done", "cancel", "accept", "call-again"])
def test_an_act_by_the_ref_of_an_appointment_names_its_reminders_if_it_may_mean_several(
    desk: Terminal, command: str
) -> None:
    desk.type(*ADD)
    error = desk.type(command, "A-1", code=1).stderr
    assert "appointment A-1" in error
    assert all(row["id"] in error for row in desk.json("list"))


def test_an_appointment_that_is_booked_too_late_says_once_that_nobody_is_called(desk: Terminal) -> None:
    soon = SystemClock().now() + timedelta(hours=1)
    result = desk.type("appointment", "add", "--phone", "+49 30 123456", "--at", f"{soon:%Y-%m-%d %H:%MZ}")
    assert "nobody will be called" in result.stderr
    assert "note:" not in result.stdout
    assert "no reminders" in desk.type("appointment", "show", result.stdout.split()[1]).stdout


def test_a_reminder_names_its_appointment(desk: Terminal) -> None:
    desk.type(*ADD)
    found = desk.json("appointment", "show", "A-1")
    reminder = found["reminders"][0]
    assert reminder["appointment_id"] == found["id"]
    assert "A-1" in desk.type("show", reminder["id"]).stdout
    assert desk.json("show", reminder["id"])["appointment_ref"] == "A-1"


def test_lists_and_the_report_name_a_planned_reminder_by_its_appointments_ref(desk: Terminal) -> None:
    desk.type(*ADD)
    desk.add()
    assert [row.get("appointment_ref") for row in desk.json("list", "--date", "2030-01-07")] == ["A-1", None]
    assert "A-1" in desk.type("list", "--date", "2030-01-09").stdout
    assert [row["ref"] for row in desk.json("report", "--date", "2030-01-09")["reminders"]] == ["A-1"]
