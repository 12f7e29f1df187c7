"""The command `import`, in this process."""

import csv
import io
import os
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from stat import S_IMODE
from threading import Thread
from typing import Any
from zipfile import ZipFile, ZipInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reminderd.cli.main import reminderd
from reminderd.clock import SystemClock
from reminderd.core.requests import ReminderRequest
from reminderd.core.tables.csv_rows import original_cell
from reminderd.imports.loop import CHUNK, MOST_WARNINGS
from reminderd.store import reminders
from reminderd.store.connection import transaction
from reminderd.store.intake import API, Source
from reminderd.store.sqlite.opening import open_sync
from tests.cli.conftest import Terminal
from tests.support.builders import RULES
from tests.support.store import contents

GOOD = "7,+4930123456,Tomorrow at nine.,2030-01-07 09:30\n"

FILES = Path(__file__).parents[1] / "core" / "files"


def write(terminal: Terminal, text: str | bytes, header: str = "ref,phone,message,at\n") -> Path:
    path = terminal.folder / "list.csv"
    path.write_bytes(text if isinstance(text, bytes) else (header + text).encode())
    return path


def rejected(terminal: Terminal, name: str = "list.rejected.csv") -> list[list[str]]:
    with (terminal.folder / name).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def stored(terminal: Terminal) -> dict[str, list[tuple[Any, ...]]]:
    """Return everything stored except the records of the imports themselves."""
    with open_sync(terminal.folder / "reminderd.db") as connection:
        return {table: rows for table, rows in contents(connection).items() if table != "imports"}


def test_a_line_becomes_a_reminder(terminal: Terminal) -> None:
    write(terminal, GOOD)
    said = terminal.type("import", "list.csv").stdout
    assert "UTF-8, commas between cells" in said
    assert "1 added, 0 changed, 0 unchanged, 0 rejected" in said
    [row] = terminal.json("list")
    assert (row["ref"], row["phone_number"], row["scheduled_at"]) == (
        "7",
        "+4930123456",
        "2030-01-07T09:30:00.000+01:00",
    )
    assert not (terminal.folder / "list.rejected.csv").exists()


def test_the_result_of_a_small_table_is_printed_once(terminal: Terminal) -> None:
    write(terminal, GOOD)
    assert terminal.type("import", "list.csv").output.count("1 added") == 1


def test_importing_the_same_file_again_changes_nothing(terminal: Terminal) -> None:
    write(terminal, GOOD + ",+4930123457,No ref.,2030-01-07 09:30\n")
    terminal.type("import", "list.csv")
    before = stored(terminal)
    assert "0 added, 0 changed, 2 unchanged" in terminal.type("import", "list.csv").stdout
    assert stored(terminal) == before


def test_an_edited_line_changes_its_reminder(terminal: Terminal) -> None:
    write(terminal, GOOD)
    terminal.type("import", "list.csv")
    write(terminal, GOOD.replace("09:30", "10:30"))
    assert "0 added, 1 changed" in terminal.type("import", "list.csv").stdout
    [row] = terminal.json("list")
    assert row["scheduled_at"] == row["wake_at"] == "2030-01-07T10:30:00.000+01:00"


def test_an_edited_line_of_a_cancelled_reminder_is_rejected(terminal: Terminal) -> None:
    write(terminal, GOOD)
    terminal.type("import", "list.csv")
    terminal.type("cancel", "7")
    terminal.type("import", "list.csv")
    write(terminal, GOOD.replace("09:30", "10:30"))
    terminal.type("import", "list.csv", code=1)
    assert "already cancelled" in rejected(terminal)[1][1]


def test_good_lines_are_imported_and_bad_lines_are_written_with_number_and_reason(terminal: Terminal) -> None:
    bad = (
        '8,030 123456,"Tomorrow,\nat nine.",2030-01-07 09:30\n'
        "9,+4930123456,,soon\n"
        "10,+4930123456,Late.,2020-01-07 09:30\n"
        '11,"+4930123456,Hello.,2030-01-07 09:30\n'
        "7,+4930123456,Something else.,2030-01-07 09:30\n"
    )
    write(terminal, bad[: -len("7,+4930123456,Something else.,2030-01-07 09:30\n")] + GOOD + bad[-47:])
    result = terminal.type("import", "list.csv", code=1)
    assert "1 added, 0 changed, 0 unchanged, 5 rejected" in result.stdout
    assert "1  phone_number: without country code, and [clinic].country is not set" in result.stdout
    assert "123456" not in result.output
    header, *rows = rejected(terminal)
    assert header == ["line", "reason", "ref", "phone", "message", "at"]
    assert [row[0] for row in rows] == ["2", "4", "5", "6", "8"]
    assert rows[0][2:] == ["8", "030 123456", "Tomorrow,\nat nine.", "2030-01-07 09:30"]
    assert "message: empty" in rows[1][1]
    assert "scheduled_at: not a time" in rows[1][1]
    assert "too late" in rows[2][1]
    assert rows[3][1].startswith("quotes: they don't match")
    assert rows[4][1].startswith("ref: line 7 has the same ref")
    assert [row["ref"] for row in terminal.json("list")] == ["7"]


def test_the_rejected_file_can_be_corrected_and_imported(terminal: Terminal) -> None:
    write(terminal, "8;030 123456;Hello.;2030-01-07 09:30\n", "ref;phone;message;at\n")
    terminal.type("import", "list.csv", code=1)
    file = terminal.folder / "list.rejected.csv"
    file.write_text(file.read_text().replace("030 123456", "+49 30 123456"))
    assert "ignored: line, reason" in terminal.type("import", file.name).stdout
    assert terminal.json("list")[0]["phone_number"] == "+4930123456"


def test_the_rejected_file_is_removed_when_no_line_is_rejected(terminal: Terminal) -> None:
    write(terminal, "8,030,Hello.,2030-01-07 09:30\n")
    terminal.type("import", "list.csv", code=1)
    assert (terminal.folder / "list.rejected.csv").exists()
    write(terminal, GOOD)
    terminal.type("import", "list.csv")
    assert not (terminal.folder / "list.rejected.csv").exists()


def test_a_repeated_line_is_one_reminder(terminal: Terminal) -> None:
    no_ref = ",+4930123456,No ref.,2030-01-07 09:30"
    write(terminal, f"{GOOD}{GOOD}{no_ref}\n{no_ref}\n{no_ref},2030-01-08 09:30\n", "ref,phone,message,at,expires\n")
    assert "2 added, 0 changed, 2 unchanged, 1 rejected" in terminal.type("import", "list.csv", code=1).stdout
    assert "same as on line 4" in rejected(terminal)[1][1]


def test_a_dry_run_creates_no_database(terminal: Terminal) -> None:
    write(terminal, GOOD + "8,030,Hello.,2030-01-07 09:30\n")
    said = terminal.type("import", "list.csv", "--dry-run", code=1).stdout
    assert "dry run, nothing was changed; the import would be: 1 added, 0 changed, 0 unchanged, 1 rejected" in said
    assert not (terminal.folder / "reminderd.db").exists()
    assert len(rejected(terminal)) == 2


def test_a_dry_run_compares_with_the_database_and_changes_no_byte(terminal: Terminal) -> None:
    write(terminal, GOOD)
    terminal.type("import", "list.csv")
    before = (terminal.folder / "reminderd.db").read_bytes()
    write(terminal, GOOD.replace("nine", "ten") + "8,+4930123456,Hello.,2030-01-07 09:30\n")
    assert "1 added, 1 changed" in terminal.type("import", "list.csv", "--dry-run").stdout
    assert (terminal.folder / "reminderd.db").read_bytes() == before


def test_each_reminder_has_an_audit_line_that_names_it_and_the_file(terminal: Terminal) -> None:
    size = CHUNK
    write(terminal, "".join(f"{n},+4930{1000000 + n},Hello.,2030-01-07 09:30\n" for n in range(size + 1)))
    result = terminal.type("import", "list.csv")
    assert f"{size:,} added" in result.stderr
    with open_sync(terminal.folder / "reminderd.db") as connection:
        lines = connection.execute("SELECT act, detail, reminder_id FROM audit ORDER BY id").fetchall()
        ids = {row["id"] for row in connection.execute("SELECT id FROM reminders")}
    assert {(line["act"], line["detail"]) for line in lines} == {("add", "import of list.csv")}
    assert len(lines) == size + 1
    assert {line["reminder_id"] for line in lines} == ids


def test_a_ref_is_recognized_across_chunks(terminal: Terminal) -> None:
    size = CHUNK
    rows = [f"{n},+4930{1000000 + n},Hello.,2030-01-07 09:30\n" for n in range(size)]
    write(terminal, "".join([*rows, rows[0], rows[1].replace("Hello", "Bye")]))
    said = terminal.type("import", "list.csv", code=1).stdout
    assert f"{size:,} added, 0 changed, 1 unchanged, 1 rejected" in said
    assert "line 3 has the same ref" in rejected(terminal)[1][1]


def test_standard_input_needs_the_rejected_option(terminal: Terminal) -> None:
    text = f"ref,phone,message,at\n{GOOD}8,030,Hello.,2030-01-07 09:30\n"
    assert "--rejected: missing" in terminal.type("import", "-", code=2).stderr
    result = terminal.type("import", "-", "--rejected", "bad.csv", code=1, stdin=text)
    assert "1 added" in result.stdout
    assert len(rejected(terminal, "bad.csv")) == 2


def test_a_named_pipe_can_be_imported(terminal: Terminal) -> None:
    pipe = terminal.folder / "pipe.csv"
    os.mkfifo(pipe)
    writer = Thread(target=pipe.write_text, args=(f"ref,phone,message,at\n{GOOD}",))
    writer.start()
    assert "1 added" in terminal.type("import", "pipe.csv").stdout
    writer.join()


def test_a_terminal_shows_a_progress_bar(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    write(terminal, GOOD)
    said = terminal.type("import", "list.csv").stderr
    assert "100%" in said
    assert "1 added" in said


def test_the_imported_file_cannot_be_the_rejected_file(terminal: Terminal) -> None:
    write(terminal, GOOD)
    assert "FILE itself" in terminal.type("import", "list.csv", "--rejected", "./list.csv", code=2).stderr


def test_an_unwritable_rejected_file_is_a_one_line_error(terminal: Terminal) -> None:
    write(terminal, "8,030,Hello.,2030-01-07 09:30\n")
    said = terminal.type("import", "list.csv", "--rejected", "nowhere/bad.csv", code=2).stderr
    assert said == "--rejected: nowhere/bad.csv: there is no folder nowhere\n"


def test_ambiguous_columns_are_all_listed_at_once_with_exit_code_2(terminal: Terminal) -> None:
    write(terminal, "", "Mobile,Cell,at\n")
    said = terminal.type("import", "list.csv", code=2).stderr
    for words in ("phone_number: 2 columns fit", "message: no column", 'headers found: "Mobile", "Cell", "at"'):
        assert words in said


def test_the_map_option_names_a_column(terminal: Terminal) -> None:
    write(terminal, GOOD, "Nr,Phone,Praxis,at\n")
    terminal.type("import", "list.csv", "--map", "message=praxis", "--map", "ref=Nr")
    assert terminal.json("list")[0]["ref"] == "7"


@pytest.mark.parametrize("entry", ["message", "phone_number=", "ref", "words=Text", "=Text"])
def test_an_invalid_map_option_ends_with_exit_code_2(terminal: Terminal, entry: str) -> None:
    write(terminal, GOOD)
    assert "expected COLUMN=HEADER" in terminal.type("import", "list.csv", "--map", entry, code=2).stderr


def test_mapping_a_column_twice_is_an_error(terminal: Terminal) -> None:
    write(terminal, GOOD)
    words = ("import", "list.csv", "--map", "ref=ref", "--map", "ref=phone")
    assert "ref twice" in terminal.type(*words, code=2).stderr


@pytest.mark.parametrize(
    ("dates", "days"),
    [
        (["1/2/2030 09:30", "13/2/2030 09:30"], ["2030-02-01", "2030-02-13"]),
        (["1/2/2030 09:30", "2/13/2030 9:30 AM"], ["2030-01-02", "2030-02-13"]),
    ],
)
def test_one_unambiguous_date_decides_the_order_for_the_whole_file(
    terminal: Terminal, dates: list[str], days: list[str]
) -> None:
    write(terminal, "".join(f"{n},+4930123456,Hello.,{date}\n" for n, date in enumerate(dates)))
    terminal.type("import", "list.csv")
    assert [row["scheduled_at"][:10] for row in terminal.json("list")] == days


def test_dates_that_are_all_ambiguous_need_the_dates_option(terminal: Terminal) -> None:
    write(terminal, "7,+4930123456,Hello.,1/2/2030 09:30\n")
    said = terminal.type("import", "list.csv", code=2).stderr
    assert "line 2" in said
    assert "--dates dmy or --dates mdy" in said
    terminal.type("import", "list.csv", "--dates", "mdy")
    assert terminal.json("list")[0]["scheduled_at"].startswith("2030-01-02")


def test_dates_that_contradict_each_other_need_the_dates_option(terminal: Terminal) -> None:
    write(terminal, "7,+4930123456,Hello.,13/2/2030 09:30\n8,+4930123456,Hello.,2/13/2030 09:30\n")
    assert "line 2 and line 3" in terminal.type("import", "list.csv", code=2).stderr
    assert (
        "1 added, 0 changed, 0 unchanged, 1 rejected"
        in terminal.type("import", "list.csv", "--dates", "dmy", code=1).stdout
    )


HEADER = b"ref,phone,message,at\n"
OLD_EXCEL = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504)


def zipped(*names: str) -> bytes:
    """Return a ZIP archive, as newer workbooks are, with these files in it."""
    packed = io.BytesIO()
    with ZipFile(packed, "w") as archive:
        for name in names:
            kind = "application/vnd.oasis.opendocument.spreadsheet"
            archive.writestr(ZipInfo(name), kind if name == "mimetype" else f"<{name}/>")
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty"),
        (b"\n\n", "it is empty"),
        (b'"ref,phone', "the header: quotes"),
        (HEADER + b"7,\0\0\0", "NUL bytes"),
        (HEADER.decode().encode("utf-32"), "NUL bytes"),
        (b"\xef\xbb\xbf" + HEADER + b"7,\0\0\0", "NUL bytes"),
        (OLD_EXCEL, "it is an Excel workbook; expected CSV: in Excel, save it as CSV UTF-8"),
        (zipped("[Content_Types].xml", "xl/workbook.xml"), "it is an Excel workbook; expected CSV"),
        (zipped("mimetype", "content.xml"), "it is an OpenDocument spreadsheet; expected CSV: in LibreOffice, save it"),
        (zipped("list.csv"), "it is a ZIP archive; expected the CSV file in it"),
        (b"sep=;\n", "it is empty"),
        (b"ref,phone,m\xe8ssage,at\n\xc3\xa4\n", "the header: encoding: a letter can't be read"),
        (HEADER + b"7,+4930123456,\xc3\xa4\n8,+4930123456,\xe4 \xe4,x\n", "a part of it is UTF-8, and a part is not"),
        (
            HEADER + b"7,+4930123456,Mme Lef\xe8vre,x\n",
            "line 2 has a letter that may be è (Windows-1252) or č (Windows-1250)",
        ),
        (
            HEADER + b"\n7,+4930123456,Ma\xf1ana,x\n",
            "line 3 has a letter that may be ñ (Windows-1252) or ń (Windows-1250)",
        ),
        (HEADER + b"7,+4930123456,\xc4\xce\xcd,x\n", "line 2 has letters that may be of more than one alphabet"),
        (HEADER + b"\x81\xe4", "line 2 has a letter that may be"),
        # as Excel saves "CSV (Macintosh)" and "CSV (MS-DOS)"
        (
            HEADER + "7,+4930123456,Herr Jäger,x\n".encode("mac-roman"),
            "line 2 has a letter that may be Š (Windows-1252) or è (cp850 of MS-DOS) or ä (mac-roman); expected --enc",
        ),
        (HEADER + "7,+4930123456,Steinstraße,x\n".encode("mac-roman"), "may be § (Windows-1252)"),
        (HEADER + "7,+4930123456,Mme André,x\n".encode("mac-roman"), "may be Ž (Windows-1252)"),
        (HEADER + "7,+4930123456,Sr. Peña,x\n".encode("mac-roman"), "may be – (Windows-1252)"),
        (HEADER + "7,+4930123456,Herr Köhler,x\n".encode("mac-roman"), "or Ü (cp850 of MS-DOS) or ö (mac-roman)"),
        (HEADER + "7,+4930123456,Herr Jäger,x\n".encode("cp850"), "may be „ (Windows-1252) or ä (cp850 of MS-DOS)"),
        (
            HEADER + "7,+4930123456,Mme André,x\n".encode("cp850"),
            "may be \N{SINGLE LOW-9 QUOTATION MARK} (Windows-1252) or é (cp850 of MS-DOS)",
        ),
        (HEADER + "7,+4930123456,Herr Özdemir,x\n".encode("cp850"), "may be ™ (Windows-1252) or Ö (cp850 of MS-DOS)"),
        (HEADER + "7,+4930123456,KÖNIG,x\n".encode("cp850"), "may be ™ (Windows-1252) or Ö (cp850 of MS-DOS)"),
        (HEADER + "7,+4930123456,JÄGER,x\n".encode("cp850"), "may be Ž (Windows-1252) or Ä (cp850 of MS-DOS)"),
        (HEADER + "7,+4930123456,STRAßER MÜLLER,x\n".encode("cp850"), "may be š (Windows-1252) or Ü (cp850 of MS-DOS)"),
        (HEADER + "7,+4930123456,JÄGER,x\n".encode("mac-roman"), "may be € (Windows-1252) or Ç (cp850 of MS-DOS)"),
    ],
)
def test_a_file_that_cannot_be_read_whole_ends_with_exit_code_2(terminal: Terminal, content: bytes, why: str) -> None:
    write(terminal, content)
    assert why in terminal.type("import", "list.csv", code=2).stderr
    assert not (terminal.folder / "reminderd.db").exists()


@pytest.mark.parametrize(
    "message",
    [
        "„Grüße“ – O\u2019Brien… 5 €, geht\u2018s? \u201aja\u2018",
        "Herr Šimek und Frau Žižka",
        "KOŠICE, § 5, Mo–Fr",
        "Tomáš und Božena",
        "BOŽENA MÜLLER, PRAXIS™, MO–FR, 5€",
    ],
)
def test_signs_and_letters_of_windows_1252_are_read_where_they_make_sense(terminal: Terminal, message: str) -> None:
    write(terminal, HEADER + f'7,+4930123456,"{message}",2030-01-07 09:30\n'.encode("windows-1252"))
    terminal.type("import", "list.csv")
    assert terminal.json("list")[0]["message"] == message


@pytest.mark.parametrize(
    ("begin", "codec", "bad"),
    [
        (b"\xef\xbb\xbf", "utf-8", b"M\xfcller"),
        (b"", "utf-8", b"M\xfcller"),
        (b"\xff\xfe", "utf-16-le", b"\x00\xd8"),
    ],
    ids=["UTF-8 with a mark", "UTF-8 in all the rest", "UTF-16"],
)
def test_an_undecodable_byte_rejects_only_its_own_line_if_the_encoding_is_certain(
    terminal: Terminal, begin: bytes, codec: str, bad: bytes
) -> None:
    before, after = (
        "7,+4930123456,Grüße.,2030-01-07 09:30\n8,+4930123457,",
        ",2030-01-07 09:30\n9,+4930123458,Zwölf.,2030-01-07 09:30\n",
    )
    write(terminal, begin + ("ref,phone,message,at\n" + before).encode(codec) + bad + after.encode(codec))
    said = terminal.type("import", "list.csv", code=1).stdout
    assert "2 added, 0 changed, 0 unchanged, 1 rejected" in said
    assert "encoding: a letter can't be read" in said
    assert rejected(terminal)[1][0] == "3"
    assert {row["ref"] for row in terminal.json("list")} == {"7", "9"}


@pytest.mark.parametrize(
    ("name", "letter"), [("windows-1252", "è"), ("cp1250", "č"), ("ISO-8859-2", "č"), ("850", "Þ")]
)
def test_the_encoding_option_is_used(terminal: Terminal, name: str, letter: str) -> None:
    write(terminal, HEADER + b"7,+4930123456,\xe8,2030-01-07 09:30\n")
    terminal.type("import", "list.csv", "--encoding", name)
    [row] = stored(terminal)["reminders"]
    assert letter in row


def test_letters_with_the_same_bytes_in_all_spreadsheet_encodings_need_no_option(terminal: Terminal) -> None:
    write(terminal, HEADER + "7,+4930123456,Grüße, 2030-01-07 09:30\n".encode("cp1252"))
    assert "Windows-1252, commas between cells" in terminal.type("import", "list.csv").stdout


@pytest.mark.parametrize("name", ["", "klingon", "rot13", "idna", "utf-7"])
def test_an_encoding_that_spreadsheets_never_write_is_wrong_usage(terminal: Terminal, name: str) -> None:
    write(terminal, GOOD)
    assert (
        "is unknown; expected a name like utf-8"
        in terminal.type("import", "list.csv", "--encoding", name, code=2).stderr
    )


def test_an_encoding_that_contradicts_the_byte_order_mark_is_refused(terminal: Terminal) -> None:
    write(terminal, b"\xef\xbb\xbf" + HEADER + GOOD.encode())
    assert "begins with the mark of UTF-8" in terminal.type("import", "list.csv", "--encoding", "cp1252", code=2).stderr
    (terminal.folder / "list.csv").write_bytes("phone,message,at\n".encode("utf-16-be"))
    said = terminal.type("import", "list.csv", "--encoding", "utf-16", code=2).stderr
    assert "expected --encoding utf-16-le or utf-16-be" in said
    terminal.type("import", "list.csv", "--encoding", "utf-8")


@pytest.mark.parametrize("mode", [0o400, 0o440])
@pytest.mark.parametrize("words", [["import"], ["opt-out", "import"]])
def test_a_secret_file_is_refused_as_a_table_and_never_printed(terminal: Terminal, words: list[str], mode: int) -> None:
    secret = terminal.folder / "secret_token"
    secret.write_text("5ecret\n")
    secret.chmod(mode)
    (terminal.folder / "patients.csv").symlink_to(secret)
    said = terminal.type(*words, "patients.csv", code=2)
    assert said.stderr == "patients.csv: its mode is that of a secret; expected a table that its owner may write\n"
    assert said.stdout == ""


def test_excels_sep_line_sets_the_delimiter(terminal: Terminal) -> None:
    write(terminal, GOOD.replace(",", ";") + "8;030;Hello.;\n", "sep=;\nref;phone;message;at\n")
    terminal.type("import", "list.csv", code=1)
    assert rejected_line(terminal) == "4"


def rejected_line(terminal: Terminal) -> str:
    with (terminal.folder / "list.rejected.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file, delimiter=";"))[1][0]


def test_a_file_with_only_a_header_is_valid(terminal: Terminal) -> None:
    write(terminal, "")
    assert "0 added" in terminal.type("import", "list.csv").stdout


def test_a_missing_file_ends_with_exit_code_2(terminal: Terminal) -> None:
    assert "nothing.csv" in terminal.type("import", "nothing.csv", code=2).stderr


WINDOWS = "".join(bytes([byte]).decode("cp1252") for byte in {*range(1, 256)} - {0x81, 0x8D, 0x8F, 0x90, 0x9D})
DIALECTS = st.sampled_from(
    # Before Python 3.13 csv.writer forgets to quote a line break that is not its own.
    [(delimiter, *style) for delimiter in ",;\t|" for style in (("\r\n", csv.QUOTE_MINIMAL), ("\n", csv.QUOTE_ALL))]
)


def tables(alphabet: Any) -> st.SearchStrategy[list[tuple[str, str, datetime]]]:
    phones = st.integers(0, 9_999_999).map(lambda number: f"+49301{number:07}")
    messages = st.text(alphabet, min_size=1, max_size=60).filter(
        lambda text: any(map(str.isalnum, text)) and original_cell(text) == text
    )
    times = st.datetimes(datetime(2030, 1, 1), datetime(2040, 1, 1)).map(  # noqa: DTZ001 - written as local time
        lambda time: time.replace(hour=12, second=0, microsecond=0)
    )
    return st.lists(st.tuples(phones, messages, times), min_size=1, max_size=20)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]).flatmap(
        lambda codec: st.tuples(
            st.just(codec),
            tables(st.characters(exclude_characters="\0\N{REPLACEMENT CHARACTER}", exclude_categories=["Cs"])),
        )
    )
    | st.tuples(st.just("cp1252"), tables(WINDOWS)),
    DIALECTS,
)
def test_any_table_a_spreadsheet_writes_is_imported_unchanged(
    terminal: Terminal, encoded: tuple[str, list[tuple[str, str, datetime]]], dialect: tuple[str, str, Any]
) -> None:
    (codec, table), (delimiter, end, quoting) = encoded, dialect
    (terminal.folder / "reminderd.db").unlink(missing_ok=True)
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow(["Réf", "Téléphone", "Texte", "Date d'appel", "Heure d'appel"])
    writer.writerows(
        [n, phone, message, f"{at:%d.%m.%Y}", f"{at:%H:%M}"] for n, (phone, message, at) in enumerate(table)
    )
    write(terminal, text.getvalue().encode(codec))
    terminal.type("import", "list.csv", *(["--encoding", codec] if codec == "cp1252" else []))
    with open_sync(terminal.folder / "reminderd.db") as connection:
        found = connection.execute("SELECT phone_number, message FROM reminders ORDER BY CAST(ref AS INT)").fetchall()
    assert [tuple(row) for row in found] == [(phone, message) for phone, message, _ in table]
    times = [row["scheduled_at"][:16] for row in sorted(terminal.json("list"), key=lambda row: int(row["ref"]))]
    assert times == [f"{at:%Y-%m-%dT%H:%M}" for _, _, at in table]


def test_lines_may_name_a_template_and_the_appointment_instead_of_a_message(terminal: Terminal) -> None:
    (terminal.folder / "templates.toml").write_text(
        'calling.timezone = "Europe/Berlin"\nmessages.templates.checkup = "On {date} at {time}."\n'
    )
    header = "ref,phone,at,template,appointment time,message\n"
    write(
        terminal,
        "7,+4930123456,2030-01-07 09:30,checkup,2030-01-08 16:00,\n"
        "8,+4930123457,2030-01-07 09:30,,,Hello.\n"
        "9,+4930123458,2030-01-07 09:30,surgery,2030-01-08 16:00,\n",
        header,
    )
    terminal.type("import", "--config", "templates.toml", "list.csv", code=1)
    assert [row[1:] for row in rejected(terminal)][1][0].startswith("template: unknown")
    with open_sync(terminal.folder / "reminderd.db") as connection:
        messages = [row["message"] for row in connection.execute("SELECT message FROM reminders ORDER BY ref")]
    assert messages == ["On Tuesday, January 8 at 4:00 PM.", "Hello."]


def test_the_audit_masks_a_phone_number_in_the_file_name(terminal: Terminal) -> None:
    (terminal.folder / "+4930123456.csv").write_text("ref,phone,message,at\n" + GOOD)
    terminal.type("import", "+4930123456.csv")
    with open_sync(terminal.folder / "reminderd.db") as connection:
        [line] = [row["detail"] for row in connection.execute("SELECT detail FROM audit")]
    assert line == "import of +********56.csv"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_the_rejected_file_has_the_permissions_of_the_table(terminal: Terminal, mode: int) -> None:
    write(terminal, "ref,phone,message,at\n1,030 1,Hello.,2030-01-07 09:30\n")
    (terminal.folder / "list.csv").chmod(mode)
    terminal.type("import", "list.csv", code=1)
    assert S_IMODE((terminal.folder / "list.rejected.csv").stat().st_mode) == mode


def test_rejected_lines_of_standard_input_are_readable_only_by_their_owner(terminal: Terminal) -> None:
    bad = "ref,phone,message,at\n1,030 1,Hello.,2030-01-07 09:30\n"
    terminal.type("import", "-", "--rejected", "bad.csv", code=1, stdin=bad)
    assert S_IMODE((terminal.folder / "bad.csv").stat().st_mode) == 0o600


@pytest.mark.parametrize("by", ["staff", "the clinic's own system"])
def test_an_import_never_revives_a_cancelled_reminder(terminal: Terminal, by: str) -> None:
    line = ",+4930123456,Grüße  von uns.,2030-01-07 09:30\n"
    write(terminal, line, header="ref,phone,message,at\n")
    terminal.type("import", "list.csv")
    [row] = terminal.json("list")
    if by == "staff":
        terminal.type("cancel", row["id"])
    else:
        with open_sync(terminal.folder / "reminderd.db") as connection:
            source = Source(actor=API)
            fn = partial(reminders.cancel, reminder_id=row["id"], rules=RULES, source=source)
            transaction(connection, fn, SystemClock().now())
    for same in (
        line,
        line.replace("09:30", "09:30+01:00"),
        line.replace("ü", "u\u0308"),
        line.replace("  ", "\u00a0"),
    ):
        write(terminal, same, header="ref,phone,message,at\n")
        terminal.runner.invoke(reminderd, ["import", "list.csv"])
        assert [(one["id"], one["status"]) for one in terminal.json("list")] == [(row["id"], "cancelled")]


def test_an_import_recognizes_a_reminder_that_was_withdrawn_and_added_again(terminal: Terminal) -> None:
    write(terminal, ",+4930123456,Hello.,2030-01-07 09:30\n", header="ref,phone,message,at\n")
    terminal.type("import", "list.csv")
    request = ReminderRequest(
        phone_number="+4930123456", message="Hello.", scheduled_at=datetime(2030, 1, 7, 8, 30, tzinfo=UTC)
    )
    source = Source(actor=API)
    with open_sync(terminal.folder / "reminderd.db") as connection:
        cancel = partial(reminders.cancel, reminder_id=request.own_id, rules=RULES, source=source)
        transaction(connection, cancel, SystemClock().now())
        put = partial(reminders.put, requests=[request], rules=RULES, mint=str, source=source)
        transaction(connection, put, SystemClock().now())
    assert "0 added, 0 changed, 1 unchanged" in terminal.type("import", "list.csv").stdout
    assert sorted(row["status"] for row in terminal.json("list")) == ["cancelled", "scheduled"]


def test_a_cancelled_appointment_cancels_a_reminder_that_was_added_again(
    terminal: Terminal,
) -> None:
    header = "ref,phone,message,at,status\n"
    request = ReminderRequest(
        phone_number="+4930123456", message="Hello.", scheduled_at=datetime(2030, 1, 7, 8, 30, tzinfo=UTC)
    )
    source = Source(actor=API)
    with open_sync(terminal.folder / "reminderd.db") as connection:
        put = partial(reminders.put, requests=[request], rules=RULES, mint=str, source=source)
        cancel = partial(reminders.cancel, reminder_id=request.own_id, rules=RULES, source=source)
        for fn in (put, cancel, put):
            transaction(connection, fn, SystemClock().now())
    write(terminal, ",+4930123456,Hello.,2030-01-07 09:30,cancelled\n", header=header)
    assert "1 cancelled" in terminal.type("import", "list.csv").stdout
    assert [row["status"] for row in terminal.json("list")] == ["cancelled", "cancelled"]


@pytest.mark.parametrize("phone", ["+4930123456", "none"], ids=["whole", "its name only"])
def test_a_cancellation_finds_its_ref_despite_invisible_characters(terminal: Terminal, phone: str) -> None:
    write(terminal, "7 a,+4930123456,Hello.,2030-01-07 09:30\n", header="ref,phone,message,at\n")
    terminal.type("import", "list.csv")
    with open_sync(terminal.folder / "reminderd.db") as connection:
        connection.execute("UPDATE reminders SET ref = '7\u00a0a'")
    line = f"7\u202fa\u200b,{phone},Hello.,2030-01-07 09:30,cancelled\n"
    write(terminal, line, header="ref,phone,message,at,status\n")
    assert "1 cancelled" in terminal.type("import", "list.csv").stdout
    assert [row["status"] for row in terminal.json("list")] == ["cancelled"]


def test_lines_that_differ_only_in_invisible_characters_are_one_reminder(terminal: Terminal) -> None:
    lines = ",+4930123456,Gru\u0308\u00dfe.,2030-01-07 09:30\n,+4930123456,Gr\u00fc\u00dfe. ,2030-01-07 09:30\n"
    write(terminal, lines, header="ref,phone,message,at\n")
    assert "1 added" in terminal.type("import", "list.csv", code=1).stdout


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_patient_who_will_not_be_called_causes_a_warning_with_the_line(terminal: Terminal, dry_run: bool) -> None:
    with (terminal.folder / "config.toml").open("a") as config:
        config.write('start = "09:00"\nend = "19:00"\n')
    terminal.type("opt-out", "add", "+4930123457")
    write(terminal, GOOD + "8,+4930123457,Hello.,2030-01-07 09:30\n9,+4930123458,Hello.,2030-01-07 19:59\n")
    result = terminal.type("import", "list.csv", *(["--dry-run"] if dry_run else []))
    assert "3 added, 0 changed, 0 unchanged, 0 rejected" in result.stdout
    out, late = [line for line in result.stderr.splitlines() if "warning" in line]
    assert out.startswith("line 3: warning: this number has opted out: it will not be called; ")
    assert late.startswith("line 4: warning: the calling hours leave no time to call before 2030-01-07 23:59 CET")
    assert "123457" not in out + late


def test_the_first_warnings_are_shown_and_the_rest_are_counted(terminal: Terminal) -> None:
    terminal.type("opt-out", "add", "+4930123457")
    write(terminal, "".join(f"{n},+4930123457,Hello.,2030-01-07 09:30\n" for n in range(MOST_WARNINGS + 2)))
    lines = terminal.type("import", "list.csv").stderr.splitlines()
    assert len([line for line in lines if ": warning: " in line]) == MOST_WARNINGS
    assert lines[-1] == "2 more warnings"


@pytest.mark.parametrize(
    ("name", "allowed", "added"),
    [("phones.csv", "US AR BR CG DE GB HU MX RU SM", 23), ("plus-before-national.csv", "", 0)],
)
def test_phone_numbers_as_clinics_write_them_are_each_read_or_rejected(
    terminal: Terminal, name: str, allowed: str, added: int
) -> None:
    (terminal.folder / "config.toml").write_text(
        f'[clinic]\ncountry = "US"\nallowed_countries = {allowed.split()}\n'
        '[calling]\ntimezone = "America/New_York"\n[messages]\nphone = "202 555 0190"\n'
    )
    table = (FILES / name).read_text(encoding="utf-8").replace("2027-", "2099-")
    (terminal.folder / "list.csv").write_text(table, encoding="utf-8")
    right = {row["ref"]: row["right"] for row in csv.DictReader(io.StringIO(table))}
    terminal.type("import", "list.csv", "--dry-run", code=1)
    dry = rejected(terminal)
    terminal.type("import", "list.csv", code=1)
    assert rejected(terminal) == dry
    assert all("refused" in right[row[2]] for row in dry[1:])
    stored = {row["ref"]: row["phone_number"] for row in terminal.json("list", "--limit", "100")}
    assert len(stored) == added
    assert all(number in right[ref] for ref, number in stored.items())


@pytest.mark.parametrize("dry_run", [True, False])
def test_time_zones_that_are_not_places_are_rejected(terminal: Terminal, dry_run: bool) -> None:
    table = (FILES / "zones.csv").read_text(encoding="utf-8").replace("2027-", "2030-")
    (terminal.folder / "list.csv").write_text(table, encoding="utf-8")
    said = terminal.type("import", "list.csv", *(["--dry-run"] if dry_run else []), code=1).stdout
    assert "2 added, 0 changed, 0 unchanged, 10 rejected" in said
    reasons = {row[6]: row[1] for row in rejected(terminal)[1:]}
    assert reasons["E1"] == "timezone: EST has no daylight saving time; expected a zone like America/New_York"
    assert all(reason.startswith("timezone: ") for reason in reasons.values())


def test_local_times_and_national_numbers_are_rejected_naming_the_missing_key(terminal: Terminal) -> None:
    (terminal.folder / "config.toml").write_text("")
    write(terminal, "7,202 555 0147,Hello.,2030-01-07 09:30\n")
    terminal.type("import", "list.csv", code=1)
    (_, row) = rejected(terminal)
    assert "[clinic].country is not set" in row[1]
    assert "[calling].timezone is not set" in row[1]
