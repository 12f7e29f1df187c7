"""Insert invalid rows, as another program or a damaged export may write them: each fails alone, with a reason."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from reminderd.clock import SystemClock
from reminderd.core.reasons import EndCode
from reminderd.store.connection import Connection
from reminderd.store.rows import to_ms
from reminderd.store.sqlite.driver import IntegrityError
from reminderd.store.sqlite.opening import open_sync
from tests.support.clinic import Clinic, a_clinic
from tests.support.clock import HandClock
from tests.support.engine import an_engine
from tests.support.program import running
from tests.support.waiting import until

HUGE, TINY = 2**63 - 1, -(2**63)
LATIN_1 = "M\xfcller".encode("latin-1")
"""Bytes that are not UTF-8, but that SQLite can store as text."""


@frozen
class Poison:
    """A reminder, and perhaps one of its calls; bytes are stored as text."""

    columns: dict[str, Any]
    call: dict[str, Any] | None = None


def reminder(**columns: Any) -> Poison:
    return Poison(columns)


def call(reminder_status: str = "processing", **columns: Any) -> Poison:
    return Poison({"status": reminder_status}, {"state": "placed", "wake_at": 0} | columns)


def closed(**columns: Any) -> Poison:
    return call("scheduled", state="ended", wake_at=None, **columns)


POISONS = {
    "phone-word": reminder(phone_number="the one in the file"),
    "phone-empty": reminder(phone_number=""),
    "phone-latin-1": reminder(phone_number=LATIN_1),
    "phone-nul": reminder(phone_number="+1202555\x00001"),
    "phone-endless": reminder(phone_number="+" + "1" * 1_000_000),
    "phone-spaced": reminder(phone_number="+49 30 123456"),
    "zone-unknown": reminder(timezone="Mars/Olympus_Mons"),
    "zone-folder": reminder(timezone="Europe"),
    "zone-path": reminder(timezone="../../../etc/passwd"),
    "zone-nul": reminder(timezone="Europe/Ber\x00lin"),
    "zone-latin-1": reminder(timezone=LATIN_1),
    "message-endless": reminder(message="Tomorrow. " * 100_000),
    "message-empty": reminder(message=""),
    "message-latin-1": reminder(message=LATIN_1),
    "message-nul": reminder(message="Tomorrow\x00 at nine."),
    "time-zero": reminder(scheduled_at=0),
    "time-expired": reminder(expires_at=0),
    "dialing-without-call": reminder(status="dialing"),
    "processing-without-call": reminder(status="processing"),
    "call-requests-huge": call(state="unconfirmed", requests=HUGE),
    "call-checks-huge": call(status="ringing", checks=HUGE),
    "call-status-empty": call(status=""),
    "call-status-latin-1": call(status=LATIN_1),
    "call-status-unheard-of": call(status="teleported"),
    "call-times-zero": call(created_at=0, updated_at=0),
    "call-provider-latin-1": call(provider=LATIN_1, external_call_id=b"\xff\x00\xfe"),
    "call-lease-latin-1": call("dialing", state="dialing", lease_token=LATIN_1),
}
"""Rows that must end with a reason, or wait visibly."""

HARMLESS = {
    "odd-attempts-tiny": reminder(attempts=TINY),
    "odd-attempts-huge": reminder(attempts=HUGE, tries=HUGE),
    "odd-words": reminder(last_error=LATIN_1, response=LATIN_1),
    "odd-retry-never": reminder(retry_at=0, again_until=TINY, again_seq=TINY),
    "odd-created-never": reminder(created_at=0, updated_at=0),
    "odd-call-error-latin-1": closed(
        status="busy", error=LATIN_1, transcript=LATIN_1, answered_by=b"\x00", duration_seconds=TINY
    ),
}
"""Rows that are strange, but can be called."""


def insert(connection: Connection, table: str, row: dict[str, Any]) -> None:
    marks = ", ".join("CAST(? AS TEXT)" if isinstance(value, bytes) else "?" for value in row.values())
    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))


async def until_none(clinic: Clinic, where: str) -> None:
    """Wait until no reminder matches this condition anymore."""
    await until(lambda: clinic.count(f"reminders WHERE {where}") == 0)


def insert_all(path: Path) -> None:
    now = to_ms(SystemClock().now())
    with open_sync(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for number, (name, poison) in enumerate((POISONS | HARMLESS).items()):
            columns = {"phone_number": f"+120255{number:05}", "message": "Hello.", "scheduled_at": now}
            insert(connection, "reminders", {"id": name} | columns | poison.columns)
            if poison.call is not None:
                own = {"id": f"call-{name}", "reminder_id": name, "phone_number": columns["phone_number"]}
                insert(connection, "call_logs", own | {"last_sign_at": 0} | poison.call)
                member = {"call_id": own["id"], "reminder_id": name, "position": 0, "message_digest": ""}
                insert(connection, "call_reminders", member | {"scheduled_at": now})
        for number in range(20):
            columns = {"phone_number": f"+120256{number:05}", "message": "Hello.", "scheduled_at": now + 500}
            insert(connection, "reminders", {"id": f"good-{number}"} | columns)
        connection.execute("COMMIT")


@pytest.mark.chaos
async def test_invalid_rows_fail_alone_and_the_rows_after_them_are_called(tmp_path: Path) -> None:
    """A row that breaks a whole claim would keep every phone from ringing, forever."""
    async with a_clinic(tmp_path, outcome_timeout_seconds=5) as clinic, running("run", cwd=tmp_path) as program:
        await program.url()
        insert_all(tmp_path / "clinic.db")
        due = SystemClock().now() + timedelta(seconds=0.5)
        await until_none(clinic, "id GLOB 'good*' AND status <> 'processing'")
        assert SystemClock().now() - due < timedelta(seconds=20), "they waited for the next poll"
        await until_none(
            clinic,
            "id NOT GLOB 'good*' AND status NOT IN ('failed', 'expired')"
            f" AND id NOT IN ({', '.join(map(repr, HARMLESS))})",
        )
        for name in POISONS:
            ended = clinic.reminder(name)
            assert ended.last_error
            await program.line(f"(WARNING|ERROR) .*{re.escape(ended.last_error)} reminder={name}")
        assert await program.terminate() == 0
    called = {ring.reminder_id for ring in clinic.provider.rings}
    assert called == {f"good-{number}" for number in range(20)} | HARMLESS.keys()
    assert len(clinic.provider.rings) == len(called)


@pytest.mark.parametrize(
    "identity",
    ["", "a\x00b", "a b", "M\xfcller", "x" * 201, LATIN_1],
    ids=["empty", "NUL", "space", "not ASCII", "too long", "not UTF-8"],
)
def test_a_call_whose_id_does_not_fit_in_a_header_is_refused(tmp_path: Path, identity: str | bytes) -> None:
    """Such a row could be read, but never written again: its reminder would wait forever, unnoticed."""
    with open_sync(tmp_path / "clinic.db") as connection:
        insert(connection, "reminders", {"id": "r1", "phone_number": "+1", "message": "Hello.", "scheduled_at": 0})
        call = {"reminder_id": "r1", "id": identity, "phone_number": "+1", "state": "ended", "last_sign_at": 0}
        with pytest.raises(IntegrityError, match="printable_ascii"):
            insert(connection, "call_logs", call)


async def test_a_trigger_of_the_clinics_own_only_fails_its_own_row(tmp_path: Path) -> None:
    """The clinic may add triggers; if one forbids our write, only its row fails."""
    async with an_engine(tmp_path / "db", HandClock()) as engine:
        await engine.execute("""
            CREATE TRIGGER clinics_own BEFORE UPDATE OF status ON reminders
            WHEN NEW.status = 'dialing' AND OLD.id = 'r1'
            BEGIN SELECT RAISE(ABORT, 'not this one'); END
        """)
        await engine.insert("r1")
        await engine.insert("r2")
        await engine.until("r2", "processing")
        assert (await engine.until("r1", "failed")).end_code is EndCode.PROGRAM_ERROR
    assert [placement.reminder_id for placement in engine.provider.placed] == ["r2"]
