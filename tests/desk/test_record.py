"""The page of one reminder, and what staff can do there."""

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from reminderd.core.logins import Role
from reminderd.core.model import digest
from reminderd.desk.record import ONE_LOOK
from reminderd.staff.acts import StaffAct
from reminderd.store.rows import to_ms
from reminderd.store.shared_state import set_pause
from tests.support.builders import DAY, HOUR, MINUTE, NOW, SECOND
from tests.support.databases import ON_EACH_ENGINE
from tests.support.desk import NAME, DeskServer, Page, a_config, desk_of, titles_name_nobody
from tests.support.rows import insert_call, insert_row, refuse_inserts

pytestmark = ON_EACH_ENGINE

PHONE = "+12025550147"


async def a_reminder(desk: DeskServer, reminder_id: str = "r1", **columns: Any) -> str:
    """Store a reminder as another program does; return the path of its page."""
    row: dict[str, Any] = {
        "id": reminder_id,
        "phone_number": PHONE,
        "message": "Tomorrow at nine.",
        "scheduled_at": to_ms(NOW),
        "created_at": to_ms(NOW),
        "updated_at": to_ms(NOW),
    }
    await desk.write(lambda connection, _now: insert_row(connection, "reminders", row | columns))
    return desk.address(reminder_id)


async def acts(desk: DeskServer) -> list[tuple[Any, ...]]:
    rows = await desk.rows(
        "SELECT actor, act, reminder_id, detail FROM audit WHERE reminder_id IS NOT NULL ORDER BY id"
    )
    return [tuple(row.values()) for row in rows]


async def row_of(desk: DeskServer, reminder_id: str = "r1") -> dict[str, Any]:
    [row] = await desk.rows(
        "SELECT id, status, end_code, done_at, hold_code FROM reminders WHERE id = :id", id=reminder_id
    )
    return row


def offered(page: Page) -> list[str]:
    """Return the acts that the page offers, in their order."""
    found = [one for one in page.root.all() if one.attributes.get("id", "").startswith("act-")]
    return [one.attributes["id"].removeprefix("act-") for one in found]


def history(page: Page) -> list[str]:
    (table,) = [one for one in page.root.all("section", aria_labelledby="history") for one in one.all("table")]
    return [" | ".join(cell.text for cell in row.all("td")[1:]).rstrip(" |") for row in table.one("tbody").all("tr")]


async def test_a_failed_reminder_shows_why_and_what_to_do(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        path = await a_reminder(desk, status="failed", end_code="max_calls", attempts=3, ref="visit 7")
        page = await desk.browser.get(path)
        assert page.status == 200
        assert page.heading == "Reminder visit 7"
        assert "The patient was not reached. The reason: called as often as configured, but not reached." in page.text
        assert "Call the patient yourself and note it as done, or have the program call again." in page.text
        assert [one.text for one in page.root.all("a", href=f"tel:{PHONE}")] == ["(202) 555-0147"] * 2
        assert offered(page) == ["call-again", "done", "opt-out"]
        titles_name_nobody(page, "visit 7", PHONE, "r1")


async def test_the_audit_has_who_looks_before_anything_is_shown(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        path = await a_reminder(desk)
        await desk.browser.get(path)
        assert await acts(desk) == [(NAME, "view", "r1", None)]
        await desk.browser.get(f"{path}/cancel")
        desk.clock.advance(ONE_LOOK - SECOND)
        await desk.browser.get(f"{path}/part")
        assert len(await acts(desk)) == 1, "one look"
        desk.clock.advance(2 * SECOND)
        await desk.browser.get(f"{path}/part")
        assert len(await acts(desk)) == 2
        await desk.add_user("bert", Role.DESK)
        other = desk.another_browser()
        await other.log_in("bert")
        await other.get(f"{path}/cancel")
        assert (await acts(desk))[-1] == ("bert", "view", "r1", None)


@pytest.mark.parametrize("address", ["AAAA", "nothing", "%2e%2e", "x" * 5_000])
async def test_an_address_that_names_no_reminder_is_no_page(tmp_path: Path, address: str) -> None:
    async with desk_of(tmp_path) as desk:
        for path in (f"/r/{address}", f"/r/{address}/part", f"/r/{address}/cancel"):
            assert (await desk.browser.get(path)).status == 404, path
        assert await acts(desk) == []


async def test_the_page_of_a_reminder_that_was_deleted_is_no_page(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        path = await a_reminder(desk)
        page = await desk.browser.get(f"{path}/cancel")
        await desk.run_sql("DELETE FROM reminders")
        assert (await desk.browser.get(path)).status == 404
        assert (await desk.browser.submit(page, f"{path}/cancel")).status == 404


async def test_an_unknown_act_is_no_page(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        path = await a_reminder(desk)
        page = await desk.browser.get(path)
        fields = page.form("/logout").fields
        assert (await desk.browser.get(f"{path}/erase")).status == 404
        assert (await desk.browser.post(f"{path}/erase", fields)).status == 404


async def test_call_again_is_one_click_and_is_done_once(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        path = await a_reminder(desk, status="failed")
        page = await desk.browser.get(path)
        after = await desk.browser.submit(page, f"{path}/call-again")
        assert after.notice == "The patient will be called again."
        assert (await row_of(desk))["status"] == "scheduled"
        twice = await desk.browser.submit(page, f"{path}/call-again")
        assert twice.notice == "The patient will be called again."
        assert [act for _, act, _, _ in await acts(desk)] == ["view", "call-again"]
        assert "call-again by maria" in history(after)[1]


@pytest.mark.parametrize(
    ("act", "row", "heading", "notice", "after"),
    [
        (
            StaffAct.CANCEL,
            {},
            "Cancel this reminder?",
            "Cancelled: the patient is no longer called for this reminder.",
            {"status": "cancelled", "end_code": "cancelled_by_staff"},
        ),
        (
            StaffAct.ACCEPT,
            {"hold_code": "number_changed"},
            "Accept the new phone number?",
            "The new number is accepted.",
            {"hold_code": None},
        ),
        (
            StaffAct.OPT_OUT,
            {},
            "Never call this number again?",
            "Opted out: this number is never called again.",
            {"status": "cancelled", "end_code": "opted_out"},
        ),
        (
            StaffAct.DONE,
            {"status": "failed"},
            "Note that you called the patient",
            "Noted: the patient was called by you.",
            {"done_at": to_ms(NOW)},
        ),
    ],
)
async def test_an_act_is_confirmed_first(
    tmp_path: Path, act: StaffAct, row: dict[str, Any], heading: str, notice: str, after: dict[str, Any]
) -> None:
    async with desk_of(tmp_path) as desk:
        path = await a_reminder(desk, **row)
        page = await desk.browser.get(path)
        assert page.root.one("a", id=f"act-{act}").attributes["href"] == f"{path}/{act}"
        question = await desk.browser.get(f"{path}/{act}")
        assert (question.status, question.heading) == (200, heading)
        titles_name_nobody(question, PHONE, "r1")
        assert (await row_of(desk))["status"] == row.get("status", "scheduled"), "nothing is done yet"
        shown = await desk.browser.submit(question, f"{path}/{act}")
        assert shown.notice == notice
        assert after.items() <= (await row_of(desk)).items()
        assert (await acts(desk))[-1][:2] == (NAME, act.value)


async def test_what_an_opt_out_cancels_is_named_before(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        path = await a_reminder(desk)
        await a_reminder(desk, "r2", scheduled_at=to_ms(NOW + DAY))
        page = await desk.browser.get(f"{path}/opt-out")
        assert "2 waiting reminders of this number are cancelled at once." in page.text
        assert "Only an admin can take that back." in page.text


async def test_a_refusal_says_why_as_the_core_does(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        path = await a_reminder(desk)
        page = await desk.browser.get(f"{path}/cancel")
        await desk.run_sql("UPDATE reminders SET status = 'called'")
        refused = await desk.browser.submit(page, f"{path}/cancel")
        assert refused.notice == "Not cancelled: the patient has already been reached (status: called)."
        assert (await desk.browser.get(f"{path}/cancel")).notice == refused.notice
        assert "cancel" not in [act for _, act, _, _ in await acts(desk)]


async def test_no_next_try_is_shown_while_a_number_waits_for_staff(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        path = await a_reminder(desk, hold_code="hours", wake_at=to_ms(NOW + HOUR))
        assert "Next try" in (await desk.browser.get(path)).text
        await desk.run_sql("UPDATE reminders SET hold_code = 'number_changed'")
        assert "Next try" not in (await desk.browser.get(path)).text


async def test_nothing_is_done_to_a_number_that_nobody_has_seen(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        path = await a_reminder(desk, hold_code="number_changed")
        page = await desk.browser.get(f"{path}/accept")
        await desk.run_sql("UPDATE reminders SET phone_number = '+12025550199', hold_code = 'number_changed'")
        refused = await desk.browser.submit(page, f"{path}/accept")
        assert refused.notice.startswith("Nothing was done: its number, message or time was changed")
        assert (await row_of(desk))["hold_code"] == "number_changed"
        forged = await desk.browser.post(f"{path}/accept", page.form(f"{path}/accept").fields | {"seen": ""})
        assert forged.notice.startswith("Nothing was done")


async def test_a_note_is_kept_without_a_number(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        path = await a_reminder(desk, status="expired")
        page = await desk.browser.get(f"{path}/done")
        assert "It no longer needs a human." in page.text
        shown = await desk.browser.submit(page, f"{path}/done", note=" spoke to her at 0170 123456 ")
        assert "done by maria | spoke to her at *********56" in history(shown)
        assert "Staff have called the patient." in shown.text
        assert shown.root.one("a", id="act-done").text == "Add a note …"
        again = await desk.browser.submit(await desk.browser.get(f"{path}/done"), f"{path}/done", note="she comes")
        assert "done by maria | she comes" in history(again)


async def test_a_note_that_is_none_is_asked_for_again(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        path = await a_reminder(desk, status="failed")
        page = await desk.browser.get(f"{path}/done")
        again = await desk.browser.submit(page, f"{path}/done", note="x" * 501)
        assert again.status == 400
        assert "expected 1 to 500 printable characters" in again.root.one("p", id="note-error").text
        assert again.form(f"{path}/done").fields["note"] == "x" * 501
        assert (await row_of(desk))["done_at"] is None


async def test_the_calls_show_how_they_ended_what_was_spoken_and_with_whom(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        path = await a_reminder(desk, status="called", response="confirmed")
        await a_reminder(desk, "r2", ref="visit 8")

        def calls(connection: Any, _now: object) -> None:
            own: dict[str, Any] = {"status": "completed", "received_at": to_ms(NOW), "created_at": to_ms(NOW)}
            insert_call(connection, "r1", id="c1", **own, outcome="not_answered")
            insert_call(connection, "r1", id="c2", spoken=True, **own, outcome="hung_up")
            insert_call(
                connection, "r1", id="c3", spoken=True, **own, outcome="confirmed", transcript="Yes <b>please</b>"
            )
            connection.execute(
                "UPDATE call_reminders SET message_digest = ? WHERE call_id = 'c3'", (digest("Tomorrow at nine."),)
            )
            connection.execute(
                "INSERT INTO call_reminders (call_id, reminder_id, position, scheduled_at, message_digest)"
                " VALUES ('c3', 'r2', 1, 0, ''), ('c3', 'erased', 2, 0, '')"
            )

        await desk.write(calls)
        page = await desk.browser.get(path)
        (section,) = page.root.all("section", aria_labelledby="calls")
        rows = [[cell.text for cell in row.all("td")][2:] for row in section.one("tbody").all("tr")]
        assert rows == [
            ["not answered", "not spoken", ""],
            ["hung up", "spoken, as it was then", ""],
            ["confirmed", "spoken", "visit 8 , erased"],
        ]
        assert section.one("a").attributes["href"] == desk.address("r2")
        assert "Yes <b>please</b>" in section.one("details").text
        assert "call 3: completed | confirmed" in history(page)
        assert "The patient was reached, and has confirmed." in page.text


async def test_a_key_and_a_change_by_another_program_are_in_the_history(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        path = await a_reminder(desk)
        await desk.run_sql(
            "UPDATE reminders SET status = 'failed', revision = revision + 1, updated_at = :at", at=to_ms(NOW)
        )
        await desk.run_sql(
            "UPDATE reminders SET status = 'scheduled', revision = 1, updated_at = :at", at=to_ms(NOW + MINUTE)
        )
        await desk.run_sql(
            "INSERT INTO audit (at, actor, act, reminder_id) VALUES (:at, 'patient', 'cancel_requested', 'r1')",
            at=to_ms(NOW + 2 * MINUTE),
        )
        lines = history(await desk.browser.get(path))
        assert lines[0] == "added | by another program, or an import"
        assert {"failed", "cancel requested by patient"} <= set(lines)


async def test_the_appointment_and_its_other_reminders_are_shown(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        appointment = {"id": "a1", "ref": "visit 7", "phone_number": PHONE, "at": to_ms(NOW + DAY), "revision": 1}
        more = {"name": "Maria Garcia", "provider": "Dr. Lee", "planned_at": to_ms(NOW + DAY)}
        await desk.write(lambda connection, _now: insert_row(connection, "appointments", appointment | more))
        own: dict[str, Any] = {"appointment_id": "a1", "planned_at": to_ms(NOW + DAY)}
        path = await a_reminder(desk, cadence="1 day", **own)
        await a_reminder(desk, "r2", cadence="2 hours", status="cancelled", end_code="answered", **own)
        page = await desk.browser.get(path)
        (section,) = page.root.all("section", aria_labelledby="appointment")
        assert page.heading == "Reminder visit 7"
        for text in ("Maria Garcia", "Dr. Lee", "2 hours before the appointment", "cancelled"):
            assert text in section.text
        assert section.one("a").attributes["href"] == desk.address("r2")
        assert "1 day before the appointment" in page.text


async def test_what_a_patient_hears_is_shown_until_it_is_purged(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        path = await a_reminder(desk)
        spoken = [one.text for one in (await desk.browser.get(path)).root.all("p", class_="spoken")]
        assert "Tomorrow at nine." in spoken
        await desk.run_sql("UPDATE reminders SET status = 'called', message = '', phone_number = ''")
        page = await desk.browser.get(path)
        assert page.root.all("p", class_="spoken") == []
        assert "Its message and its phone number were removed" in page.text
        assert offered(page) == []


async def test_a_message_with_markup_is_text(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        odd = "<script>alert(1)</script>"
        path = await a_reminder(desk, '"><img src=x onerror=alert(1)>', ref=odd, message=odd, last_error=odd)
        page = await desk.browser.get(path)
        assert page.status == 200
        assert odd in page.heading
        assert [one for one in page.root.all("script") if "src" not in one.attributes] == []
        assert page.root.all("img") == []


async def test_a_pause_and_a_busy_number_are_named(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        path = await a_reminder(desk, status="failed")
        await desk.write(partial(set_pause, on=True, reason="fire drill", actor="anna"))
        await desk.write(
            lambda connection, _now: insert_call(connection, "r1", state="placed", status="ringing", last_sign_at=0)
        )
        page = await desk.browser.get(path)
        assert "dialing is paused by anna" in page.text
        assert "It can't be called again now: a call to this number is under way (ringing)" in page.text
        assert offered(page) == ["done", "opt-out"]


async def test_the_part_is_sent_again_once_something_has_changed(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        path = await a_reminder(desk)
        page = await desk.browser.get(path)
        part = page.root.one("section", id="record")
        url = part.attributes["hx-get"]
        await desk.run_sql("UPDATE reminders SET status = 'cancelled'")
        fresh = await desk.browser.get(url)
        assert "It was cancelled" in fresh.text
        assert fresh.root.all("h1") == []
        assert offered(fresh) == ["call-again", "opt-out"]


async def test_an_act_is_done_while_nobody_can_look_it_up_by_its_id_in_the_address(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        path = await a_reminder(desk, "maria-garcia/../?x=1#y é")
        assert "maria" not in path
        page = await desk.browser.get(f"{path}/cancel")
        shown = await desk.browser.submit(page, f"{path}/cancel")
        assert shown.notice.startswith("Cancelled")
        assert (await acts(desk))[-1][2] == "maria-garcia/../?x=1#y é"


async def test_a_look_long_ago_or_in_the_future_is_another_one(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        path = await a_reminder(desk)
        at = to_ms(NOW + timedelta(days=1))
        await desk.run_sql("INSERT INTO audit (at, actor, act, reminder_id) VALUES (:at, 'maria', 'view', 'r1')", at=at)
        await desk.browser.get(path)
        assert len(await acts(desk)) == 2


async def test_nothing_is_shown_of_a_reminder_while_the_audit_can_not_be_written(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        path = await a_reminder(desk, ref="visit 7")
        await desk.write(lambda connection, _now: refuse_inserts(connection, "audit"))
        for asked in (path, f"{path}/part", f"{path}/cancel"):
            page = await desk.browser.get(asked)
            assert page.status == 500
            assert "visit 7" not in page.text
            assert PHONE not in page.response.text


async def test_the_page_is_in_the_language_of_the_pages(tmp_path: Path) -> None:
    async with desk_of(tmp_path, config=a_config(language="de")) as desk:
        path = await a_reminder(desk, status="failed", end_code="voicemail", cadence="1 week")
        page = await desk.browser.get(path)
        assert "Der Patient wurde nicht erreicht. Der Grund: die Mailbox hat geantwortet." in page.text
        assert "1 Woche" in page.text
        question = await desk.browser.get(f"{path}/done")
        await desk.run_sql("UPDATE reminders SET status = 'called'")
        refused = await desk.browser.submit(question, f"{path}/done")
        assert refused.notice == "Nicht vermerkt: es ist nichts zu tun: erreicht (Status: erreicht)."
