"""The clinic's own system adds reminders, looks them up, and deletes them."""

from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from tests.support.api import TOKEN, an_api
from tests.support.databases import ON_EACH_ENGINE

pytestmark = ON_EACH_ENGINE

REMINDER: dict[str, Any] = {
    "phone_number": "+1 202 555-0147",
    "message": "Tomorrow at nine.",
    "scheduled_at": "2099-03-01T16:00:00+01:00",
    "ref": "appointment-1",
}


def is_a_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert told["status"] == status
    assert "5550147" not in answer.text
    return told


async def test_an_added_reminder_can_be_looked_up_by_id_and_by_ref(tmp_path: Path) -> None:
    async with an_api(tmp_path) as api:
        answer = await api.post(REMINDER)
        assert answer.status_code == 201
        stored = answer.json()
        assert stored["phone_number"] == "+12025550147"
        assert stored["scheduled_at"] == "2099-03-01T15:00:00.000+00:00"
        assert (stored["status"], stored["calls"]) == ("scheduled", [])
        assert answer.headers["location"] == f"/api/reminders/{stored['id']}"
        for name in (stored["id"], "appointment-1"):
            assert (await api.get(name)).json() | {"warnings": []} == stored
        assert "message" not in stored


async def test_the_answer_warns_of_a_patient_who_will_not_be_called(tmp_path: Path) -> None:
    async with an_api(tmp_path) as api:
        await api.execute("INSERT INTO opt_outs (phone_number) VALUES ('+12025550147')")
        other = REMINDER | {"ref": "b", "phone_number": "+12025550148"}
        first, second = (await api.post([REMINDER, other])).json()["reminders"]
        assert [one.partition(":")[0] for one in first["warnings"]] == ["this number has opted out"]
        assert second["warnings"] == []
        assert (await api.post(REMINDER)).json()["warnings"] == [], "the same again stores nothing"


async def test_a_time_without_an_offset_is_in_the_patients_or_the_clinics_zone(tmp_path: Path) -> None:
    async with an_api(tmp_path) as api:
        local = REMINDER | {"scheduled_at": "2099-03-01 16:00"}
        assert (await api.post(local)).json()["scheduled_at"] == "2099-03-01T15:00:00.000+00:00"
        abroad = local | {"ref": "b", "timezone": "America/New_York"}
        assert (await api.post(abroad)).json()["scheduled_at"] == "2099-03-01T21:00:00.000+00:00"


async def test_a_repeat_changes_nothing_and_an_edit_is_stored_until_the_patient_was_called(tmp_path: Path) -> None:
    async with an_api(tmp_path) as api:
        first = (await api.post(REMINDER)).json()
        again = await api.post(REMINDER)
        assert (again.status_code, again.json()) == (200, first)
        edited = await api.post(REMINDER | {"scheduled_at": "2099-03-02T16:00:00+01:00"})
        assert (edited.status_code, edited.json()["id"]) == (200, first["id"])
        assert edited.json()["scheduled_at"].startswith("2099-03-02")
        await api.execute("UPDATE reminders SET status = 'called'")
        told = is_a_problem(await api.post(REMINDER), 409)
        assert told["errors"][0]["pointer"] == ""
        assert "already called" in told["errors"][0]["detail"]
        assert await api.count() == 1


async def test_without_a_ref_the_same_message_number_and_time_are_one_reminder(
    tmp_path: Path,
) -> None:
    async with an_api(tmp_path) as api:
        nameless = {name: value for name, value in REMINDER.items() if name != "ref"}
        first, second = await api.post(nameless), await api.post(nameless)
        assert (first.status_code, second.status_code) == (201, 200)
        assert first.json()["id"] == second.json()["id"]


async def test_a_list_is_stored_whole_or_not_at_all_and_every_error_has_its_place(tmp_path: Path) -> None:
    async with an_api(tmp_path) as api:
        bad = [REMINDER, REMINDER | {"ref": "b", "phone_number": "030"}, {"ref": 5, "color": "red"}, "x"]
        told = is_a_problem(await api.post(bad), 400)
        assert [error["pointer"] for error in told["errors"]] == [
            "/1/phone_number",
            "/2/color",
            "/2/phone_number",
            "/2/scheduled_at",
            "/2/message",
            "/2/ref",
            "/3",
        ]
        assert "without country code, and [clinic].country is not set" in told["errors"][0]["detail"]
        assert await api.count() == 0
        good = [REMINDER | {"ref": f"r{number}"} for number in range(1000)]
        answer = await api.post(good)
        assert answer.status_code == 201
        assert [one["ref"] for one in answer.json()["reminders"]] == [one["ref"] for one in good]
        assert await api.count() == 1000


async def test_all_mistakes_in_a_reminder_are_listed_at_once(tmp_path: Path) -> None:
    async with an_api(tmp_path) as api:
        bad = {
            "color": "red",
            "phone_number": "030",
            "scheduled_at": 5,
            "message": "",
            "timezone": "EST",
            "ref": ["a"],
        }
        told = is_a_problem(await api.post(bad), 400)
        assert [error["pointer"] for error in told["errors"]] == [
            "/color",
            "/scheduled_at",
            "/ref",
            "/phone_number",
            "/message",
            "/timezone",
        ]
        unmade = {"phone_number": "+1 202 555-0147", "scheduled_at": "soon", "template": 5, "appointment_at": 7}
        told = is_a_problem(await api.post(unmade), 400)
        assert [error["pointer"] for error in told["errors"]] == ["/template", "/appointment_at", "/scheduled_at"]
        assert await api.count() == 0


@pytest.mark.parametrize("body", [[], [REMINDER] * 1001])
async def test_a_list_has_one_to_a_thousand(tmp_path: Path, body: list[Any]) -> None:
    async with an_api(tmp_path) as api:
        assert (await api.post(body)).status_code in {400, 413}


async def test_a_duplicate_in_a_list_is_an_error(tmp_path: Path) -> None:
    async with an_api(tmp_path) as api:
        told = is_a_problem(await api.post([REMINDER, REMINDER]), 400)
        assert told["errors"][0]["pointer"] == "/1"


async def test_a_reminder_whose_time_is_over_is_refused(tmp_path: Path) -> None:
    async with an_api(tmp_path) as api:
        told = is_a_problem(await api.post(REMINDER | {"scheduled_at": "2020-01-01 10:00"}), 400)
        assert told["errors"][0]["detail"].startswith("too late; it was to be called before")


async def test_a_deleted_reminder_is_cancelled_and_stays_cancelled(tmp_path: Path) -> None:
    async with an_api(tmp_path) as api:
        await api.post(REMINDER)
        for _ in range(2):
            answer = await api.client.delete("/api/reminders/appointment-1")
            assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
            assert answer.json()["last_error"] == "cancelled by api"
        await api.execute("UPDATE reminders SET status = 'called'")
        assert (
            "the patient has already been reached (status: called)"
            in is_a_problem(await api.client.delete("/api/reminders/appointment-1"), 409)["detail"]
        )


async def test_every_change_is_in_the_audit(tmp_path: Path) -> None:
    async with an_api(tmp_path) as api:
        await api.post([REMINDER, REMINDER | {"ref": "b"}])
        await api.post(REMINDER)
        await api.client.delete("/api/reminders/b")
        rows = await api.database.read(
            lambda c: [tuple(r) for r in c.execute("SELECT actor, act, detail, reminder_id IS NOT NULL FROM audit")]
        )
    added = ("api", "add", "over HTTP", 1)
    assert rows == [added, added, ("api", "cancel", None, 1)]


@pytest.mark.parametrize("name", ["nobody", "a/b", "%00", "%E2%82%AC", "x" * 300])
async def test_an_unknown_name_is_404(tmp_path: Path, name: str) -> None:
    async with an_api(tmp_path) as api:
        is_a_problem(await api.get(name), 404)
        is_a_problem(await api.client.delete(f"/api/reminders/{name}"), 404)


async def test_a_ref_that_equals_another_reminders_id_is_a_conflict(tmp_path: Path) -> None:
    async with an_api(tmp_path) as api:
        other = (await api.post(REMINDER)).json()
        own = await api.post(REMINDER | {"ref": other["id"]})
        assert (own.status_code, own.json()["ref"]) == (201, other["id"])
        assert own.json()["id"] != other["id"]
        is_a_problem(await api.get(other["id"]), 409)
        is_a_problem(await api.client.delete(f"/api/reminders/{other['id']}"), 409)
        gone = await api.client.delete(f"/api/reminders/{own.json()['id']}")
        assert gone.json()["status"] == "cancelled"
        assert (await api.get("appointment-1")).json() | {"warnings": []} == other


async def test_an_id_from_another_program_is_encoded_in_the_location_header(tmp_path: Path) -> None:
    async with an_api(tmp_path) as api:
        await api.execute(
            "INSERT INTO reminders (id, ref, phone_number, message, scheduled_at)"
            " VALUES ('5 €/a?b#c', 'appointment-1', '+12025550147', 'Tomorrow at nine.', 4076060400000)"
        )
        answer = await api.post(REMINDER)
        assert (answer.status_code, answer.headers["location"]) == (200, "/api/reminders/5%20%E2%82%AC%2Fa%3Fb%23c")
        assert (await api.client.get(answer.headers["location"])).json() | {"warnings": []} == answer.json()


async def test_an_unknown_field_that_is_a_phone_number_is_not_repeated(tmp_path: Path) -> None:
    async with an_api(tmp_path) as api:
        told = is_a_problem(await api.post([REMINDER | {"+12025550147": "Tomorrow at nine."}]), 400)
        assert told["errors"][0]["pointer"] == "/0"
        assert told["errors"][0]["detail"].startswith("unknown field; expected only phone_number, ")


async def test_a_ref_may_contain_a_slash(tmp_path: Path) -> None:
    async with an_api(tmp_path) as api:
        await api.post(REMINDER | {"ref": "2099/03/01 Müller"})
        assert (await api.get("2099%2F03%2F01%20M%C3%BCller")).status_code == 200


@pytest.mark.parametrize("given", ["", "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer é"])
async def test_a_missing_or_wrong_token_is_refused(tmp_path: Path, given: str) -> None:
    async with an_api(tmp_path) as api:
        headers = {b"Authorization": given.encode()}
        answer = await api.client.post("/api/reminders", json=REMINDER, headers=headers)
        is_a_problem(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert await api.count() == 0


async def test_a_wrong_content_type_body_method_or_path_has_its_own_status_code(tmp_path: Path) -> None:
    async with an_api(tmp_path) as api:
        text = {"Content-Type": "text/plain"}
        is_a_problem(await api.client.post("/api/reminders", content=b"{}", headers=text), 415)
        json = {"Content-Type": "application/json"}
        is_a_problem(await api.client.post("/api/reminders", content=b"{", headers=json), 400)
        is_a_problem(await api.client.post("/api/reminders", content=b"x" * 1_100_000, headers=json), 413)
        answer = await api.client.put("/api/reminders", json=REMINDER)
        is_a_problem(answer, 405)
        assert "POST" in answer.headers["allow"]
        is_a_problem(await api.client.get("/api/other"), 404)


@pytest.mark.parametrize("path", ["/api/reminders", "/api/appointments", "/api/reminders/x/done"])
async def test_a_key_with_two_values_is_refused(tmp_path: Path, path: str) -> None:
    async with an_api(tmp_path) as api:
        body = b'[{"phone_number": "+12025550147", "phone_number": "+12025550148", "note": "a"}]'
        answer = await api.client.post(path, content=body, headers={"Content-Type": "application/json"})
        is_a_problem(answer, 400)
        assert answer.json()["detail"] == "an object has a key twice; expected each key once"


async def test_twenty_simultaneous_requests_add_one_reminder(tmp_path: Path) -> None:
    async with an_api(tmp_path) as api:
        answers: list[httpx.Response] = []

        async def hand_in() -> None:
            answers.append(await api.post(REMINDER))

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(hand_in)
        assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert await api.count() == 1


async def test_a_reminder_with_a_template_gets_the_templates_message(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        '[messages]\nclinic = "Dr. Brown"\ntemplates.checkup = "{clinic} sees you on {date} at {time}."\n'
    )
    of_a_template = {name: value for name, value in REMINDER.items() if name != "message"} | {"template": "checkup"}
    async with an_api(tmp_path) as api:
        told = is_a_problem(await api.post(of_a_template), 400)
        assert [error["pointer"] for error in told["errors"]] == ["/appointment_at"]
        assert (await api.post(of_a_template | {"appointment_at": "2099-03-02T16:00:00"})).status_code == 201
        row = await api.database.read(lambda connection: connection.execute("SELECT * FROM reminders").fetchone())
        assert row["message"] == "Dr. Brown sees you on Monday, March 2 at 4:00 PM."


async def test_the_language_of_a_reminder_is_stored_and_what_fills_its_template_is_not(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[messages]\ntemplates.checkup = "{name}: {provider}, {place}."\n')
    filled = {"template": "checkup", "name": "Ana", "provider": "Dr. Lee", "place": "Room 4", "language": "EN-gb"}
    of_a_template = {name: value for name, value in REMINDER.items() if name != "message"} | filled
    async with an_api(tmp_path) as api:
        told = is_a_problem(await api.post(of_a_template | {"name": None, "language": "?"}), 400)
        assert [error["pointer"] for error in told["errors"]] == ["/language", "/name"]
        added = await api.post(of_a_template)
        assert (added.status_code, added.json()["language"], added.json()["warnings"]) == (201, "en-GB", [])
        row = await api.database.read(lambda connection: connection.execute("SELECT * FROM reminders").fetchone())
        assert (row["message"], row["language"]) == ("Ana: Dr. Lee, Room 4.", "en-GB")
        assert not {"name", "provider", "place"} & set(row.keys())
        changed = await api.post(of_a_template | {"language": "en-AU"})
        assert (changed.status_code, changed.json()["language"]) == (200, "en-AU")


async def test_without_a_ref_adding_a_deleted_reminder_again_adds_a_new_one(tmp_path: Path) -> None:
    nameless = {name: value for name, value in REMINDER.items() if name != "ref"}
    async with an_api(tmp_path) as api:
        seen: list[str] = []
        for _ in range(3):
            answer = await api.post(nameless)
            assert (answer.status_code, answer.json()["status"]) == (201, "scheduled")
            assert answer.json()["id"] not in seen
            seen.append(answer.json()["id"])
            again = await api.post([nameless])
            assert (again.status_code, again.json()["reminders"][0]["id"]) == (200, seen[-1])
            gone = await api.client.delete(f"/api/reminders/{seen[-1]}")
            assert (gone.json()["status"], gone.json()["end_code"]) == ("cancelled", "withdrawn")
        assert await api.count() == 3


async def test_a_repeated_request_never_revives_a_reminder_that_staff_cancelled(tmp_path: Path) -> None:
    nameless = {name: value for name, value in REMINDER.items() if name != "ref"}
    async with an_api(tmp_path) as api:
        stored = (await api.post(nameless)).json()
        await api.execute("UPDATE reminders SET status = 'cancelled', end_code = 'cancelled_by_staff'")
        again = await api.post(nameless)
        assert (again.status_code, again.json()["id"], again.json()["status"]) == (200, stored["id"], "cancelled")
        assert await api.count() == 1
        # The clinic's own system knows that it is cancelled, as it asks for that itself: the next one is meant.
        gone = await api.client.delete(f"/api/reminders/{stored['id']}")
        assert (gone.status_code, gone.json()["end_code"]) == (200, "withdrawn")
        acts = await api.count("audit")
        assert (await api.client.delete(f"/api/reminders/{stored['id']}")).status_code == 200
        assert (await api.count("audit"), acts) == (2, 2), "added, and withdrawn once"
        assert (await api.post(nameless)).status_code == 201


async def test_a_delete_keeps_opted_out_as_the_reason(tmp_path: Path) -> None:
    nameless = {name: value for name, value in REMINDER.items() if name != "ref"}
    async with an_api(tmp_path) as api:
        stored = (await api.post(nameless)).json()
        await api.execute("UPDATE reminders SET status = 'cancelled', end_code = 'opted_out'")
        assert (await api.client.delete(f"/api/reminders/{stored['id']}")).json()["end_code"] == "opted_out"
        assert (await api.post(nameless)).json()["id"] == stored["id"]


@pytest.mark.parametrize(
    ("written", "asked"), [("T\u00a07", "T 7"), ("T\u00adx", "Tx"), ("Mu\u0308", "M\u00fc"), ("7 ", "7")]
)
async def test_a_reminder_is_found_by_how_its_name_looks(tmp_path: Path, written: str, asked: str) -> None:
    async with an_api(tmp_path) as api:
        stored = (await api.post(REMINDER)).json()
        await api.execute(f"UPDATE reminders SET ref = '{written}'")
        assert (await api.get(asked)).json()["id"] == stored["id"]
        again = await api.post(REMINDER | {"ref": asked})
        assert (again.status_code, again.json()["id"]) == (200, stored["id"])
        assert (await api.client.delete(f"/api/reminders/{asked}")).json()["status"] == "cancelled"


async def test_a_changed_phone_number_for_a_ref_is_held_for_staff(tmp_path: Path) -> None:
    async with an_api(tmp_path) as api:
        await api.post(REMINDER)
        answer = await api.post(REMINDER | {"phone_number": "+1 202 555 0148"})
        held = answer.json()
        assert (answer.status_code, held["hold_code"]) == (200, "number_changed")
        assert (
            held["last_error"]
            == "phone number changed (over HTTP), the former one ended in 47: accept the new one, or cancel"
        )
        again = await api.post(REMINDER | {"phone_number": "+1 202 555 0148"})
        [warning] = held["warnings"]
        assert warning.startswith("phone_number: not the one that its ref had before")
        [still] = again.json()["warnings"]
        assert still.startswith("held, nobody is called: phone number changed (over HTTP)")
        assert (again.status_code, again.json()) == (200, held | {"warnings": [still]})


async def test_the_answer_has_warnings_about_the_message_and_the_ref(tmp_path: Path) -> None:
    async with an_api(tmp_path) as api:
        asked = [REMINDER | {"ref": "0047", "message": "Dear {name}"}, REMINDER | {"ref": "47"}]
        zero, seven = (await api.post(asked)).json()["reminders"]
        assert [warning.partition(":")[0] for warning in zero["warnings"]] == ["message"]
        assert [warning.partition(" may be")[0] for warning in seven["warnings"]] == ["ref: 47"]
        assert "warnings" not in (await api.get("0047")).json()


async def test_staff_of_the_clinics_own_system_note_that_they_have_called_the_patient(tmp_path: Path) -> None:
    async with an_api(tmp_path) as api:
        await api.post([REMINDER, REMINDER | {"ref": "b"}, REMINDER | {"ref": "c"}])
        await api.execute("UPDATE reminders SET status = 'failed', end_code = 'no_report' WHERE ref = 'b'")
        await api.execute("UPDATE reminders SET status = 'called' WHERE ref = 'c'")
        path = "/api/reminders/{}/done"
        waited = await api.client.post(path.format("appointment-1"))
        assert (waited.status_code, waited.json()["end_code"]) == (200, "done_by_staff")
        failed = await api.client.post(path.format("b"), json={"note": "he comes, 0170 123456"})
        assert (failed.json()["status"], failed.json()["end_code"]) == ("failed", "no_report")
        assert failed.json()["done_at"] is not None
        again = await api.client.post(path.format("b"), json={"note": "he comes, 0170 123456"})
        assert (again.status_code, again.json()) == (200, failed.json())
        is_a_problem(await api.client.post(path.format("c")), 409)
        is_a_problem(await api.client.post(path.format("nobody")), 404)
        details = await api.database.read(
            lambda c: [
                row[0] for row in c.execute("SELECT detail FROM audit WHERE act = 'done' ORDER BY id").fetchall()
            ]
        )
        assert details == [None, "he comes, *********56"]


@pytest.mark.parametrize(
    ("body", "pointers"),
    [("[]", None), ("{", None), ('{"note": 1, "why": ""}', ["/why", "/note"]), ('{"note": " "}', ["/note"])],
)
async def test_a_note_that_cannot_be_read_is_refused(tmp_path: Path, body: str, pointers: list[str] | None) -> None:
    async with an_api(tmp_path) as api:
        await api.post(REMINDER)
        headers = {"Content-Type": "application/json"}
        answer = await api.client.post("/api/reminders/appointment-1/done", content=body, headers=headers)
        told = is_a_problem(answer, 400)
        assert [error["pointer"] for error in told.get("errors", [])] == (pointers or [])
        assert (await api.get("appointment-1")).json()["status"] == "scheduled"
