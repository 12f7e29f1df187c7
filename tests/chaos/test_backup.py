"""Test backups of a daemon that is flooded with webhooks, and what exists again after a restore."""

from pathlib import Path

import pytest
import trio

from reminderd.store.sqlite.copying import open_copy
from reminderd.store.sqlite.opening import open_sync
from tests.chaos.test_load import Flooded, a_flooded_clinic, report
from tests.support.program import Program, running
from tests.support.waiting import until

pytestmark = pytest.mark.chaos

SENDERS = 12
BACKUPS = 2


async def test_a_backup_under_load_has_everything_acknowledged_before_it(tmp_path: Path) -> None:
    """The backup also finishes while the daemon writes as fast as it can."""
    answered: list[str] = []
    before: list[set[str]] = []
    async with a_flooded_clinic(tmp_path) as flooded:
        with open_sync(tmp_path / "clinic.db") as connection:  # a call, so that reports about others are stored, too
            connection.execute(
                "INSERT INTO call_logs (reminder_id, phone_number, state, status, last_sign_at)"
                " SELECT id, phone_number, 'ended', 'busy', 0 FROM reminders"
            )
        async with trio.open_nursery() as flood:
            for number in range(SENDERS):
                flood.start_soon(send_forever, flooded, f"sender-{number}", answered)
            for number in range(BACKUPS):
                await more(answered, 100)
                before.append(set(answered))
                async with running("db", "backup", f"copy-{number}.db", cwd=tmp_path) as backup:
                    await done(backup)
                await more(answered, 1)
            flood.cancel_scope.cancel()
        flooded.program.suspend()  # it has its database anyway
        async with running("db", "restore", "copy-0.db", "--force", cwd=tmp_path) as restore:
            assert await restore.ended() == 1
            assert "in use; stop the daemon" in restore.lines[0]
        flooded.program.resume()
    for number, known in enumerate(before):
        async with running("db", "restore", f"copy-{number}.db", "--force", cwd=tmp_path) as restore:
            await done(restore)
        async with running("db", "check", cwd=tmp_path) as check:
            await done(check)
        with open_sync(tmp_path / "clinic.db") as connection:
            receipts = {row[0] for row in connection.execute("SELECT call_id FROM webhook_receipts").fetchall()}
            kept = connection.execute(
                "SELECT external_call_id, transcript FROM call_logs WHERE external_call_id IS NOT NULL"
            )
            words = {row[0]: row[1] for row in kept.fetchall()}
        assert known <= receipts
        assert words == {call_id: f"Words of {call_id}" for call_id in receipts}
    assert len(set(map(frozenset, before))) == BACKUPS


async def test_the_daemon_makes_backups_and_stops_without_waiting_for_the_next(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[web]\nport = 0\n[backup]\nfolder = "copies"\n')
    async with running("run", cwd=tmp_path) as program:
        line = await program.line(r"backup made: \S+\.db, ")
        assert await program.terminate() == 0
    [made] = (tmp_path / "copies").glob("*.db")
    assert made.name in line.string
    with open_copy(made) as copied:
        assert copied.execute("SELECT count(*) FROM reminders").fetchone()[0] == 0


async def send_forever(flooded: Flooded, name: str, answered: list[str]) -> None:
    """Send one webhook after another; each is answered once it is on the disk."""
    number = 0
    while True:
        number += 1
        call_id = f"{name}-{number}"
        if (await flooded.ask(report(call_id, f"Words of {call_id}"))).status == 200:
            answered.append(call_id)


async def more(answered: list[str], number: int) -> None:
    """Wait until this number of further webhooks were answered."""
    goal = len(answered) + number
    await until(lambda: len(answered) >= goal)


async def done(program: Program) -> None:
    assert await program.ended() == 0, program.lines
