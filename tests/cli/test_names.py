"""A reminder is found by how its id or `ref` looks, despite invisible characters."""

from typing import Final

import pytest

from reminderd.store.rows import to_ms
from reminderd.store.sqlite.opening import open_sync
from tests.cli.conftest import Terminal
from tests.support.builders import NOW
from tests.support.rows import insert_row

FAMILY: Final = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
WRITTEN: Final = {
    "a no-break space": ("Termin\u00a07", "Termin 7"),
    "a narrow space": ("Termin\u202f7", "Termin 7"),
    "a soft hyphen": ("Ter\u00admin", "Termin"),
    "a zero-width space": ("Ter\u200bmin", "Termin"),
    "joined emoji": (f"7 {FAMILY}", f"7 {FAMILY}".replace("\u200d", "")),
    "an emoji's variation": ("\u2764\ufe0f7", "\u27647"),
    "a mark of direction": ("\u200e7-1", "7-1"),
    "a space behind it": ("7-1 ", "7-1"),
    "a space before it": (" 7-1", "7-1"),
    "decomposed letters": ("Mu\u0308ller", "M\u00fcller"),
    "composed letters": ("M\u00fcller", "Mu\u0308ller"),
    "nothing odd": ("7-1", "7\u2060-1 "),
}
CASES: Final = [pytest.param(*names, id=what) for what, names in WRITTEN.items()]


def insert(terminal: Terminal, **columns: object) -> None:
    row = {"phone_number": "+4930123456", "message": "Hello", "scheduled_at": to_ms(NOW), **columns}
    with open_sync(terminal.folder / "reminderd.db") as connection:
        insert_row(connection, "reminders", row)


@pytest.mark.parametrize(("written", "typed"), CASES)
@pytest.mark.parametrize("column", ["id", "ref"])
@pytest.mark.parametrize("exactly", [True, False])
def test_every_command_finds_a_reminder_by_how_its_name_looks(
    terminal: Terminal, written: str, typed: str, column: str, *, exactly: bool
) -> None:
    insert(terminal, **({"id": "other"} | {column: written}))
    name = written if exactly else typed
    reminder_id = written if column == "id" else "other"
    assert terminal.json("show", name)["id"] == reminder_id
    assert terminal.json("cancel", name)["status"] == "cancelled"
    assert terminal.json("call-again", name)["status"] == "scheduled"
    with open_sync(terminal.folder / "reminderd.db") as connection:
        connection.execute("UPDATE reminders SET hold_code = 'number_changed'")
    assert terminal.json("accept", name)["hold_code"] is None
    assert "Hello" in terminal.type("show", name).stdout


@pytest.mark.parametrize(("written", "typed"), CASES)
def test_the_name_shown_in_a_table_can_be_typed(terminal: Terminal, written: str, typed: str) -> None:
    insert(terminal, id="other", ref=written)
    [shown] = [cell.strip() for cell in terminal.type("list").stdout.splitlines()[3].split("│")[2:3]]
    assert terminal.json("show", shown)["id"] == "other"
    assert typed


def test_an_exact_name_wins_over_one_that_looks_the_same(terminal: Terminal) -> None:
    insert(terminal, id="one", ref="Termin 7")
    insert(terminal, id="two", ref="Termin\u00a07")
    assert terminal.json("show", "Termin 7")["id"] == "one"
    assert terminal.json("show", "Termin\u00a07")["id"] == "two"


def test_a_name_that_looks_like_two_reminders_names_is_refused(terminal: Terminal) -> None:
    insert(terminal, id="one", ref="Termin\u202f7")
    insert(terminal, id="two", ref="Termin\u00a07")
    said = terminal.type("cancel", "Termin 7", code=1).stderr
    assert said.startswith("Termin 7 is how the names of 2 reminders look; expected the id")
    assert {row["status"] for row in terminal.json("list")} == {"scheduled"}


def test_an_argument_that_is_not_valid_text_matches_no_reminder(terminal: Terminal) -> None:
    insert(terminal, id="one")
    assert "no reminder has the id or ref" in terminal.type("show", "a\udc80", code=1).stderr
    assert "no appointment has the id or ref" in terminal.type("appointment", "show", "a\udc80", code=1).stderr


@pytest.mark.parametrize(("written", "typed"), CASES)
def test_import_and_add_recognize_the_ref_and_add_no_duplicate(terminal: Terminal, written: str, typed: str) -> None:
    insert(terminal, id="one", ref=written, scheduled_at=1_893_999_600_000, message="Old.")
    line = f"{typed},+4930123456,New.,2030-01-07 09:30\n"
    (terminal.folder / "list.csv").write_text(f"ref,phone,message,at\n{line}", encoding="utf-8")
    assert "0 added, 1 changed" in terminal.type("import", "list.csv").stdout
    said = terminal.type(
        "add", "--phone", "+4930123456", "--at", "2030-01-07 09:30", "--message", "x", "--ref", typed, code=1
    )
    assert "the reminder one has this ref already" in said.stderr
    assert [row["message"] for row in terminal.json("list")] == ["New."]


def test_a_ref_is_stored_in_its_normal_form(terminal: Terminal) -> None:
    assert terminal.add("--ref", "Mu\u0308ller\u00a07\u200b")["ref"] == "M\u00fcller 7"
    said = terminal.type(
        "add", "--phone", "+4930123456", "--at", "2030-01-07 09:30", "--message", "x", "--ref", "a\nb", code=2
    )
    assert "--ref: not a name" in said.stderr
