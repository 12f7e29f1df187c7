"""Adding one appointment or one reminder: every mistake at its field, a look before anything is stored, then once."""

from pathlib import Path

import pytest
from attrs import evolve

from reminderd.config import Config, with_provider
from reminderd.config.schema import MessagesConfig, RemindersConfig
from reminderd.desk.add import APPOINTMENT_PATH, REMINDER_PATH
from reminderd.providers.generic.settings import GenericSettings
from reminderd.providers.twilio.settings import TwilioSettings
from tests.support.desk import DeskServer, Page, a_config, desk_of

pytestmark = pytest.mark.trio

OPT_OUT = "INSERT INTO opt_outs (phone_number) VALUES ('+12025550123')"
VISIT = "{name}, your appointment is on {date} at {time}."
APPOINTMENT = {
    "act": "preview",
    "phone_number": "(202) 555-0123",
    "at_date": "2030-01-10",
    "at_time": "09:30",
    "name": "Ada",
}
REMINDER = {
    "act": "preview",
    "phone_number": "(202) 555-0123",
    "scheduled_at_date": "2030-01-10",
    "scheduled_at_time": "09:30",
    "message": "Your glasses are ready.",
}


def planning(*before: str, language: str = "en") -> Config:
    """A clinic that plans calls before its appointments."""
    messages = MessagesConfig(clinic="Elm Street Clinic", phone="+12025550100", templates={"visit": VISIT})
    reminders = RemindersConfig(before=before or ("3 days", "1 day at 10:00"), template="visit")
    return evolve(a_config(language=language), messages=messages, reminders=reminders)


async def previewed(server: DeskServer, path: str, **written: str) -> Page:
    return await server.browser.submit(await server.browser.get(path), path, **written)


def error_at(page: Page, field: str) -> str:
    return page.root.one("p", id=f"{field}-error").text


async def test_the_preview_of_an_appointment_shows_what_is_spoken_and_when(tmp_path: Path) -> None:
    async with desk_of(tmp_path, config=with_provider(planning(), TwilioSettings())) as server:
        page = await previewed(server, APPOINTMENT_PATH, **APPOINTMENT)
        assert page.heading == "Add this appointment?"
        assert "Ada, your appointment is on Thursday, January 10 at 9:30 AM." in page.text
        assert "Hello, this is Elm Street Clinic" in page.text
        text = page.text.replace("\u202f", " ")
        assert "Call, 3 days before Monday, January 7, 2030, 9:30 AM" in text
        assert "Call, 1 day at 10:00 before Wednesday, January 9, 2030, 10:00 AM" in text
        assert await server.rows("SELECT id FROM appointments") == [], "nothing is stored by looking"


async def test_the_preview_shows_no_greeting_and_no_keys_where_the_provider_speaks_the_message_alone(
    tmp_path: Path,
) -> None:
    generic = GenericSettings(api_url="http://127.0.0.1:9", api_key="key")
    async with desk_of(tmp_path, config=with_provider(planning(), generic)) as server:
        page = await previewed(server, APPOINTMENT_PATH, **APPOINTMENT)
        assert "The provider is given this message alone" in page.text
        [spoken] = page.root.all("p", class_="spoken")
        assert spoken.text == "Ada, your appointment is on Thursday, January 10 at 9:30 AM."


async def test_the_preview_of_a_number_that_has_opted_out_announces_no_call(tmp_path: Path) -> None:
    async with desk_of(tmp_path, config=planning()) as server:
        await server.run_sql(OPT_OUT)
        page = await previewed(server, APPOINTMENT_PATH, **APPOINTMENT)
        assert "Nobody will be called for it." in page.notice
        assert "Call, " not in page.text


async def test_a_warning_in_the_preview_is_in_the_language_of_the_page(tmp_path: Path) -> None:
    async with desk_of(tmp_path, config=planning(language="de")) as server:
        await server.run_sql(OPT_OUT)
        page = await previewed(server, REMINDER_PATH, **REMINDER)
        assert "opted out" not in page.notice
        assert "wird nicht angerufen" in page.notice


async def test_an_appointment_is_added_as_it_was_shown_with_its_calls_and_who_did_it(tmp_path: Path) -> None:
    async with desk_of(tmp_path, config=planning()) as server:
        page = await previewed(server, APPOINTMENT_PATH, **APPOINTMENT)
        fields = page.form(APPOINTMENT_PATH).fields | {"act": "add"}
        answer = await server.browser.raw("POST", APPOINTMENT_PATH, data=fields, headers={"Origin": server.browser.url})
        rows = await server.rows("SELECT id FROM reminders ORDER BY scheduled_at")
        assert (answer.status_code, answer.headers["Location"]) == (303, server.address(rows[0]["id"]))
        [stored] = await server.rows("SELECT phone_number, name, status FROM appointments")
        assert stored == {"phone_number": "+12025550123", "name": "Ada", "status": "booked"}
        assert len(rows) == 2
        actors = await server.rows("SELECT DISTINCT actor FROM audit WHERE act = 'add'")
        assert actors == [{"actor": "maria"}]


async def test_a_form_that_is_sent_twice_adds_once(tmp_path: Path) -> None:
    async with desk_of(tmp_path, config=planning()) as server:
        for path, written, table in (
            (APPOINTMENT_PATH, APPOINTMENT, "appointments"),
            (REMINDER_PATH, REMINDER, "reminders WHERE appointment_id IS NULL"),
        ):
            page = await previewed(server, path, **written, ref="A-1")
            for _ in range(2):
                fields = page.form(path).fields | {"act": "add"}
                answer = await server.browser.raw("POST", path, data=fields, headers={"Origin": server.browser.url})
                assert answer.status_code == 303
            assert len(await server.rows(f"SELECT id FROM {table}")) == 1


async def test_every_mistake_stands_at_its_field_at_once(tmp_path: Path) -> None:
    async with desk_of(tmp_path, config=planning()) as server:
        page = await previewed(server, APPOINTMENT_PATH, act="preview", phone_number="12", at_date="soon", type="x")
        assert page.status == 422
        assert "expected" in error_at(page, "phone_number")
        assert "expected" in error_at(page, "at_date")
        written = page.form(APPOINTMENT_PATH).fields
        assert (written["phone_number"], written["at_date"], written["type"]) == ("12", "soon", "x")
        page = await previewed(server, REMINDER_PATH, act="preview", phone_number="12", scheduled_at_date="2030-01-10")
        assert error_at(page, "message") == "empty; expected the text to be spoken"
        assert "expected" in error_at(page, "scheduled_at_date")
        page = await previewed(
            server,
            REMINDER_PATH,
            **REMINDER | {"expires_at_date": "2030-01-09", "expires_at_time": "09:00", "timezone": "Mars"},
        )
        assert error_at(page, "expires_at_date").startswith("before the time to call")
        assert "expected" in error_at(page, "timezone")
        assert await server.rows("SELECT id FROM reminders") == []


async def test_the_pages_speak_german_to_the_last_mistake(tmp_path: Path) -> None:
    async with desk_of(tmp_path, config=planning(language="de")) as server:
        page = await previewed(server, APPOINTMENT_PATH, **APPOINTMENT | {"name": "", "phone_number": "12"})
        assert page.heading == "Termin eintragen"
        assert error_at(page, "name").startswith("fehlt; erwartet wird")
        assert error_at(page, "phone_number").startswith("keine Nummer")
        page = await previewed(server, APPOINTMENT_PATH, **APPOINTMENT)
        assert "Montag, 7. " in page.text
        assert "Ada, your appointment is on Thursday" in page.text, "what the patient hears has its own language"


async def test_what_was_written_can_be_changed_after_a_look(tmp_path: Path) -> None:
    async with desk_of(tmp_path, config=planning()) as server:
        page = await previewed(server, REMINDER_PATH, **REMINDER, ref="G-7")
        page = await server.browser.submit(page, REMINDER_PATH, act="edit")
        written = page.form(REMINDER_PATH).fields
        assert (written["ref"], written["message"]) == ("G-7", "Your glasses are ready.")
        page = await server.browser.submit(page, REMINDER_PATH, act="preview", message="They are here.")
        await server.browser.submit(page, REMINDER_PATH, act="add")
        [row] = await server.rows("SELECT message, ref FROM reminders")
        assert row == {"message": "They are here.", "ref": "G-7"}


async def test_a_message_is_shown_and_stored_as_it_was_written(tmp_path: Path) -> None:
    message = '<script>alert("x")</script> & more\r\nsecond line'
    async with desk_of(tmp_path, config=planning()) as server:
        page = await previewed(server, REMINDER_PATH, **REMINDER | {"message": message})
        assert page.root.all("script", type="") == []
        assert '<script>alert("x")</script> & more second line' in page.text
        await server.browser.submit(page, REMINDER_PATH, act="add")
        [row] = await server.rows("SELECT message FROM reminders")
        assert row["message"] == message.replace("\r\n", "\n")


async def test_an_opted_out_number_is_warned_of(tmp_path: Path) -> None:
    async with desk_of(tmp_path, config=planning()) as server:
        await server.run_sql(OPT_OUT)
        for path, written in ((APPOINTMENT_PATH, APPOINTMENT), (REMINDER_PATH, REMINDER)):
            page = await previewed(server, path, **written)
            assert "this number has opted out" in page.notice


async def test_a_call_outside_the_calling_hours_is_shown_when_it_will_be_placed(tmp_path: Path) -> None:
    hours = evolve(planning().calling, start="10:00", end="12:00")
    async with desk_of(tmp_path, config=evolve(planning(), calling=hours)) as server:
        page = await previewed(server, REMINDER_PATH, **REMINDER)
        assert "Call Thursday, January 10, 2030, 10:00 AM" in page.text.replace("\u202f", " ")
        page = await previewed(server, APPOINTMENT_PATH, **APPOINTMENT)
        assert "Call, 3 days before Sunday, January 6, 2030, 10:00 AM" in page.text.replace("\u202f", " ")


async def test_a_call_in_another_time_zone_is_shown_on_both_clocks(tmp_path: Path) -> None:
    async with desk_of(tmp_path, config=planning()) as server:
        page = await previewed(server, REMINDER_PATH, **REMINDER, timezone="America/Denver")
        text = page.text.replace("\u202f", " ")
        assert "Call Thursday, January 10, 2030, 11:30 AM for the patient: Thursday, January 10, 2030, 9:30 AM" in text
        assert "(America/Denver)" in text


async def test_an_appointment_that_is_too_soon_for_a_call_says_so(tmp_path: Path) -> None:
    async with desk_of(tmp_path, config=planning("3 days")) as server:
        page = await previewed(server, APPOINTMENT_PATH, **APPOINTMENT | {"at_date": "2026-03-03"})
        assert "Nobody will be called for it." in page.notice
        assert "Left out: it is too late for it." in page.text
        page = await server.browser.submit(page, APPOINTMENT_PATH, act="add")
        assert "Nobody will be called for it." in page.notice
        assert len(await server.rows("SELECT id FROM appointments")) == 1


async def test_what_is_over_is_not_added(tmp_path: Path) -> None:
    async with desk_of(tmp_path, config=planning()) as server:
        page = await previewed(server, APPOINTMENT_PATH, **APPOINTMENT | {"at_date": "2026-01-10"})
        assert (page.status, page.notice) == (422, "too late; the appointment was at 2026-01-10 09:30")
        page = await previewed(server, REMINDER_PATH, **REMINDER | {"scheduled_at_date": "2026-01-10"})
        assert "too late" in page.notice


async def test_a_name_that_is_taken_is_a_mistake_of_its_field(tmp_path: Path) -> None:
    async with desk_of(tmp_path, config=planning()) as server:
        for path, written, other in (
            (APPOINTMENT_PATH, APPOINTMENT, {"at_time": "11:00"}),
            (REMINDER_PATH, REMINDER, {"message": "Another one."}),
        ):
            page = await previewed(server, path, **written, ref="A-1")
            await server.browser.submit(page, path, act="add")
            page = await previewed(server, path, **written | other, ref="A-1")
            assert error_at(page, "ref").startswith("another entry has this name already")


async def test_nothing_is_added_that_was_not_shown(tmp_path: Path) -> None:
    async with desk_of(tmp_path, config=planning()) as server:
        page = await previewed(server, REMINDER_PATH, **REMINDER)
        await server.run_sql(OPT_OUT)
        page = await server.browser.submit(page, REMINDER_PATH, act="add")
        assert "Something has changed since you looked." in page.notice
        assert await server.rows("SELECT id FROM reminders") == []
        page = await server.browser.submit(page, REMINDER_PATH, act="add")
        assert len(await server.rows("SELECT id FROM reminders")) == 1, "the new look was the right one"


async def test_without_a_cadence_reminders_are_added_and_appointments_refused(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        page = await server.browser.get("/add")
        assert page.heading == "Add a reminder"
        page = await previewed(server, APPOINTMENT_PATH, **APPOINTMENT)
        assert "[reminders].before" in error_at(page, "at_date")


async def test_no_patient_s_data_is_in_a_path_or_a_title(tmp_path: Path) -> None:
    async with desk_of(tmp_path, config=planning()) as server:
        page = await previewed(server, REMINDER_PATH, **REMINDER, name="Ada", ref="Ada Lovelace")
        assert "Ada" not in page.root.one("title").text
        page = await server.browser.submit(page, REMINDER_PATH, act="add")
        assert "Ada" not in str(page.response.url)
