"""`reminderd opt-out`: one number, a file of numbers, and back again."""

import csv
import io

import pytest

from reminderd.store.sqlite.opening import open_sync
from tests.cli.conftest import Terminal

NUMBER = "+4930123456"


def test_a_number_that_opts_out_has_its_waiting_reminders_cancelled_at_once(terminal: Terminal) -> None:
    reminder_id = terminal.add()["id"]
    said = terminal.type("opt-out", "add", "+49 30 123456", "--source", "letter of 3 May").stdout
    assert said == "opted out; 1 reminder cancelled\n"
    shown = terminal.json("show", reminder_id)
    assert (shown["status"], shown["last_error"]) == ("cancelled", "opted out")
    (row,) = terminal.json("opt-out", "list")
    assert (row["phone_number"], row["source"]) == (NUMBER, "letter of 3 May")


def test_a_removed_opt_out_may_be_called_again(terminal: Terminal) -> None:
    terminal.type("opt-out", "add", NUMBER)
    assert "opted in; cancelled reminders stay cancelled" in terminal.type("opt-out", "remove", NUMBER).stdout
    assert "had not opted out" in terminal.type("opt-out", "remove", NUMBER, code=1).stderr
    assert terminal.type("opt-out", "list").stdout == "nobody has opted out\n"


def test_a_list_can_be_exported_and_imported_again(terminal: Terminal) -> None:
    terminal.type("opt-out", "add", NUMBER)
    terminal.type("opt-out", "add", "+12025550100")
    table = terminal.type("opt-out", "list", "--csv").stdout
    assert [row[0] for row in csv.reader(io.StringIO(table))] == ["phone_number", f"'{NUMBER}", "'+12025550100"]
    terminal.type("opt-out", "remove", NUMBER)
    (terminal.folder / "numbers.csv").write_text(table)
    assert "2 numbers opted out" in terminal.type("opt-out", "import", "numbers.csv").stdout
    assert len(terminal.json("opt-out", "list")) == 2


def test_invalid_numbers_are_listed_and_the_others_are_opted_out(terminal: Terminal) -> None:
    reminder_id = terminal.add()["id"]
    (terminal.folder / "numbers.txt").write_text(f"{NUMBER}\n\n030 123\n+1 202 555 0100\n")
    result = terminal.type("opt-out", "import", "numbers.txt", code=1)
    assert "line 3: without country code" in result.stderr
    assert "2 numbers opted out; 1 reminder cancelled" in result.stdout
    assert "030" not in result.output
    assert terminal.json("show", reminder_id)["status"] == "cancelled"


@pytest.mark.parametrize("start", ["", "Name;Telefon\nAnna;+4930123457\nBerta;"])
def test_the_last_number_of_a_file_that_may_be_cut_off_is_not_opted_out(terminal: Terminal, start: str) -> None:
    (terminal.folder / "numbers.csv").write_text(f"{start}{NUMBER}")
    result = terminal.type("opt-out", "import", "numbers.csv", code=1)
    assert "the file ends without a line end, so this number may be cut off; expected one" in result.stderr
    assert NUMBER not in [row["phone_number"] for row in terminal.json("opt-out", "list")]
    (terminal.folder / "numbers.csv").write_text("+12025550100")
    assert "1 number opted out" in terminal.type("opt-out", "import", "numbers.csv").stdout


def test_the_numbers_of_a_table_are_found_by_its_header(terminal: Terminal) -> None:
    table = 'Name;Telefon;Grund\n"Müller; Anna";+49 30 123456;Brief\nBerta;;\nClara;+4930123457;\n'
    (terminal.folder / "list.csv").write_bytes(table.encode("cp1252"))
    terminal.add()
    result = terminal.type("opt-out", "import", "list.csv", code=1)
    assert result.stderr.startswith("line 3: empty")
    assert [row["phone_number"] for row in terminal.json("opt-out", "list")] == [NUMBER, "+4930123457"]


def test_our_own_report_can_be_imported_as_opt_outs(terminal: Terminal) -> None:
    terminal.add()
    (terminal.folder / "report.csv").write_text(terminal.type("report", "--date", "2030-01-07", "--csv").stdout)
    assert "1 number opted out; 1 reminder cancelled" in terminal.type("opt-out", "import", "report.csv").stdout
    assert [row["phone_number"] for row in terminal.json("opt-out", "list")] == [NUMBER]


@pytest.mark.parametrize("name", [b"Lef\xe8vre", b"Lef\xe8vre, M\xc3\xbcller", b"M\xc3\xbc\xc3\xbcller\xe8"])
def test_numbers_are_read_even_if_other_cells_cannot_be_decoded(terminal: Terminal, name: bytes) -> None:
    table = b"Do not call\n\nname;phone\n" + name + b";+49 30 123456\n"
    (terminal.folder / "list.csv").write_bytes(table)
    assert "1 number opted out" in terminal.type("opt-out", "import", "list.csv").stdout


def test_every_number_of_a_line_is_opted_out(terminal: Terminal) -> None:
    terminal.add()
    table = f"Name,Telefon,Handy\nAnna,{NUMBER},+4930123457\nBerta,,+4930123458\nClara,+4930123459,+4930123459\n"
    (terminal.folder / "list.csv").write_text(table)
    said = terminal.type("opt-out", "import", "list.csv").stdout
    assert said.startswith(
        "list.csv: every number of a line is opted out\n  phone numbers: Telefon, Handy\n  ignored: Name\n"
    )
    assert "4 numbers opted out; 1 reminder cancelled" in said
    opted_out = [row["phone_number"] for row in terminal.json("opt-out", "list")]
    assert sorted(opted_out) == [NUMBER, "+4930123457", "+4930123458", "+4930123459"]


def test_a_wrong_number_does_not_keep_the_others_of_its_line_from_opting_out(terminal: Terminal) -> None:
    table = f"Telefon,Handy\n{NUMBER},030 123\n-,\n030,031\n"
    (terminal.folder / "list.csv").write_text(table)
    result = terminal.type("opt-out", "import", "list.csv", code=1)
    assert [line.partition(";")[0] for line in result.stderr.splitlines() if line.startswith("line")] == [
        "line 2: Handy: without country code, and [clinic].country is not set",
        "line 3: empty",
        "line 4: Telefon: without country code, and [clinic].country is not set",
        "line 4: Handy: without country code, and [clinic].country is not set",
    ]
    assert "1 number opted out" in result.stdout
    assert result.stderr.endswith("3 lines with a missing or a wrong number\n")
    assert [row["phone_number"] for row in terminal.json("opt-out", "list")] == [NUMBER]


@pytest.mark.parametrize("source", ["a\x1bb", "x" * 201])
def test_a_source_is_a_short_printable_text_as_on_the_page(terminal: Terminal, source: str) -> None:
    (terminal.folder / "numbers.csv").write_text(f"{NUMBER}\n")
    for words in (["add", NUMBER], ["import", "numbers.csv"]):
        said = terminal.type("opt-out", *words, "--source", source, code=2).stderr
        assert said.splitlines()[-1] == "--source: expected at most 200 printable characters"
    (terminal.folder / "numbers.csv").rename(terminal.folder / "a\x1bb.csv")
    terminal.type("opt-out", "import", "a\x1bb.csv")
    assert [row["source"] for row in terminal.json("opt-out", "list")] == ["import of a…b.csv"]


def test_a_line_whose_quotes_do_not_match_is_listed_with_this_reason(terminal: Terminal) -> None:
    (terminal.folder / "numbers.csv").write_text(f'phone\n"+4930123457\n{NUMBER}\n')
    result = terminal.type("opt-out", "import", "numbers.csv", code=1)
    assert result.stderr.splitlines()[-2].startswith("line 2: quotes: they don't match; expected a cell in quotes")
    assert [row["phone_number"] for row in terminal.json("opt-out", "list")] == [NUMBER]


def test_a_table_with_ambiguous_columns_changes_nothing(terminal: Terminal) -> None:
    terminal.add()
    (terminal.folder / "list.csv").write_text(f"{NUMBER},+4930123457\n")
    said = terminal.type("opt-out", "import", "list.csv", code=2).stderr
    assert said == (
        "list.csv: more than one column of phone numbers, and no header;"
        " expected a header like phone above each column whose numbers are to be opted out\n"
    )
    assert terminal.json("opt-out", "list") == []


def test_a_binary_file_is_wrong_usage(terminal: Terminal) -> None:
    (terminal.folder / "numbers.txt").write_bytes(b"+4930123456\n\0\0")
    assert "so it is not text; expected CSV" in terminal.type("opt-out", "import", "numbers.txt", code=2).stderr
    (terminal.folder / "numbers.xls").write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504))
    assert "it is an Excel workbook; expected CSV" in terminal.type("opt-out", "import", "numbers.xls", code=2).stderr
    assert "PHONE: without country code" in terminal.type("opt-out", "add", "030", code=2).stderr


def test_every_change_is_in_the_audit_without_a_number(terminal: Terminal) -> None:
    terminal.add()
    terminal.type("opt-out", "add", NUMBER)
    terminal.type("opt-out", "remove", NUMBER)
    with open_sync(terminal.folder / "reminderd.db") as connection:
        rows = [tuple(row) for row in connection.execute("SELECT act, reminder_id IS NULL, detail FROM audit")]
    assert rows == [
        ("add", 0, None),
        ("opt-out", 0, None),
        ("opt-out", 1, "a number that ends in 56"),
        ("opt-in", 1, "a number that ends in 56"),
    ]
