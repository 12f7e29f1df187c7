"""The page for files: a dry run in words, then exactly what was shown is imported, or the file is discarded."""

import stat
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import trio
from attrs import evolve

from reminderd.config import Config
from reminderd.config.installation import ImportConfig, ProfileConfig
from reminderd.config.schema import MessagesConfig, RemindersConfig
from reminderd.desk.uploads import KEPT, MOST_BYTES, MOST_FILES, FileReading, Uploads
from reminderd.imports import one_file
from reminderd.imports.formats import profile_of
from reminderd.imports.loop import CHUNK, chunk_comparer, chunk_writer
from tests.support.desk import DeskServer, Page, a_config, desk_of
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.trio

HEADER = "ref,phone,message,at\n"
GOOD = "7,+12025550123,Tomorrow at nine.,2040-01-07 09:30\n"
BAD = "8,030,Hello.,2040-01-07 09:30\n"
TABLE = (HEADER + GOOD + BAD).encode()


def with_profile(**named: Any) -> Config:
    """A clinic with a profile for the files of its practice software, which plans calls for appointments."""
    profile = evolve(ProfileConfig(files="*.csv", snapshot_days=14), **named)
    return evolve(
        a_config(),
        messages=MessagesConfig(templates={"visit": "Your appointment is on {date}."}),
        reminders=RemindersConfig(before=("3 days",), template="visit"),
        import_=ImportConfig(profiles={"practice": profile}),
    )


async def uploaded(server: DeskServer, content: bytes, name: str = "list.csv", **written: str) -> Page:
    """Upload a file, and wait for its dry run."""
    page = await server.browser.get("/import")
    page = await server.browser.submit(page, "/import", files={"file": (name, content)}, **written)
    return await server.browser.settled(page)


async def imported(server: DeskServer, page: Page) -> Page:
    return await server.browser.settled(await server.browser.submit(page, "/import/take"))


def kept(tmp_path: Path) -> list[Path]:
    """The files that are kept now."""
    return [path for path in (tmp_path / "reminderd.db.uploads").rglob("*") if path.is_file()]


async def test_a_dry_run_says_in_words_what_the_file_would_do_and_changes_nothing(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        page = await uploaded(server, TABLE)
        assert page.root.one(class_="summary").text == "1 new, 1 rejected"
        assert "line 3: phone number: not a number" in page.text
        assert "call +12025550123 on Saturday, January 7, 2040" in page.text
        assert "UTF-8, commas between cells" in page.text
        assert await server.rows("SELECT id FROM reminders") == []
        assert await server.rows("SELECT id FROM imports") == [], "a dry run is not recorded"


async def test_what_was_shown_is_imported_and_recorded_and_the_file_deleted(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        page = await imported(server, await uploaded(server, TABLE, "C:\\lists\\list.csv"))
        assert page.notice == "The file was imported: 1 new, 1 rejected."
        [row] = await server.rows("SELECT ref, phone_number FROM reminders")
        assert row == {"ref": "7", "phone_number": "+12025550123"}
        [record] = await server.rows("SELECT file, actor, status, added, rejected FROM imports")
        assert record == {"file": "list.csv", "actor": "maria", "status": "done", "added": 1, "rejected": 1}
        [line] = await server.rows("SELECT actor, detail FROM audit WHERE act = 'add' AND reminder_id IS NOT NULL")
        assert line == {"actor": "maria", "detail": "import of list.csv"}
        assert [path.name for path in kept(tmp_path)] == ["1.rejected.csv"]


async def test_the_rejected_rows_are_a_table_that_can_be_corrected_and_imported(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        await imported(server, await uploaded(server, TABLE))
        answer = await server.browser.raw("GET", "/import/rejected")
        assert answer.headers["Content-Disposition"] == 'attachment; filename="rejected.csv"'
        assert answer.headers["Cache-Control"] == "no-store"
        header, row = answer.content.decode("utf-8-sig").splitlines()
        assert header == "line,reason,ref,phone,message,at"
        assert row.endswith("8,030,Hello.,2040-01-07 09:30")
        await server.browser.post("/import/discard", {"csrf": await csrf(server)})
        corrected = f"{header}\n{row.replace(',030,', ',+12025550124,')}\n".encode()
        page = await imported(server, await uploaded(server, corrected, "rejected.csv"))
        assert page.notice == "The file was imported: 1 new."
        assert len(await server.rows("SELECT id FROM reminders")) == 2


async def csrf(server: DeskServer) -> str:
    page = await server.browser.get("/add")
    return page.form("/logout").fields["csrf"]


async def test_a_discarded_file_is_deleted_and_changes_nothing(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        page = await uploaded(server, TABLE)
        page = await server.browser.submit(page, "/import/discard")
        assert page.notice == "The file was discarded, and nothing was imported."
        assert page.root.all("input", type="file")
        assert kept(tmp_path) == []
        assert await server.rows("SELECT id FROM imports") == []


async def test_a_file_that_is_no_table_is_refused_with_every_reason(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        for content, name, reason in (
            (b"PK\x03\x04 a workbook", "list.xlsx", "it is a ZIP archive; expected the CSV file in it"),
            (b"Erika Mustermann,+49 30 123456\n", "list.csv", "phone number: no column"),
            (b"", "list.csv", "it is empty"),
            (b"BEGIN:VCALENDAR\r\nnothing", "list.ics", ""),
        ):
            page = await uploaded(server, content, name)
            assert "The file was refused as a whole, and nothing was imported." in page.notice
            assert reason in page.text
            await server.browser.submit(page, "/import/discard")


async def test_every_format_of_the_command_is_known_by_its_name(tmp_path: Path) -> None:
    calendar = (
        b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:a-1\r\nDTSTAMP:20260101T000000Z\r\n"
        b"DTSTART:20400107T143000Z\r\nSUMMARY:Ada\r\nDESCRIPTION:Phone: +1 202 555 0123\r\n"
        b"END:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    config = with_profile(columns={"phone_number": "DESCRIPTION/Phone"}, snapshot_days=0)
    async with desk_of(tmp_path, config=config) as server:
        page = await uploaded(server, calendar, "../../etc/CALENDAR.ICS", profile="practice")
        assert page.root.one(class_="summary").text == "1 new"
        assert page.root.all("strong")[0].text == "CALENDAR.ICS"


async def test_a_snapshot_shows_what_it_would_cancel_and_cancels_that(tmp_path: Path) -> None:
    header = "ref,phone,appointment_at\n"
    rows = [f"A-{number},+1202555012{number},2026-03-1{number} 09:30\n" for number in range(4)]
    async with desk_of(tmp_path, config=with_profile()) as server:
        page = await uploaded(server, (header + "".join(rows)).encode(), profile="practice")
        await server.browser.submit(await imported(server, page), "/import/discard")
        page = await uploaded(server, (header + rows[0] + rows[1] + rows[3]).encode(), profile="practice")
        assert page.root.one(class_="summary").text == "3 unchanged, 1 cancelled"
        assert "The file lacks 1 appointment that is stored, which would be cancelled:" in page.text
        assert "Thursday, March 12, 2026" in page.text
        assert "A-2" in page.text
        page = await imported(server, page)
        assert page.notice == "The file was imported: 3 unchanged, 1 cancelled."
        [row] = await server.rows("SELECT ref FROM appointments WHERE status = 'cancelled'")
        assert row["ref"] == "A-2"


async def test_a_snapshot_without_a_profile_or_days_is_refused_before_the_file_is_kept(tmp_path: Path) -> None:
    async with desk_of(tmp_path, config=with_profile(snapshot_days=0)) as server:
        page = await uploaded(server, TABLE, snapshot="on")
        assert (page.status, "Choose a profile" in page.text) == (422, True)
        page = await uploaded(server, TABLE, snapshot="on", profile="practice")
        assert "Give the first and the last day" in page.text
        page = await uploaded(server, TABLE, profile="practice", first="2026-03-10", last="2026-03-01")
        assert "the first one not after the last" in page.text
        page = await uploaded(server, TABLE, profile="practice", first="2026-03-10", last="9999-12-31")
        assert (page.status, "the year 9999; expected one from 1971 to 2999" in page.text) == (422, True)
        page = await uploaded(server, TABLE, profile="other")
        assert "There is no such profile" in page.text
        assert kept(tmp_path) == []


async def test_nothing_more_is_done_than_was_shown(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        await imported(server, await uploaded(server, TABLE))
        await server.browser.post("/import/discard", {"csrf": await csrf(server)})
        page = await uploaded(server, TABLE)
        assert page.root.one(class_="summary").text == "1 unchanged, 1 rejected"
        await server.run_sql("UPDATE reminders SET message = 'Another text.'")
        page = await imported(server, page)
        assert "since you looked, something has changed" in page.notice
        assert page.root.one(class_="summary").text == "1 changed, 1 rejected"
        assert (await server.rows("SELECT message FROM reminders"))[0]["message"] == "Another text."
        page = await imported(server, page)
        assert page.notice == "The file was imported: 1 changed, 1 rejected."


async def test_a_dry_run_that_was_not_the_last_is_not_imported(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        stale = await uploaded(server, TABLE)
        await server.browser.submit(stale, "/import/discard")
        await uploaded(server, (HEADER + GOOD.replace("Tomorrow", "Today")).encode())
        page = await server.browser.submit(stale, "/import/take")
        assert "The file was checked again since." in page.notice
        assert await server.rows("SELECT id FROM reminders") == []


async def test_a_dry_run_of_the_same_content_that_was_read_in_another_way_is_not_imported(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        content = (HEADER + GOOD.replace("2040-01-07", "07/01/2040")).encode()
        stale = await uploaded(server, content, dates="dmy")
        await server.browser.submit(stale, "/import/discard")
        await uploaded(server, content, dates="mdy")
        page = await server.browser.submit(stale, "/import/take")
        assert "The file was checked again since." in page.notice
        assert await server.rows("SELECT id FROM reminders") == []


async def test_the_file_that_is_imported_is_byte_for_byte_the_one_that_was_checked(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        page = await uploaded(server, TABLE)
        [file] = [path for path in kept(tmp_path) if path.name == "1.csv"]
        file.write_bytes(TABLE.replace(b"0123", b"0199"))
        page = await imported(server, page)
        assert "the file is not the one anymore that was checked" in page.notice
        assert await server.rows("SELECT id FROM reminders") == []


async def test_an_uploaded_file_is_readable_by_nobody_else(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        await uploaded(server, TABLE)
        for path in (tmp_path / "reminderd.db.uploads").rglob("*"):
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
            assert stat.S_IMODE(path.parent.stat().st_mode) & 0o077 == 0
        assert kept(tmp_path)
    assert kept(tmp_path) == [], "nothing is left after a stop"


async def test_a_file_is_deleted_when_nobody_comes_back_for_it(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        await uploaded(server, TABLE)
        server.clock.advance(KEPT - timedelta(seconds=1))
        server.desk.base.uploads.forget_old()
        assert kept(tmp_path)
        server.clock.advance(timedelta(seconds=2))
        server.desk.base.uploads.forget_old()
        assert kept(tmp_path) == []


async def test_a_file_is_deleted_at_the_log_out(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        page = await uploaded(server, TABLE)
        await server.browser.submit(page, "/logout")
        assert kept(tmp_path) == []


async def test_a_file_whose_sender_hangs_up_is_deleted(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        begin = (
            f'--b\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{await csrf(server)}\r\n--b\r\n'
            'Content-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\nsome rows\r\n'
        ).encode()
        cookies = "; ".join(f"{name}={value}" for name, value in server.browser.cookies.items())
        head = (
            f"POST /import HTTP/1.1\r\nHost: {server.url.removeprefix('http://')}\r\nCookie: {cookies}\r\n"
            f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {len(begin) + 100}\r\n\r\n"
        ).encode()
        stream = await trio.open_tcp_stream("127.0.0.1", int(server.url.rpartition(":")[2]))
        async with stream:
            await stream.send_all(head + begin)
            await until(lambda: bool(kept(tmp_path)))
            assert "The file is arriving." in (await server.browser.get("/import")).text
        await until(lambda: not kept(tmp_path))


async def test_another_session_sees_nothing_of_the_file(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        page = await uploaded(server, TABLE)
        other = server.another_browser()
        await other.log_in()
        seen = await other.get("/import")
        assert seen.root.all("input", type="file")
        assert "list.csv" not in seen.text
        refused = await other.raw("GET", "/import/rejected")
        assert refused.status_code == 303
        await other.post("/import/take", {"csrf": seen.form("/logout").fields["csrf"], "shown": ""})
        await other.post("/import/discard", {"csrf": seen.form("/logout").fields["csrf"]})
        assert (await imported(server, page)).notice == "The file was imported: 1 new, 1 rejected."


async def test_a_forged_form_brings_no_file(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        for fields, headers in (
            ({}, {"Origin": server.browser.url}),
            ({"csrf": "forged"}, {"Origin": server.browser.url}),
            ({"csrf": await csrf(server)}, {"Origin": "https://elsewhere.example"}),
        ):
            answer = await server.browser.raw(
                "POST", "/import", data=fields, files={"file": ("list.csv", TABLE)}, headers=headers
            )
            assert answer.status_code == 403
        assert kept(tmp_path) == []


async def test_a_token_after_the_file_counts_for_nothing(tmp_path: Path) -> None:
    part = '--b\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n{}\r\n'
    async with desk_of(tmp_path) as server:
        token, file = await csrf(server), part.format("file", '; filename="a.csv"', TABLE.decode())
        headers = {"Content-Type": "multipart/form-data; boundary=b", "Origin": server.browser.url}
        late = f"{file}{part.format('csrf', '', token)}--b--\r\n"
        answer = await server.browser.raw("POST", "/import", content=late, headers=headers)
        assert (answer.status_code, kept(tmp_path)) == (403, [])
        both = f"{part.format('csrf', '', token)}{file}{part.format('csrf', '', 'other')}--b--\r\n"
        answer = await server.browser.raw("POST", "/import", content=both, headers=headers)
        assert answer.status_code == 303
        assert (await server.browser.settled(await server.browser.get("/import"))).root.all(class_="summary")


async def test_a_huge_file_is_refused_with_the_limit(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        page = await uploaded(server, b"x" * (MOST_BYTES + 1))
        assert (page.status, "The file is larger than 20 MB." in page.text) == (413, True)
        assert kept(tmp_path) == []

        async def endless() -> Any:
            boundary = (await csrf(server)).join(
                ('--b\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n', "\r\n--b\r\n")
            )
            yield f'{boundary}Content-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'.encode()
            for _ in range(22):
                yield b"x" * 1024 * 1024
            yield b"\r\n--b--\r\n"

        headers = {"Content-Type": "multipart/form-data; boundary=b", "Origin": server.browser.url}
        answer = await server.browser.raw("POST", "/import", content=endless(), headers=headers)
        assert answer.status_code == 413, "also if it does not say how large it is"
        assert kept(tmp_path) == []


async def test_a_file_as_large_as_it_may_be_arrives(tmp_path: Path) -> None:
    row = f"{'x' * 1000}\n"
    content = (HEADER + row * (MOST_BYTES // len(row) - 1)).encode()
    async with desk_of(tmp_path) as server:
        page = await server.browser.get("/import")
        page = await server.browser.submit(page, "/import", files={"file": ("list.csv", content)})
        assert page.root.all("progress")
        page = await server.browser.submit(page, "/import/discard")
        await until(lambda: not kept(tmp_path))


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded", b"csrf=x"),
        ("multipart/form-data", b"--b--"),
        ("multipart/form-data; boundary=b", b"--b--\r\nmore"),
        ("multipart/form-data; boundary=b", b"no form at all"),
        ("multipart/form-data; boundary=b", b"--b\r\nX: y\r\n\r\nvalue\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b"--b\r\n\xff: y\r\n\r\nvalue\r\n--b--\r\n"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"x" * 100_000 + b"\r\n--b--\r\n",
        ),
    ],
)
async def test_a_form_that_is_none_is_refused(tmp_path: Path, content_type: str, body: bytes) -> None:
    async with desk_of(tmp_path) as server:
        headers = {"Content-Type": content_type, "Origin": server.browser.url}
        answer = await server.browser.raw("POST", "/import", content=body, headers=headers)
        assert answer.status_code in {400, 403, 413}
        assert kept(tmp_path) == []


async def test_a_form_without_a_file_asks_for_one(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        page = await server.browser.get("/import")
        page = await server.browser.submit(page, "/import", files={"file": ("", b"")})
        assert (page.status, "Choose a file." in page.text) == (422, True)


async def test_the_places_for_files_are_limited(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        reading = FileReading(profile=profile_of(server.desk.config, None), coverage=None)
        for number in range(MOST_FILES):
            server.desk.base.uploads.begin(f"session {number}", "anna", "list.csv", reading)
        page = await uploaded(server, TABLE)
        assert "Too many files are waiting." in page.notice


async def test_an_import_goes_on_without_the_browser_and_shows_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(GOOD.replace("7,", f"{number},", 1) for number in range(2 * CHUNK + 10))
    async with desk_of(tmp_path) as server:
        page = await uploaded(server, (HEADER + rows).encode())
        assert page.root.one(class_="summary").text == f"{2 * CHUNK + 10:,} new"
        import_ = Held(monkeypatch)
        page = await server.browser.submit(page, "/import/take")
        await until(import_.reached.is_set)
        part = await server.browser.get("/import/part")
        assert "You may leave this page; the import continues." in part.text
        assert int(part.root.one("progress").attributes["value"]) > 0
        other = server.another_browser()
        await other.log_in()
        assert "maria is importing a file right now." in (await other.get("/import")).notice
        others = "UPDATE settings SET value = value"  # is refused after some seconds if the import holds the lock
        await server.write(lambda connection, _now: connection.execute(others))
        fields = {"csrf": await csrf(server)}
        page = await server.browser.post("/import", fields, files={"file": ("list.csv", TABLE)})
        assert "Your previous file is still being imported." in page.notice
        import_.release()
        page = await server.browser.settled(await server.browser.get("/import"))
        assert page.notice == f"The file was imported: {2 * CHUNK + 10:,} new."


async def test_an_import_that_is_stopped_keeps_what_it_has_done_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(GOOD.replace("7,", f"{number},", 1) for number in range(3 * CHUNK))
    async with desk_of(tmp_path) as server:
        page = await uploaded(server, (HEADER + rows).encode())
        import_ = Held(monkeypatch)
        page = await server.browser.submit(page, "/import/take")
        await until(import_.reached.is_set)
        page = await server.browser.submit(await server.browser.get("/import"), "/import/discard")
        assert "The import stops after the rows that are being written." in page.notice
        import_.release()
        page = await server.browser.settled(await server.browser.get("/import"))
        assert f"The import was stopped: {CHUNK} new until then." in page.notice
        [record] = await server.rows("SELECT status, added FROM imports")
        assert record == {"status": "interrupted", "added": CHUNK}


async def test_an_import_that_is_stopped_before_it_writes_has_done_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(GOOD.replace("7,", f"{number},", 1) for number in range(3 * CHUNK))
    async with desk_of(tmp_path) as server:
        page = await uploaded(server, (HEADER + rows).encode())
        import_ = Held(monkeypatch, "chunk_comparer")
        page = await server.browser.submit(page, "/import/take")
        await until(import_.reached.is_set)
        page = await server.browser.get("/import")
        assert "new" not in page.root.one("section", id="import").text, "nothing of it is imported yet"
        await server.browser.submit(page, "/import/discard")
        import_.release()
        page = await server.browser.settled(await server.browser.get("/import"))
        assert "The import was stopped: 0 new until then." in page.notice
        assert await server.rows("SELECT id FROM imports") == await server.rows("SELECT id FROM reminders") == []


class Held:
    """Holds an import after its first chunk was written, until it is released."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, which: str = "chunk_writer") -> None:
        self.reached, self.released = Event(), Event()
        real: Any = {"chunk_writer": chunk_writer, "chunk_comparer": chunk_comparer}[which]

        def held(*arguments: Any, **named: Any) -> Any:
            write = real(*arguments, **named)

            def write_and_wait(chunk: Any) -> Any:
                done = write(chunk)
                self.reached.set()
                assert self.released.wait(PATIENCE)
                return done

            return write_and_wait

        monkeypatch.setattr(one_file, which, held)

    def release(self) -> None:
        self.released.set()


async def test_an_error_on_the_way_is_shown_and_the_file_can_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_arguments: object) -> bool:
        raise OSError(28, "No space left on device")

    async with desk_of(tmp_path) as server:
        page = await uploaded(server, TABLE)
        monkeypatch.setattr(one_file, "import_rows", failing)
        page = await imported(server, page)
        assert "No space left on device" in page.notice
        monkeypatch.undo()
        page = await server.browser.submit(page, "/import/discard")
        page = await imported(server, await uploaded(server, TABLE))
        assert page.notice == "The file was imported: 1 new, 1 rejected."


async def test_a_bug_in_an_import_is_not_the_end_of_the_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object) -> None:
        raise ZeroDivisionError

    async with desk_of(tmp_path) as server:
        monkeypatch.setattr("reminderd.desk.uploads.check_upload", broken)
        page = await uploaded(server, TABLE)
        assert "unexpected error; the log has more" in page.notice
        assert (await server.browser.get("/")).status == 200


async def test_a_file_for_which_there_is_no_room_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    async with desk_of(tmp_path) as server:
        monkeypatch.setattr(Uploads, "begin", full)
        page = await uploaded(server, TABLE)
        assert page.notice == (
            "The file could not be kept: No space left on device. Nothing was changed. Ask the admin."
        )


async def test_the_columns_of_the_numbers_are_counted_if_there_are_several(tmp_path: Path) -> None:
    rows = "7,+12025550123,,Hello.,2040-01-07 09:30\n8,,+12025550124,Hello.,2040-01-07 09:30\n"
    async with desk_of(tmp_path) as server:
        page = await uploaded(server, f"ref,mobile,home phone,message,at\n{rows}".encode())
        assert "numbers from mobile: 1 numbers from home phone: 1" in page.text


async def test_a_cell_is_never_markup(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        rows = HEADER + '7,+12025550123,"<script>x</script>",2040-01-07 09:30\n<b>,030,x,2040-01-07 09:30\n'
        page = await uploaded(server, rows.encode(), "<img>.csv")
        assert "“<script>x</script>”" in page.text
        assert page.root.all("img") == page.root.all("b") == []
