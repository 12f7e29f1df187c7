"""Databases of every schema so far, with rows, as SQL text in `tests/store/schemas`.

`python -m tests.support.schemas` writes the newest one, with the change that adds it. A released one never changes.
"""

import subprocess
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from reminderd.cli import db
from reminderd.store.connection import Connection
from reminderd.store.migrations import Migration
from reminderd.store.sqlite import integrity, opening, restoring
from reminderd.store.sqlite import migrate as migrate_module
from reminderd.store.sqlite.driver import connect
from reminderd.store.sqlite.migrate import APPLICATION_ID, migrate, migrations

FOLDER = Path(__file__).parents[1] / "store" / "schemas"

T = 1_780_000_000_000
DATABASE_ID = "0123456789abcdef" * 2
AT = {"created_at": T, "updated_at": T}
CALL: dict[str, Any] = {"phone_number": "+12025550102", "last_sign_at": T, **AT}
MEMBER: dict[str, Any] = {"position": 0, "scheduled_at": T, "message_digest": "0" * 64}

ROWS: list[tuple[str, dict[str, Any]]] = [
    (
        "reminders",
        {"id": "waits", **AT, "ref": "w", "phone_number": "+12025550100", "message": "Tomorrow.", "scheduled_at": T},
    ),
    (
        "reminders",
        {
            "id": "rings",
            **AT,
            "phone_number": "+12025550101",
            "message": "It's at nine; be there.",
            "scheduled_at": T,
            "expires_at": T + 9,
            "timezone": "Europe/Berlin",
            "status": "processing",
            "wake_at": None,
            "revision": 3,
        },
    ),
    (
        "reminders",
        {
            "id": "über",
            **AT,
            "ref": "ü",
            "phone_number": "+12025550102",
            "message": "Größe\nzwei Zeilen",
            "scheduled_at": T,
            "status": "called",
            "wake_at": None,
            "attempts": 2,
            "ended_at": T + 3,
            "response": "confirmed",
        },
    ),
    (
        "reminders",
        {
            "id": "lost",
            **AT,
            "phone_number": "nonsense",
            "message": "",
            "scheduled_at": T,
            "status": "failed",
            "wake_at": None,
            "end_code": "unconfirmed",
            "ended_at": T + 3,
            "last_error": "outcome unknown: call the patient manually",
        },
    ),
    ("call_logs", CALL | {"id": "c1", "reminder_id": "über", "state": "ended", "status": "busy", "requests": 1}),
    (
        "call_logs",
        CALL
        | {
            "id": "c2",
            "reminder_id": "über",
            "state": "ended",
            "status": "completed",
            "outcome": "heard",
            "provider": "twilio",
            "account": "AC1",
            "external_call_id": "e1",
            "requests": 3,
            "checks": 2,
            "evidence": 1,
            "transcript": "Yes, I'll be there.",
            "answered_by": "human",
            "duration_seconds": 31,
            "sip_response_code": 200,
            "error_code": "0",
            "fetched_at": T + 1,
            "hung_up_at": T + 2,
            "received_at": T + 3,
        },
    ),
    (
        "call_logs",
        CALL
        | {
            "id": "c3",
            "reminder_id": "rings",
            "phone_number": "+12025550101",
            "state": "placed",
            "status": "ringing",
            "external_call_id": "e2",
            "requests": 1,
            "evidence": 1,
            "wake_at": T + 5,
        },
    ),
    ("call_logs", CALL | {"id": "c4", "reminder_id": "lost", "state": "unreported", "error": "nothing"}),
    ("call_reminders", MEMBER | {"call_id": "c1", "reminder_id": "über"}),
    ("call_reminders", MEMBER | {"call_id": "c2", "reminder_id": "über", "spoken": 1, "spoken_by": T + 2}),
    ("call_reminders", MEMBER | {"call_id": "c3", "reminder_id": "rings"}),
    ("call_reminders", MEMBER | {"call_id": "c4", "reminder_id": "lost", "deleted": 1}),
    ("webhook_receipts", {"call_id": "e1", "reminder_id": "über", "status": "completed", "received_at": T + 3}),
    ("opt_outs", {"phone_number": "+12025550199", "source": "a letter", "created_at": T}),
    ("settings", {"key": "database_id", "value": DATABASE_ID}),
    ("settings", {"key": "paused", "value": "false"}),
    ("alerts", {"reminder_id": "lost", "updated_at": T}),
    ("imports", {"id": 1, "at": T, "finished_at": T + 9, "file": "list.csv", "profile": "practice", "actor": "anna"}),
    (
        "changes",
        {
            "seq": 1,
            "event_id": "0" * 32,
            "at": T,
            "kind": "reminder",
            "subject_id": "über",
            "ref": "ü",
            "status": "called",
            "response": "confirmed",
            "attempts": 2,
            "call_outcome": "heard",
            "spoken": 1,
        },
    ),
    (
        "users",
        {
            "name": "anna",
            "role": "admin",
            "password_hash": "$argon2id$",
            "totp_secret": "JBSWY3DPEHPK3PXP",
            "totp_used": 59_333_333,
            "created_at": T,
            "changed_at": T,
        },
    ),
    (
        "sessions",
        {"digest": "0" * 64, "user_name": "anna", "csrf": "random", "notice": "Done.", "created_at": T, "seen_at": T},
    ),
    ("login_failures", {"counter": "user:anna", "failures": 2, "last_at": T}),
    ("login_addresses", {"user_name": "anna", "address": "192.0.2.7", "last_at": T}),
    (
        "daemons",
        {
            "id": "0" * 32,
            "host": "clinic",
            "pid": 4711,
            "process": "",
            "version": "0.1.0",
            "rules_digest": "0" * 64,
            "started_at": T,
            "seen_at": T,
            "jobs": "alerts,retention",
            "jobs_until": T,
        },
    ),
    ("audit", {"id": 1, "at": T, "actor": "anna", "act": "add", "reminder_id": "waits"}),
    ("audit", {"id": 2, "at": T, "actor": "patient", "act": "confirmed", "reminder_id": "über", "detail": "key 1"}),
]


MADE_UP = "".join(f"CREATE TABLE made_up_{number} (id INTEGER PRIMARY KEY) STRICT;\n" for number in range(25))
"""A later schema, while there is none, so that migrations are tested before they are needed."""


def one_more(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let this process know one more schema, and return its number."""
    steps = [*migrations(), Migration(migrations()[-1].number + 1, "made_up.sql", MADE_UP)]
    for module in (migrate_module, opening, integrity, restoring, db):
        monkeypatch.setattr(module, "migrations", lambda: steps)
    return steps[-1].number


def versions() -> list[int]:
    """Return the stored schemas."""
    return sorted(int(file.stem) for file in FOLDER.glob("*.sql"))


def build(version: int, path: Path) -> None:
    """Build a database with this stored schema, in WAL mode as a daemon leaves it."""
    with closing(connect(str(path), isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.executescript((FOLDER / f"{version:04}.sql").read_text(encoding="utf-8"))


def tables(connection: Connection) -> dict[str, list[str]]:
    """Return the columns of each table."""
    columns: dict[str, list[str]] = {}
    for table, column in connection.execute(
        "SELECT tables.name, columns.name FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns"
        " WHERE tables.type = 'table' ORDER BY tables.name"
    ):
        columns.setdefault(table, []).append(column)
    return columns


def _dump(version: int) -> str:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "db"
        with closing(connect(str(file), isolation_level=None)) as connection:
            migrate(connection, [step for step in migrations() if step.number <= version])
            known = tables(connection)
            for table, row in ROWS:
                if table == "changes":
                    connection.execute("DELETE FROM changes")  # what the triggers have made of the rows is random
                there = {column: value for column, value in row.items() if column in known.get(table, ())}
                if there:
                    marks = ", ".join("?" for _ in there)
                    sql = f"INSERT INTO {table} ({', '.join(there)}) VALUES ({marks})"
                    connection.execute(sql, tuple(there.values()))
        shell = ["sqlite3", str(file), ".dump"]
        dumped = subprocess.run(shell, check=True, capture_output=True, text=True).stdout
    return f"{dumped}PRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version = {version};\n"


def main() -> None:
    version = migrations()[-1].number
    (FOLDER / f"{version:04}.sql").write_text(_dump(version), encoding="utf-8")


if __name__ == "__main__":
    main()
