"""`reminderd status`: all at a glance, and an exit code for monitors."""

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from reminderd.cli.overview import ask_daemon
from reminderd.clock import SystemClock
from reminderd.config.installation import WebConfig
from reminderd.core.daemons import Job
from reminderd.store.connection import snapshot, transaction
from reminderd.store.daemon_rows import record_alive
from reminderd.store.rows import to_ms
from reminderd.store.shared_state import database_id
from reminderd.store.sqlite.backups import back_up
from reminderd.store.sqlite.opening import open_sync
from tests.cli.conftest import Terminal
from tests.support.builders import NOW, a_daemon
from tests.support.rows import insert_call, insert_row

DOINGS: dict[str, Any] = {
    "version": "1.2.3",
    "started_at": "2026-03-02T08:00:00+00:00",
    "provider": "generic",
    "parts": {"database": None, "poll loop": None, "provider": None},
    "last_poll": "2026-03-02T08:30:00+00:00",
    "last_webhook": None,
    "database_id": "OURS",
}

Answer = Callable[[], tuple[int, bytes]]


@contextmanager
def answering(terminal: Terminal, answer: Answer, host: str = "127.0.0.1") -> Iterator[int]:
    """Serve `/health/status`, and nothing else, on the daemon's port with this answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code, body = answer() if self.path == "/health/status" else (404, b"")
            body = body.replace(b"OURS", own_id.encode())
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with open_sync(terminal.folder / "reminderd.db") as connection:
        own_id = str(snapshot(connection, database_id))
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        config = f'[calling]\ntimezone = "Europe/Berlin"\n[web]\nhost = "{host}"\nport = {server.server_port}\n'
        (terminal.folder / "config.toml").write_text(config)
        yield server.server_port
        server.shutdown()


YEAR_2999 = 32_472_144_000_000


def says(**changes: Any) -> Answer:
    return lambda: (200, json.dumps(DOINGS | changes).encode())


def insert(terminal: Terminal, name: str, **columns: Any) -> None:
    row = {"id": name, "phone_number": "+4930123456", "message": "Hello", "scheduled_at": to_ms(NOW), **columns}
    with open_sync(terminal.folder / "reminderd.db") as connection:
        insert_row(connection, "reminders", row)


def test_a_good_status_has_ok_in_the_first_line_and_numbers_below(terminal: Terminal) -> None:
    terminal.add()
    with answering(terminal, says()):
        first, *lines = terminal.type("status").stdout.splitlines()
    shown = {line[:15].strip(): line[15:].strip() for line in lines}
    assert first == "OK: all is well"
    assert shown["daemon"] == "1.2.3, running since 2026-03-02 09:00:00"
    assert shown["last poll"].startswith("2026-03-02 09:30:00, ")
    assert shown["last webhook"] == "none since its start"
    assert shown["provider"] == "generic, no error"
    assert [shown[name] for name in ("due next hour", "in flight", "stuck", "held", "failed today")] == ["0"] * 5
    assert (shown["last report"], shown["dialing"]) == ("none", "not paused")
    assert shown["disk free"].endswith(" MB")


def test_programs_get_one_document(terminal: Terminal) -> None:
    terminal.add()
    with answering(terminal, says()):
        document = terminal.json("status")
    assert document.pop("disk_free_bytes") > 0
    assert document["daemon"].pop("started_at") == "2026-03-02T09:00:00.000+01:00"
    assert len(document["daemon"].pop("database_id")) == 32
    assert document["daemon"].pop("last_poll") == "2026-03-02T09:30:00.000+01:00"
    assert document == {
        "ok": True,
        "errors": [],
        "pauses": [],
        "warnings": [],
        "daemons": [],
        "daemon": {"version": "1.2.3", "provider": "generic", "parts": DOINGS["parts"], "last_webhook": None},
        "due_next_hour": 0,
        "due": 0,
        "due_since": None,
        "in_flight": 0,
        "stuck": 0,
        "held": {},
        "uncallable": {},
        "results": None,
        "last_import": None,
        "failed_today": 0,
        "last_report": None,
        "paused": False,
        "paused_since": None,
        "unreached_since": None,
        "backup_age_seconds": None,
    }


def test_all_daemons_on_the_database_are_shown_though_none_answers(terminal: Terminal) -> None:
    terminal.add()
    now = SystemClock().now()
    with open_sync(terminal.folder / "reminderd.db") as connection:
        transaction(connection, partial(record_alive, daemon=a_daemon(started_at=now), wanted=[Job.ALERTS]), now)
        transaction(connection, partial(record_alive, daemon=a_daemon("b", version="1.3.0"), wanted=[]), now)
    document = json.loads(terminal.type("status", "--json", code=1).stdout)
    assert document["daemon"] is None
    second, first = document["daemons"]
    assert (first["host"], first["pid"], first["part"], first["version"]) == ("north", 1, None, "1.2.0")
    assert first["started_at"] == first["seen_at"]
    assert [first["jobs"], second["jobs"]] == [["alerts"], []]
    [warning] = document["warnings"]
    assert warning.startswith("the daemons run different versions: ")


def test_waiting_reminders_that_cannot_be_called_are_counted_by_reason(terminal: Terminal) -> None:
    later = {"scheduled_at": YEAR_2999, "wake_at": YEAR_2999}
    insert(terminal, "r1", **later)
    insert(terminal, "r2", timezone="EST", **later)
    insert(terminal, "r3", timezone="EST", status="failed")
    reason = "timezone: EST has no daylight saving time; expected a zone like America/New_York"
    with answering(terminal, says()):
        document = json.loads(terminal.type("status", "--json", code=1).stdout)
        first, *lines = terminal.type("status", code=1).stdout.splitlines()
    assert document["uncallable"] == {reason: 1}
    assert first == "ERROR: 1 waiting reminder can't be called: correct them before they are due"
    assert f"1: {reason} (1)" in " ".join(" ".join(lines).split())


def test_every_error_is_in_the_first_line_and_in_the_exit_code(terminal: Terminal) -> None:
    insert(terminal, "late")
    insert(terminal, "stuck", status="processing")
    with open_sync(terminal.folder / "reminderd.db") as connection:
        insert_call(connection, "stuck", state="placed")
        connection.execute("UPDATE reminders SET wake_at = NULL, revision = 1 WHERE id = 'stuck'")
    parts = DOINGS["parts"] | {"provider": "dialing is paused: 503"}
    with answering(terminal, says(parts=parts)):
        said = terminal.type("status", code=1).stdout
        document = json.loads(terminal.type("status", "--json", code=1).stdout)
    first = said.splitlines()[0]
    assert first.startswith("ERROR: provider: dialing is paused: 503; 1 call is stuck: ")
    assert "; 1 reminder is not dialed in time, the oldest has waited for " in first
    assert "generic, dialing is paused: 503" in said
    assert "1, 1 of them due now, the oldest for " in said
    assert document["ok"] is False
    assert len(document["errors"]) == 3


def test_holds_and_a_pause_are_not_errors_and_the_first_line_names_the_pause(terminal: Terminal) -> None:
    future = to_ms(NOW) + 3_600_000_000_000
    for name, reason in (("a", "hours"), ("b", "number_busy"), ("c", None)):
        insert(terminal, name, scheduled_at=future, hold_code=reason)
    terminal.type("pause")
    with answering(terminal, says()):
        said = terminal.type("status").stdout
        document = terminal.json("status")
    assert "2: outside the calling hours (1), another call to this number is under way (1)" in said
    assert re.fullmatch(r"OK, but dialing is paused by .+ since 20.*; reminderd resume ends it", said.splitlines()[0])
    assert re.search("dialing +paused by ", said)
    assert document["ok"] is True
    assert document["pauses"] == [said.splitlines()[0].removeprefix("OK, but ")]


def test_a_process_that_only_receives_webhooks_is_labeled(terminal: Terminal) -> None:
    terminal.add()
    with answering(terminal, says(last_poll=None, last_webhook="2026-03-02T08:31:00+00:00", parts={"database": None})):
        said = terminal.type("status").stdout
    assert "not by this process, which only receives webhooks" in said
    assert "2026-03-02 09:31:00, " in said


def test_a_daemon_that_listens_on_all_addresses_is_asked_on_loopback(terminal: Terminal) -> None:
    terminal.add()
    with answering(terminal, says(), host="0.0.0.0"):  # noqa: S104 - only asked, not bound
        assert terminal.type("status").stdout.startswith("OK")


def test_a_stopped_daemon_is_an_error_and_the_database_is_still_shown(terminal: Terminal) -> None:
    terminal.add()
    with answering(terminal, says()) as port:
        pass
    said = terminal.type("status", code=1).stdout
    url = f"http://127.0.0.1:{port}/health/status"
    assert said.splitlines()[0] == f"ERROR: the daemon does not answer at {url}: Connection refused"
    assert "unknown" in said
    assert "in flight" in said
    assert json.loads(terminal.type("status", "--json", code=1).stdout)["daemon"] is None


def test_a_daemon_with_another_database_is_not_ours(terminal: Terminal) -> None:
    terminal.add()
    with answering(terminal, says(database_id="0" * 32)) as port:
        said = terminal.type("status", code=1).stdout
        document = json.loads(terminal.type("status", "--json", code=1).stdout)
    assert said.startswith(f"ERROR: another reminderd answers at port {port}: it does not use ")
    assert "--config FILE" in said
    assert document["daemon"] is None


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda: (404, b""), "HTTP 404"),
        (lambda: (200, b"<html>"), "is not this version of reminderd"),
        (lambda: (200, b"[]"), "is not this version of reminderd"),
        (lambda: (200, b'{"version": "0.0.1"}'), "is not this version of reminderd"),
        (says(started_at="this morning"), "is not this version of reminderd"),
    ],
    ids=["404", "HTML", "a list", "no fields", "no date"],
)
def test_another_program_on_that_port_is_an_error(terminal: Terminal, answer: Answer, words: str) -> None:
    terminal.add()
    with answering(terminal, answer):
        first = terminal.type("status", code=1).stdout.splitlines()[0]
    assert words in first


def test_a_hanging_daemon_is_not_waited_for_forever() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        said = ask_daemon(WebConfig(port=silent.getsockname()[1]), patience=0.01)
    assert isinstance(said, str)
    assert said.startswith("the daemon does not answer at http://127.0.0.1:")
    assert said.endswith(" within 0.01 s")


def test_a_random_port_cannot_be_asked(terminal: Terminal) -> None:
    terminal.add()
    (terminal.folder / "config.toml").write_text("[web]\nport = 0\n")
    assert "[web].port is 0" in terminal.type("status", code=1).stdout


def test_a_missing_database_is_a_one_line_error(terminal: Terminal) -> None:
    assert "there is no database yet" in terminal.type("status", code=1).stderr
    assert not list(terminal.folder.glob("*.db*"))


def test_the_newest_backups_age_is_shown_if_backups_are_configured(terminal: Terminal) -> None:
    terminal.add()
    with answering(terminal, says()):
        assert terminal.json("status")["backup_age_seconds"] is None
        assert "none: [backup].folder is not set" in terminal.type("status").stdout
        with (terminal.folder / "config.toml").open("a") as config:
            config.write('[backup]\nfolder = "copies"\n')
        first, *lines = terminal.type("status", code=1).stdout.splitlines()
        assert first.startswith("ERROR: backup: there is none in ")
        assert [line.split() for line in lines][-1][:4] == ["backup", "there", "is", "none"]
        database = terminal.folder / "reminderd.db"
        made = back_up(database, terminal.folder / "copies", SystemClock().now(), keep=1).file
        assert "0 hours old" in terminal.type("status").stdout
        made.unlink()
        (terminal.folder / "copies").rmdir()
        (terminal.folder / "copies").touch()
        assert "ERROR: backup: " in terminal.type("status", code=1).stdout


def test_an_address_that_the_provider_does_not_reach_is_reported_with_its_key(terminal: Terminal) -> None:
    terminal.add()
    with open_sync(terminal.folder / "reminderd.db") as connection:
        connection.execute("INSERT INTO settings (key, value) VALUES ('unreached_since', ?)", (str(to_ms(NOW)),))
    with answering(terminal, says()):
        result = terminal.type("status", code=1)
    first = result.stdout.splitlines()[0]
    assert first.startswith("ERROR: public address: dialing is paused: answered calls never asked what to say")
    assert first.endswith("[web].public_base_url")
    assert "dialing paused since 2026-03-02 11:00:00: answered calls" in " ".join(result.stdout.split())
