"""Play one round of chaos: the real program is killed again and again, between its clinic and a terrible provider."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from random import Random
from signal import SIGHUP, SIGKILL
from typing import Final

import httpx
import trio
from attrs import define, field

from reminderd.clock import SystemClock
from reminderd.core.reasons import EndCode
from reminderd.core.rules import Rules
from reminderd.core.sentences import NotAllowedError
from reminderd.databases import SqliteFile
from reminderd.databases import Target as DatabaseTarget
from reminderd.store.any_engine import open_sync
from reminderd.store.connection import Connection, snapshot, transaction
from reminderd.store.intake import Source
from reminderd.store.reminders import cancel
from reminderd.store.rows import to_ms
from reminderd.store.sqlite.driver import SqliteConnection
from tests.chaos.invariants import Expectations, broken, doubles, losses
from tests.chaos.leaks import leaks, private
from tests.chaos.provider import ChaosProvider, Clinic
from tests.chaos.scenario import SECRETS, Scenario, Tally
from tests.chaos.servers import Engine, Place, a_place, patiently
from tests.chaos.snapshot import NOTHING, Snapshot, looking, reminder_of, response_to, snapshot_of
from tests.chaos.strikes import Strike, Target, plan
from tests.chaos.twilio import SENDER
from tests.support.hostile_provider import hostile
from tests.support.program import FRESH, Program, running

_PATIENCE: Final = 45.0
"""Seconds for everything to be settled after the last kill, without reminders."""
_PATIENCE_EACH: Final = 0.3
"""Further seconds for each reminder."""

AWAY: Final = ("no connection to the server", "the connection to the server was lost", "the server is")
"""The last messages of the program if it ends because there is no server."""

_UNTIL_STRUCK: Final = 6.0
"""Seconds within which a process should reach its planned moment; after them, it is killed anyway."""


async def play(scenario: Scenario, seed: int, folder: Path, engine: Engine = "sqlite") -> Tally:
    """Play one round in an empty folder. The seed decides everything except races, which depend on the machine."""
    with a_place(engine, folder, Random(f"{seed} cuts"), cuts=scenario.cuts) as place:
        return await _play(scenario, seed, folder, place)


async def _play(scenario: Scenario, seed: int, folder: Path, place: Place) -> Tally:
    async with httpx.AsyncClient(timeout=5.0, trust_env=False) as client, trio.open_nursery() as nursery:
        provider = scenario.provider(
            seed=seed,
            temper=scenario.temper,
            clinic=Clinic(
                reminder_of=lambda call_id: patiently(partial(reminder_of, place.database, call_id)),
                response_to=lambda reminder_id: patiently(partial(response_to, place.database, reminder_id)),
                cancel=lambda reminder_id: patiently(partial(cancel_by_staff, place.database, reminder_id)),
            ),
            client=client,
            nursery=nursery,
        )
        played = _Round(scenario, folder, place, provider, Random(seed))
        await played.run()
        nursery.cancel_scope.cancel()
    return played.tally()


@define
class _Round:
    """A round that is being played."""

    scenario: Scenario
    folder: Path
    place: Place
    provider: ChaosProvider
    draw: Random
    api_url: str = ""
    errors: list[str] = field(factory=list)
    """What did not hold; then the round ends."""
    log: list[str] = field(factory=list)
    """Every line that any process has logged."""
    starts: int = 0
    """The number of starts that were repeated, as the server was down."""
    restarts: int = 0
    _inserted: int = 0
    _former: Snapshot | None = None
    _is_killed_again: bool = True

    async def run(self) -> None:
        """Do a third of the kills with one process, and the others with two on one database; then end well."""
        (self.folder / "config.toml").write_text(self.scenario.config)
        strikes = plan(self.scenario.kills, self.draw)
        alone = len(strikes) // 3
        async with AsyncExitStack() as stack:
            listening = await stack.enter_async_context(hostile((self.provider.serve,)))
            self.api_url = listening.url
            one, other = self.provider.targets = [Target(), Target()]
            async with trio.open_nursery() as server:
                server.start_soon(self._restart_server_again_and_again)
                await self._kill_again_and_again(one, strikes[:alone])
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._kill_again_and_again, one, strikes[alone::2])
                    nursery.start_soon(self._kill_again_and_again, other, strikes[alone + 1 :: 2])
                self._is_killed_again = False
            await self._end_well(one)

    async def _kill_again_and_again(self, target: Target, strikes: Sequence[Strike]) -> None:
        for strike in strikes:
            if self.errors:
                return
            while not await self._is_killed(target, strike):
                self.starts += 1
            self._check_state()

    async def _is_killed(self, target: Target, strike: Strike) -> bool:
        """Start a process and kill it at a moment; return False if it ended by itself, as the server was down."""
        async with self._program(target, FRESH if strike is Strike.STARTING else ()) as program:
            if strike is Strike.STARTING:
                await trio.sleep(self.draw.uniform(0.05, 1.0))
            elif await self._is_listening(target, program):
                await self._until_struck(target, program, strike)
            await program.kill()
        if self._could_not_start(program):
            return False
        self.provider.strikes[strike] += strike is Strike.STARTING
        self._check_exit(program, -SIGKILL)
        return True

    async def _is_listening(self, target: Target, program: Program) -> bool:
        """Wait until a process accepts webhooks; return False if it has ended before."""
        try:
            self.provider.opens(target, await program.url())
        except AssertionError:
            await program.ended()
            if not self._could_not_start(program):
                raise
            return False
        return True

    def _could_not_start(self, program: Program) -> bool:
        """Return whether a process has ended because there was no server; systemd would start it again."""
        is_away = any(word in line for line in program.lines[-1:] for word in AWAY)
        return self.place.server is not None and program.process.returncode == 1 and is_away

    async def _restart_server_again_and_again(self) -> None:
        """Let the server crash, and start it again, between the kills."""
        server, times = self.place.server, self.scenario.restarts
        for number in range(times if server is not None else 0):
            kills = (number + 0.5) * self.scenario.kills / times
            while self.provider.strikes.total() < kills and self._is_killed_again:  # noqa: ASYNC110 - many wait for it
                await trio.sleep(0.05)
            await trio.sleep(Random(f"{self.provider.seed} {number}").uniform(0, 1))
            assert server is not None
            await trio.to_thread.run_sync(server.restart)
            self.restarts += 1

    async def _until_struck(self, target: Target, program: Program, strike: Strike) -> None:
        """Give it work, and wait until it was killed at the moment, or until that took too long."""
        target.marked = strike
        await self._insert(-(-self.scenario.reminders // self.scenario.kills))
        patience = self.draw.uniform(0, 0.5) if strike is Strike.RUNNING else _UNTIL_STRUCK
        with trio.move_on_after(patience):
            await program.process.wait()
        if target.strikes(strike):
            self.provider.strikes[Strike.RUNNING] += 1

    async def _end_well(self, target: Target) -> None:
        """Run a daemon with a provider that works again; check that in the end nothing is left to do."""
        if self.errors:
            return
        self.provider.well = True
        self.place.gets_well()
        async with self._program(target) as program:
            self.provider.opens(target, await program.url())
            await self._insert(self.scenario.reminders - self._inserted)
            with trio.move_on_after(_PATIENCE + _PATIENCE_EACH * self.scenario.reminders):
                while not self._is_settled():
                    if self._seems_unreached():
                        program.process.send_signal(SIGHUP)  # as an admin does who has found no mistake
                        await trio.sleep(1)
                    await trio.sleep(0.05)
            await program.terminate()
        self._check_exit(program, 0)
        self._check_state(settled=True)
        self._check_logs()

    @asynccontextmanager
    async def _program(self, target: Target, entrance: Sequence[str] = ()) -> AsyncIterator[Program]:
        env = {self.scenario.api_url_variable: self.api_url, **self.place.environment}
        async with running("run", cwd=self.folder, env=env, entrance=entrance) as program:
            target.program = program
            yield program
            self.log += program.lines
            target.program = target.web_url = None

    async def _insert(self, count: int) -> None:
        """Add reminders that are due now, as the clinic's own program does; in a thread, as a lock may be held."""
        numbers = range(self._inserted, min(self._inserted + count, self.scenario.reminders))
        self._inserted = numbers.stop
        insert = partial(_insert, self.place.database, numbers, self.scenario.a_number)
        await trio.to_thread.run_sync(patiently, insert)

    def _seems_unreached(self) -> bool:
        """Return whether the kills have made our address look unreachable: then minutes pass between two probes."""
        with looking(self.place.database) as connection:
            found = connection.execute("SELECT 1 FROM settings WHERE key = 'unreached_since'").fetchone()
        return found is not None

    def _is_settled(self) -> bool:
        with looking(self.place.database) as connection:
            waiting = connection.execute(
                "SELECT 1 FROM reminders WHERE wake_at IS NOT NULL"
                " UNION ALL SELECT 1 FROM call_logs WHERE wake_at IS NOT NULL LIMIT 1"
            ).fetchone()
        return waiting is None and self.provider.undelivered == 0

    def _check_exit(self, program: Program, code: int) -> None:
        if program.process.returncode != code:
            self.errors.append(f"the program ended with {program.process.returncode}: {program.lines[-3:]}")
        self.errors += [f"the log has a traceback: {program.lines}" for line in program.lines if "Traceback" in line]

    def _check_logs(self) -> None:
        """Search all logs for what no log may contain."""
        with looking(self.place.database) as connection:
            kept = private(connection, self.provider.record, secrets=SECRETS, sender=SENDER)
        self.errors += leaks(self.log, kept)

    def _check_state(self, *, settled: bool = False) -> None:
        """Check the record and the database, between two steps of the provider."""
        expectations = self._expectations(settled=settled)

        def look(connection: Connection) -> None:
            if not _has_tables(connection):
                return  # killed before the tables existed
            self.errors += broken(self.provider.record, connection, expectations, self._former)
            self._former = snapshot_of(connection)

        database = self.place.database
        if not isinstance(database, SqliteFile) or database.path.exists():  # otherwise, killed before it existed
            with looking(database) as connection:
                patiently(partial(snapshot, connection, look))
        if settled and self.provider.undelivered:
            self.errors.append(f"{self.provider.undelivered} webhooks never got their 200")

    def _expectations(self, *, settled: bool) -> Expectations:
        temper = self.scenario.temper
        return Expectations(
            now=SystemClock().now(),
            settled=settled,
            tells_all=temper.look_up,
            voicemail_is_reached=False,
            answered=dict(self.provider.answered),
            pressed=frozenset(self.provider.pressed),
            cancelled=frozenset(self.provider.cancelled),
        )

    def tally(self) -> Tally:
        record, found = self.provider.record, self._former or NOTHING
        expectations = self._expectations(settled=self.provider.well)
        reminders = found.reminders.values()
        return Tally(
            seed=self.provider.seed,
            rings=len(record.rings),
            requests=len(record.orders),
            webhooks=self.provider.webhooks,
            kills=self.provider.strikes,
            statuses=Counter(reminder.status.value for reminder in reminders),
            unconfirmed=sum(reminder.end_code is EndCode.UNCONFIRMED for reminder in reminders),
            found=self.provider.found,
            doubles=len(list(doubles(record, found, expectations))),
            losses=len(list(losses(record, found, expectations))),
            restarts=self.restarts,
            cuts=self.place.cuts,
            starts=self.starts,
            log=tuple(self.log),
            broken=tuple(self.errors),
        )


def _has_tables(connection: Connection) -> bool:
    if isinstance(connection, SqliteConnection):
        return bool(connection.execute("PRAGMA user_version").fetchone()[0])
    return connection.execute("SELECT 1 FROM pg_tables WHERE tablename = 'settings'").fetchone() is not None


def _insert(database: DatabaseTarget, numbers: range, a_number: int) -> None:
    due = to_ms(SystemClock().now())
    rows = [(f"r{number:03}", f"+1202555{number // a_number:04}", f"Reminder {number}.", due) for number in numbers]
    # If a COMMIT was lost together with its server, this runs twice.
    insert = (
        "INSERT INTO reminders (id, phone_number, message, scheduled_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
    )
    with open_sync(database) as connection:
        transaction(connection, lambda connection, _now: connection.executemany(insert, rows), SystemClock().now())


def cancel_by_staff(database: DatabaseTarget, reminder_id: str) -> None:
    """Cancel a reminder as staff do, if it still can be cancelled."""
    with open_sync(database) as connection, suppress(NotAllowedError):
        stop = partial(cancel, reminder_id=reminder_id, rules=Rules(), source=Source(actor="staff"))
        transaction(connection, stop, SystemClock().now())
