"""Read the database at one instant without changing it, and check what must never change between two instants."""

from collections.abc import Container, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial

from attrs import frozen

from reminderd.core.model import Call, Member, Reminder, Status
from reminderd.databases import SqliteFile, Target
from reminderd.store.connection import Connection, snapshot
from reminderd.store.rows import CALLS, MEMBERS, REMINDERS
from reminderd.store.sqlite.driver import Row, connect


@frozen
class Snapshot:
    """The database at one instant."""

    reminders: Mapping[str, Reminder]
    calls: Mapping[str, Call]
    """The calls by their id, oldest first."""
    members: tuple[Member, ...]
    receipts: Mapping[str, tuple[str, str]]
    """The reminder and the status of each receipt, by the provider's id."""

    def calls_of(self, reminder_id: str) -> tuple[Call, ...]:
        """Return all calls that a reminder is a member of."""
        own = {member.call_id for member in self.members if member.reminder_id == reminder_id}
        return tuple(call for call in self.calls.values() if call.id in own)

    def member(self, call_id: str, reminder_id: str) -> Member | None:
        found = [one for one in self.members if (one.call_id, one.reminder_id) == (call_id, reminder_id)]
        return found[0] if found else None


NOTHING = Snapshot({}, {}, (), {})


@contextmanager
def looking(database: Target) -> Iterator[Connection]:
    """Yield a connection that changes nothing: it leaves even a killed process's WAL to the next one."""
    if isinstance(database, SqliteFile):
        with closing(connect(f"{database.path.as_uri()}?mode=ro", uri=True, isolation_level=None)) as file:
            file.row_factory = Row
            yield file
        return
    from reminderd.store.postgres.driver import PostgresConnection  # noqa: PLC0415 - only with psycopg
    from reminderd.store.postgres.sessions import connect as connect_to_server  # noqa: PLC0415

    with closing(PostgresConnection(partial(connect_to_server, database))) as connection:
        yield connection


def is_committed(database: Target, call_id: str) -> bool:
    """Return whether another process sees the call with this id."""
    return reminder_of(database, call_id) is not None


def reminder_of(database: Target, call_id: str) -> str | None:
    """Return the reminder whose call has this id, as another process sees it; None if no such call is committed."""
    with looking(database) as connection:
        return snapshot(connection, partial(_reminder_of, call_id=call_id))


def _reminder_of(connection: Connection, call_id: str) -> str | None:
    row = connection.execute("SELECT reminder_id FROM call_logs WHERE id = ?", (call_id,)).fetchone()
    return None if row is None else str(row["reminder_id"])


def response_to(database: Target, reminder_id: str) -> str | None:
    """Return the recorded response to a reminder, as another process sees it."""
    with looking(database) as connection:
        return snapshot(connection, partial(_response_to, reminder_id=reminder_id))


def _response_to(connection: Connection, reminder_id: str) -> str | None:
    row = connection.execute("SELECT response FROM reminders WHERE id = ?", (reminder_id,)).fetchone()
    return None if row is None or row["response"] is None else str(row["response"])


def snapshot_of(connection: Connection) -> Snapshot:
    reminders = map(REMINDERS.read, connection.execute(f"SELECT {REMINDERS.names} FROM reminders").fetchall())
    calls = map(CALLS.read, connection.execute(f"SELECT {CALLS.names} FROM call_logs ORDER BY seq").fetchall())
    members = map(MEMBERS.read, connection.execute(f"SELECT {MEMBERS.names} FROM call_reminders").fetchall())
    receipts = connection.execute("SELECT * FROM webhook_receipts").fetchall()
    return Snapshot(
        {reminder.id: reminder for reminder in reminders},
        {call.id: call for call in calls},
        tuple(members),
        {receipt["call_id"]: (receipt["reminder_id"], receipt["status"]) for receipt in receipts},
    )


def _may_be_asked_again(call: Call) -> bool:
    """Return whether a provider that asked what to speak may ask again, and get another answer.

    Until somebody has pressed a key or the message is over, nothing proves that the first answer was spoken.
    """
    return call.fetched_at is not None and call.outcome is None


def changes(former: Snapshot, latter: Snapshot, *, called_again: Container[str]) -> Iterator[str]:  # noqa: C901, PLR0912 - a list of sentences
    """Yield what has changed although it never may; staff have had the reminders in `called_again` called again."""
    for reminder in former.reminders.values():
        now = latter.reminders.get(reminder.id)
        if now is None:
            yield f"{reminder.id}: gone from the database"
        elif reminder.status is Status.CALLED and now.status is not Status.CALLED:
            yield f"{reminder.id}: was called, is {now.status}"
        elif reminder.status.final and not now.status.final and reminder.id not in called_again:
            yield f"{reminder.id}: was {reminder.status}, is {now.status}"
    for call in former.calls.values():
        after = latter.calls.get(call.id)
        if after is None:
            yield f"{call.id}: gone from call_logs"
            continue
        if call.received_at is not None and (call.status, call.received_at) != (after.status, after.received_at):
            yield f"{call.id}: had ended as {call.status}, is {after.status}"
        for column in ("reminder_id", "phone_number", "seq", "external_call_id", "transcript", "created_at"):
            if getattr(call, column) not in {None, getattr(after, column)}:
                yield f"{call.id}: its {column} has changed"
    for member in former.members:
        after_all = latter.member(member.call_id, member.reminder_id)
        if after_all is None or after_all.scheduled_at != member.scheduled_at:
            yield f"{member.call_id}: its part for {member.reminder_id} has changed"
        elif after_all.spoken < member.spoken and not _may_be_asked_again(former.calls[member.call_id]):
            yield f"{member.call_id}: what it said for {member.reminder_id} has changed"
    for call_id, receipt in former.receipts.items():
        if latter.receipts.get(call_id) != receipt:
            yield f"{call_id}: its receipt has changed"
