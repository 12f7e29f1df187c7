"""`reminderd export` and `erase`: one phone number's whole record."""

import json

import pytest

from reminderd.store.sqlite.opening import open_sync
from tests.cli.conftest import Terminal
from tests.support.rows import insert_call

PHONE = "+49 30 123456"


def test_an_export_is_one_json_document_with_everything(terminal: Terminal) -> None:
    reminder_id = terminal.add()["id"]
    terminal.type("opt-out", "add", PHONE, "--source", "a letter")
    found = json.loads(terminal.type("export", PHONE).stdout)
    assert found["phone_number"] == "+4930123456"
    assert found["opt_out"]["source"] == "a letter"
    [reminder] = found["reminders"]
    assert (reminder["id"], reminder["message"], reminder["calls"]) == (reminder_id, "Tomorrow at nine.", [])
    assert [act["act"] for act in reminder["audit"]] == ["add", "opt-out"]
    with open_sync(terminal.folder / "reminderd.db") as connection:
        line = connection.execute("SELECT act, detail FROM audit ORDER BY id DESC").fetchone()
    assert tuple(line) == ("export", "a number that ends in 56")


def test_an_erasure_needs_confirmation(terminal: Terminal) -> None:
    terminal.add()
    said = terminal.type("erase", PHONE, code=1, stdin="n\n").stderr
    assert "1 reminder of this number, 1 of them waiting" in said
    assert len(terminal.json("list")) == 1
    terminal.type("erase", PHONE, stdin="y\n")
    assert terminal.json("list") == []


def test_an_erasure_removes_the_data_from_the_file_and_explains_why_the_opt_out_stays(terminal: Terminal) -> None:
    terminal.add()
    terminal.type("opt-out", "add", PHONE)
    said = terminal.type("erase", PHONE, "--yes").stdout
    assert "erased: 1 reminder, 0 calls" in said
    assert "the opt-out stays, as without it the number could be called again" in said
    assert "older backups still contain them" in said
    assert b"Tomorrow at nine." not in (terminal.folder / "reminderd.db").read_bytes()
    assert len(terminal.json("opt-out", "list")) == 1


def test_an_erasure_names_the_folders_of_files_that_it_does_not_look_into(terminal: Terminal) -> None:
    terminal.add()
    with (terminal.folder / "config.toml").open("a") as config:
        config.write('[import]\nfolder = "inbox"\n[results]\nfolder = "out"\n[retention]\ndays = 30\n')
    for folder in ("inbox/done", "inbox/rejected", "out"):
        (terminal.folder / folder).mkdir(parents=True)
    for name in ("inbox/done/list.csv", "inbox/done/list.rejected.csv", "out/answers.csv"):
        (terminal.folder / name).touch()
    said = terminal.type("erase", PHONE, "--yes").stdout
    for folder, count in (("inbox/done", "2 files"), ("out", "1 file")):
        assert f"{count} in {terminal.folder / folder} may contain them, too: delete those that do" in said
    assert said.count("; the daemon deletes all after 30 days") == 2


def test_a_number_whose_call_is_open_is_not_erased(terminal: Terminal) -> None:
    terminal.add()
    with open_sync(terminal.folder / "reminderd.db") as connection:
        connection.execute("UPDATE reminders SET status = 'processing'")
        [row] = connection.execute("SELECT id FROM reminders").fetchall()
        insert_call(connection, row["id"], state="placed")
    assert "not done: a call to this number is under way" in terminal.type("erase", PHONE, "--yes", code=1).stderr
    assert len(terminal.json("list")) == 1


@pytest.mark.parametrize("command", ["export", "erase"])
def test_unknown_and_invalid_numbers_have_different_errors(terminal: Terminal, command: str) -> None:
    terminal.add()
    assert terminal.type(command, "+4930999999", code=1).stderr == "nothing is stored about this number\n"
    assert "PHONE: without country code" in terminal.type(command, "030 123456", code=2).stderr


@pytest.mark.parametrize(
    "typed", ["+49\u00a030\u00a0123456", "+49 30 123\u00ad456", "\u202d+49 30 123456\u202c", " +4930123456 "]
)
def test_a_number_with_invisible_characters_is_found(terminal: Terminal, typed: str) -> None:
    terminal.add()
    assert len(json.loads(terminal.type("export", typed).stdout)["reminders"]) == 1
    assert "erased: 1 reminder" in terminal.type("erase", typed, "--yes").stdout
