"""What staff do: by mouse and by keyboard, with JavaScript and without; and what a page shows of it by itself."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visiting
from tests.support.desk_program import ADMIN, NAME, DeskProgram
from tests.support.waiting import until_in_thread

SCRIPTS = pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without JavaScript"])

FILE = """\
Appointment ID,Patient Name,Mobile Phone,Appointment Date,Appointment Time
W-1,Carol Simmons,(202) 555-0140,2030-03-04,09:00
W-2,Rita Okoye,see chart,2030-03-04,09:20
W-3,Alan Price,(202) 555-0143,2030-02-30,10:00
"""


def press(page: Page, name: str) -> None:
    """Press a button or follow a link of the page's content."""
    main = page.locator("main")
    main.get_by_role("button", name=name).or_(main.get_by_role("link", name=name)).first.click()


def comes_to(page: Page, text: str, *, scripts: bool) -> None:
    """Wait until a page shows a text; without JavaScript it reloads itself, but only every half a minute."""

    def is_there() -> bool:
        if page.get_by_text(text).count() == 0:
            page.reload()
            return False
        return True

    if not scripts:
        until_in_thread(is_there)
    expect(page.get_by_text(text).first).to_be_visible()


def acts_on(site: DeskProgram, patient: str) -> list[tuple[object, object]]:
    rows = site.rows(
        "SELECT audit.actor, audit.act FROM audit JOIN reminders AS r ON r.id = audit.reminder_id"
        f" JOIN appointments AS a ON a.id = r.appointment_id WHERE a.name = '{patient}' ORDER BY audit.id"
    )
    return [(row["actor"], row["act"]) for row in rows]


@SCRIPTS
def test_a_waiting_reminder_is_cancelled(visit: Visiting, site: DeskProgram, *, scripts: bool) -> None:
    patient = "Vera Molnar" if scripts else "Lena Hoffmann"
    page = visit(java_script_enabled=scripts).open(site.record_of(patient))
    press(page, "Cancel")
    press(page, "Cancel")
    expect(page.locator(".notice.success")).to_be_visible()
    expect(page.locator("#standing")).to_contain_text("cancelled")
    assert acts_on(site, patient)[-1] == (NAME, "cancel")


@SCRIPTS
def test_a_patient_is_called_again_and_the_page_follows_the_call(
    visit: Visiting, site: DeskProgram, *, scripts: bool
) -> None:
    patient = "Margaret Doyle" if scripts else "Dennis Calloway"
    page = visit(java_script_enabled=scripts).open(site.record_of(patient))
    expect(page.locator("#standing")).to_contain_text("not reached")
    page.evaluate("window.sameDocument = true")
    press(page, "Call again")
    assert (NAME, "call-again") in acts_on(site, patient)
    if not scripts:
        expect(page.locator(".notice.success")).to_be_visible()
        return
    expect(page.locator(".notice.success")).to_be_visible()
    page.evaluate("window.sameDocument = true")
    expect(page.locator("#standing")).to_contain_text("under way")
    expect(page.locator("#standing")).to_contain_text("reached")  # the provider's webhook has come
    expect(page.locator("#standing")).not_to_contain_text("not reached")
    assert page.evaluate("window.sameDocument"), "the page was reloaded"


@SCRIPTS
def test_a_manual_call_is_noted(visit: Visiting, site: DeskProgram, *, scripts: bool) -> None:
    patient = "Birgit Sommer" if scripts else "Irene Kowalski"
    page = visit(java_script_enabled=scripts).open(site.record_of(patient))
    press(page, "I called the patient")
    page.get_by_label("Note").fill("Is coming <script>alert(1)</script>")
    page.locator("main form button[type=submit]").click()
    expect(page.locator("#standing")).to_contain_text("done by staff")
    expect(page.locator("#history + table")).to_contain_text("Is coming <script>alert(1)</script>")
    assert acts_on(site, patient)[-1] == (NAME, "done")


@SCRIPTS
def test_a_patient_who_wants_no_calls_is_opted_out(visit: Visiting, site: DeskProgram, *, scripts: bool) -> None:
    patient = "Arthur Penrose" if scripts else "Robert Quinn"
    page = visit(java_script_enabled=scripts).open(site.record_of(patient))
    page.locator("#act-opt-out").click()
    page.locator("main form button[type=submit]").click()
    expect(page.locator("#standing")).to_contain_text("opted out")


def test_a_changed_number_is_accepted(visit: Visiting, site: DeskProgram) -> None:
    page = visit(java_script_enabled=False).open(site.record_of("Dorothea Lang"))
    expect(page.locator("#standing")).to_contain_text("number changed")
    page.locator("#act-accept").click()
    if page.locator("main form button.main").count() and not page.locator("#standing").count():
        page.locator("main form button.main").click()
    expect(page.locator(".notice.success")).to_be_visible()
    assert acts_on(site, "Dorothea Lang")[-1] == (NAME, "accept")


@SCRIPTS
def test_a_file_with_mistakes_is_read_before_it_is_imported(
    visit: Visiting, site: DeskProgram, tmp_path: Path, *, scripts: bool
) -> None:
    window = visit(user=NAME if scripts else ADMIN, java_script_enabled=scripts)
    file = tmp_path / "appointments.csv"
    file.write_text(FILE if scripts else FILE.replace("W-", "X-").replace("0140", "0160"))
    ref = "W-1" if scripts else "X-1"
    stored = f"SELECT 1 FROM appointments WHERE ref = '{ref}'"
    page = window.open("/import")
    page.get_by_label("File").set_input_files(file)
    press(page, "Check the file")
    comes_to(page, "What the import would do", scripts=scripts)
    refused = page.locator(".card ul").first
    expect(refused).to_contain_text("line 3: phone number")
    expect(refused).to_contain_text("line 4:")
    assert site.rows(stored) == []
    press(page, "Import it")
    comes_to(page, "The file was imported", scripts=scripts)
    expect(page.locator(".notice.success")).to_contain_text("The file was imported")
    assert len(site.rows(stored)) == 1


@SCRIPTS
def test_an_appointment_is_previewed_and_added(visit: Visiting, site: DeskProgram, *, scripts: bool) -> None:
    page = visit(java_script_enabled=scripts).open("/add/appointment")
    ref = "A-1" if scripts else "A-2"
    page.locator("#phone_number").fill(f"(202) 555-017{ref[-1]}")
    page.locator("#at_date").fill("2030-03-05")
    page.locator("#at_time").fill("09:15")
    page.locator("main summary").first.click()
    page.locator("#ref").fill(ref)
    press(page, "Preview")
    expect(page.locator("main")).to_contain_text("March 5")
    assert site.rows(f"SELECT 1 FROM appointments WHERE ref = '{ref}'") == []
    press(page, "Add")
    expect(page.locator(".notice.success")).to_be_visible()
    assert len(site.rows(f"SELECT 1 FROM appointments WHERE ref = '{ref}'")) == 1


def test_today_shows_by_itself_what_another_program_has_written(visit: Visiting, site: DeskProgram) -> None:
    page = visit().open("/")
    page.evaluate("window.sameDocument = true")
    site.run_sql(
        "INSERT INTO reminders (id, phone_number, message, scheduled_at, ref)"
        " VALUES ('walk-in', '+12025550101', 'Please call.', CAST(strftime('%s', 'now') AS INTEGER) * 1000, 'walk-in')"
    )
    expect(page.get_by_text("walk-in").first).to_be_visible()
    assert page.evaluate("window.sameDocument"), "the page was reloaded"
