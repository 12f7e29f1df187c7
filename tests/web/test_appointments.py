"""Appointments over the API: added with their reminders, moved, looked up and cancelled."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.support.api import Api, an_api
from tests.support.databases import ON_EACH_ENGINE

pytestmark = ON_EACH_ENGINE

PLANNING = """
[messages.templates]
visit = "Your appointment is on {date} at {time}."

[reminders]
before = ["3 days", "1 day at 10:00"]
template = "visit"
"""
APPOINTMENT = {"phone_number": "+12025550100", "at": "2999-03-10 14:00", "ref": "A-1"}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    (tmp_path / "config.toml").write_text(PLANNING, encoding="utf-8")
    async with an_api(tmp_path) as opened:
        yield opened


async def post(api: Api, body: Any) -> tuple[int, Any]:
    answer = await api.client.post("/api/appointments", json=body)
    return answer.status_code, answer.json()


async def test_an_appointment_is_added_with_its_reminders(api: Api) -> None:
    answer = await api.client.post("/api/appointments", json=APPOINTMENT)
    added = answer.json()
    assert (answer.status_code, added["at"], added["status"]) == (201, "2999-03-10T13:00:00.000+00:00", "booked")
    assert [(one["cadence"], one["scheduled_at"]) for one in added["reminders"]] == [
        ("3 days", "2999-03-07T13:00:00.000+00:00"),
        ("1 day at 10:00", "2999-03-09T09:00:00.000+00:00"),
    ]
    assert added["warnings"] == []
    assert "message" not in str(added)
    found = (await api.client.get(answer.headers["Location"])).json()
    assert found == {name: value for name, value in added.items() if name != "warnings"}
    assert (await post(api, APPOINTMENT))[0] == 200


async def test_a_list_is_stored_as_a_whole_or_not_at_all(api: Api) -> None:
    other = APPOINTMENT | {"ref": "A-2"}
    status, stored = await post(api, [APPOINTMENT, other])
    assert (status, [one["ref"] for one in stored["appointments"]]) == (201, ["A-1", "A-2"])
    status, refused = await post(
        api, [APPOINTMENT | {"ref": "A-3"}, APPOINTMENT | {"ref": "A-4", "at": "2020-01-01 9:00"}]
    )
    assert (status, [error["pointer"] for error in refused["errors"]]) == (400, ["/1"])
    assert await api.count("appointments") == 2


async def test_another_time_moves_it_and_delete_cancels_it(api: Api) -> None:
    await post(api, APPOINTMENT)
    status, moved = await post(api, APPOINTMENT | {"at": "2999-03-11 14:00"})
    assert (status, [one["end_code"] for one in moved["reminders"] if one["status"] == "cancelled"]) == (
        200,
        ["appointment_moved"] * 2,
    )
    for _ in range(2):
        answer = await api.client.delete("/api/appointments/A-1")
        assert (answer.status_code, answer.json()["status"], answer.json()["end_code"]) == (
            200,
            "cancelled",
            "withdrawn",
        )
        assert {one["status"] for one in answer.json()["reminders"]} == {"cancelled"}
    status, again = await post(api, APPOINTMENT)
    assert (status, again["status"]) == (200, "booked")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_an_unknown_one_is_not_found(api: Api, method: str) -> None:
    answer = await api.client.request(method, "/api/appointments/nobody")
    assert (answer.status_code, answer.json()["detail"]) == (404, "no appointment has this id or ref")


async def test_every_mistake_is_listed(api: Api) -> None:
    status, problem = await post(
        api, {"phone_number": "12", "at": "soon", "name": 7, "message": "x", "timezone": "EST"}
    )
    assert status == 400
    assert {error["pointer"] for error in problem["errors"]} == {
        "/phone_number",
        "/at",
        "/name",
        "/message",
        "/timezone",
    }
    answer = await api.client.post("/api/appointments", content=b"x", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415


async def test_without_a_cadence_appointments_are_refused(tmp_path: Path) -> None:
    async with an_api(tmp_path) as api:
        status, problem = await post(api, APPOINTMENT)
    assert status == 400
    assert "[reminders].before" in problem["errors"][0]["detail"]


async def test_every_field_of_an_answer_is_documented(api: Api) -> None:
    document = (await api.client.get("/api/openapi.json")).json()
    answers = [
        ("StoredAppointments", (await post(api, APPOINTMENT))[1]),
        ("StoredAppointments", (await post(api, [APPOINTMENT]))[1]),
        ("Appointment", (await api.client.get("/api/appointments/A-1")).json()),
        ("Problem", (await post(api, {}))[1]),
    ]
    for name, content in answers:
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        Draft202012Validator(schema).validate(content)
