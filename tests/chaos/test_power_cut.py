"""Cut the power: what was acknowledged is there afterward, and the database is not damaged."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import pytest
import trio
from attrs import define, field

from reminderd.core.answers import Accepted, NotPlaced, Report, Unclear
from reminderd.core.lifecycle.transition import Action
from reminderd.store.connection import Connection
from reminderd.store.sqlite.integrity import integrity_errors
from reminderd.store.sqlite.opening import open_sync
from tests.chaos.recording_vfs import Recording, Write, recorded
from tests.support.clinic import a_clinic
from tests.support.generic_server import Ring, send, webhook
from tests.support.program import Program, running
from tests.support.store import Store
from tests.support.waiting import until_in_thread

TABLES = ("reminders", "call_logs", "call_reminders", "webhook_receipts", "opt_outs", "settings", "audit")

State: TypeAlias = tuple[tuple[Any, ...], ...]
"""The whole content of the database."""


def state(connection: Connection) -> State:
    return tuple(
        (table, *row)
        for table in TABLES
        for row in connection.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall()
        if row[0] != "database_id"  # if it was cut off before it had an id, the database gets another one
    )


@define
class History:
    """The transactions, and after each of them the number of acts on the disk and the content of the database."""

    store: Store
    recording: Recording
    draw: Random
    marks: list[tuple[int, State]] = field(factory=list)
    claimed: list[Action] = field(factory=list)
    dialed: list[Action] = field(factory=list)

    def acknowledge(self) -> None:
        self.marks.append((len(self.recording.acts), state(self.store.connection)))

    def go_on(self) -> None:
        self.store.later(timedelta(seconds=self.draw.randint(0, 90)))
        self.draw.choice((self._insert, self._claim, self._answer, self._answer, self._report, self._report))()
        self.acknowledge()

    def _insert(self) -> None:
        number = len(self.marks)
        self.store.insert(f"r{number}", f"+120255{number:05}", message="Tomorrow at nine. " * self.draw.randint(1, 200))

    def _claim(self) -> None:
        self.claimed += [one for one in self.store.claim(requests=3) if one.kind.is_request]

    def _answer(self) -> None:
        if self.claimed:
            claimed = self.claimed.pop(self.draw.randrange(len(self.claimed)))
            answer = self.draw.choice((Accepted(f"ext-{claimed.call.id}"), Unclear("cut off"), NotPlaced("busy")))
            self.store.answer(claimed, answer)
            self.dialed.append(claimed)

    def _report(self) -> None:
        if self.dialed:
            claimed = self.draw.choice(self.dialed)
            status = self.draw.choice(("ringing", "busy", "completed"))
            self.store.report(
                Report(
                    external_call_id=f"ext-{claimed.call.id}",
                    status=status,
                    reminder_id=claimed.call.reminder_id,
                    attempt_id=claimed.call.id,
                    transcript="Hello? " * self.draw.randint(0, 500),
                )
            )


def a_history(folder: Path, draw: Random, *, synchronous: str = "FULL", transactions: int = 60) -> History:
    recording = Recording()
    with recorded(folder / "db", recording) as connection:
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA wal_autocheckpoint = 12")  # otherwise, a short history would never have a checkpoint
        history = History(Store(connection), recording, draw)
        history.acknowledge()
        for _ in range(transactions):
            history.go_on()
    return history


def after_cut(history: History, at: int, folder: Path) -> tuple[State, list[State]]:
    """Return the content after a cut and a new start, and the allowed ones: the last acknowledged one, or the next."""
    folder.mkdir()
    history.recording.cut(at, folder, history.draw)
    known = [said for mark, said in history.marks if mark <= at]
    following = [said for mark, said in history.marks if mark > at]
    with open_sync(folder / "db") as connection:
        assert integrity_errors(connection) == []
        found = state(connection)
    shutil.rmtree(folder)
    return found, [*known[-1:], *following[:1]]


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(4))
def test_a_power_cut_at_any_moment_loses_nothing_that_was_acknowledged(tmp_path: Path, seed: int) -> None:
    """If `synchronous` is lower than FULL, it does lose something: see the next test."""
    draw = Random(seed)
    history = a_history(tmp_path, draw)
    acts = history.recording.acts
    checkpointed = [act for act in acts[history.marks[0][0] :] if isinstance(act, Write) and act.file == "db"]
    assert checkpointed, "without a checkpoint a cut proves little"
    for number, at in enumerate(draw.sample(range(len(acts) + 1), 80)):
        found, allowed = after_cut(history, at, tmp_path / f"cut-{number}")
        assert found in allowed, f"seed {seed}, cut at {at} of {len(acts)}"


@pytest.mark.chaos
def test_the_simulated_power_cut_can_lose_what_was_not_synced(tmp_path: Path) -> None:
    """The control: SQLite's own middle setting survives crashes of the program, but not of the machine."""
    draw = Random(1)
    history = a_history(tmp_path, draw, synchronous="NORMAL")
    cuts = draw.sample(range(len(history.recording.acts) + 1), 40)
    outcomes = [after_cut(history, at, tmp_path / f"cut-{number}") for number, at in enumerate(cuts)]
    assert any(found not in allowed for found, allowed in outcomes)


@pytest.mark.chaos
async def test_acknowledged_webhooks_and_dialed_calls_are_stored_at_any_moment(tmp_path: Path) -> None:
    """The real daemon is frozen at random moments: after a power cut, a machine would find the same files.

    It fails if an answer is sent, or a phone rings, before the commit.
    """
    draw = Random(20)
    async with a_clinic(tmp_path) as clinic, running("run", cwd=tmp_path) as program, trio.open_nursery() as nursery:
        url = await program.url()
        answered: list[tuple[Ring, str]] = []

        async def report(ring: Ring) -> None:
            status = draw.choice(("completed", "ringing", "busy"))
            if (await send(clinic.client, url, webhook(ring, status))).status_code == 200:
                answered.append((ring, status))

        clinic.provider.on_ring = lambda ring: nursery.start_soon(report, ring)
        for moment in range(12):
            for number in range(8):
                clinic.insert(f"r{moment}-{number}", f"+120255{moment:02}{number:03}")
            await trio.sleep(draw.uniform(0, 0.08))
            with frozen(program):
                acknowledged, rings = list(answered), list(clinic.provider.rings)
                copy = tmp_path / f"copy-{moment}"
                copy.mkdir()
                for name in ("clinic.db", "clinic.db-wal"):
                    shutil.copyfile(tmp_path / name, copy / name)
            with open_sync(copy / "clinic.db") as connection:
                assert integrity_errors(connection) == []
                calls = {row["id"]: dict(row) for row in connection.execute("SELECT * FROM call_logs").fetchall()}
            assert {ring.attempt_id for ring in rings} <= calls.keys()
            for ring, status in acknowledged:
                call = calls[ring.attempt_id]
                assert (call["external_call_id"], call["status"]) == (ring.call_id, status)
        assert answered
        clinic.provider.on_ring = lambda _ring: None


@contextmanager
def frozen(program: Program) -> Iterator[None]:
    """Suspend the program while it works."""
    program.suspend()
    until_in_thread(lambda: program.state() == "T")
    try:
        yield
    finally:
        program.resume()
