"""Everything that can become of a reminder, shown in seconds: a temporary database, the sandbox, the real daemon."""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import click
import trio
from attrs import frozen

from reminderd.cli.common import FAILED
from reminderd.cli.output import print_table
from reminderd.clock import SystemClock
from reminderd.config import Config, load_config
from reminderd.core.reminder import Reminder, Status
from reminderd.daemon import run
from reminderd.logs import configure_logs
from reminderd.sandbox.behaviours import example_number
from reminderd.store import desk, queries
from reminderd.store.driver import Connection
from reminderd.store.opening import open_sync
from reminderd.store.transaction import snapshot, transaction

_PACE: Final = 0.1
_LONGEST_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.1

_ENVIRONMENT: Final = {
    "REMINDERD__DATABASE__URL": "sqlite:///demo.db",
    "REMINDERD__WEB__PORT": "0",
    "REMINDERD__WORKER__CONFIRM_AFTER_SECONDS": "1",
    "REMINDERD__REDIAL__DELAY_MINUTES": "0.02",
    "REMINDERD__REDIAL__MAX_CALLS": "2",
}


@frozen
class _Case:
    """One reminder of the demo, and what must become of it."""

    behaviour: str
    story: str
    status: Status
    calls: int = 1


_CASES: Final = (
    _Case("answered", "the patient answers", Status.CALLED),
    _Case("busy then answered", "busy, rung again a little later, answered", Status.CALLED, calls=2),
    _Case("no answer", "nobody answers, twice: the front desk must know", Status.FAILED, calls=2),
    _Case("refused", "the provider refuses the number", Status.FAILED),
    _Case("down then up", "the provider is down, then up: the same request again", Status.CALLED),
    _Case(
        "lost answer", "the provider's answer is lost: it is not rung again, its webhook tells the rest", Status.CALLED
    ),
    _Case("repeated webhook", "the webhook comes three times and counts once", Status.CALLED),
    _Case("early webhook", "the webhook comes before the provider's own answer", Status.CALLED),
)


@click.command()
def demo() -> None:
    """See every kind of call happen, in seconds; needs nothing and leaves nothing behind."""
    configure_logs(level="INFO", log_format="text")
    with TemporaryDirectory(prefix="reminderd-demo-") as folder:
        config = load_config(None, _ENVIRONMENT, Path(folder))
        with open_sync(config.database.path) as connection:
            _add_reminders(connection)
            rings = trio.run(_until_all_are_final, config, connection)
            outcome = [_outcome(connection, case, rings) for case in _CASES]
    click.echo()
    print_table(
        outcome,
        ("what happens", "status", "reason", "phone rang", "as it should"),
        config.calling.zone,
        title=f"{len(_CASES)} reminders through a simulated provider",
    )
    if any(row["as it should"] != "yes" for row in outcome):
        raise SystemExit(FAILED)
    click.echo("All ended as they should. Next: reminderd run, or a config.toml for a real provider.")


def _add_reminders(connection: Connection) -> None:
    now = SystemClock().now()
    for number, case in enumerate(_CASES):
        reminder = Reminder(
            id=case.behaviour,
            phone_number=example_number(case.behaviour, area=202 + number),
            message="This is your clinic. Your appointment is tomorrow at nine.",
            scheduled_at=now + timedelta(milliseconds=number),
        )
        transaction(connection, partial(desk.add, reminder=reminder, actor="demo"), now)


async def _until_all_are_final(config: Config, connection: Connection) -> Mapping[str, int]:
    """Run the real daemon until every reminder is final; how often each one's phone rang, by the provider's record."""
    stopping = trio.Event()
    rings: dict[str, int] = {}
    with trio.move_on_after(_LONGEST_SECONDS):
        async with trio.open_nursery() as nursery:
            start = partial(run, config, clock=SystemClock(), stopping=stopping, sandbox_pace=_PACE)
            running = await nursery.start(start)
            while not _all_final(connection):  # noqa: ASYNC110 - looks as staff would, through the database
                await trio.sleep(_LOOK_SECONDS)
            for call in running.sandbox.calls if running.sandbox is not None else ():
                reminder_id = call.order.metadata["reminder_id"]
                rings[reminder_id] = rings.get(reminder_id, 0) + 1
            stopping.set()
    return rings


def _all_final(connection: Connection) -> bool:
    rows = snapshot(connection, partial(queries.list_reminders, status=None, limit=None))
    return all(Status(str(row["status"])).final for row in rows)


def _outcome(connection: Connection, case: _Case, rings: Mapping[str, int]) -> dict[str, queries.Value]:
    row = snapshot(connection, partial(queries.find_reminder, id_or_ref=case.behaviour)) or {}
    calls = snapshot(connection, partial(queries.calls_of, reminder_id=case.behaviour))
    rang = rings.get(case.behaviour, 0)
    wanted_rings = 0 if case.behaviour == "refused" else case.calls
    right = row.get("status") == case.status and len(calls) == case.calls and rang == wanted_rings
    return {
        "what happens": case.story,
        "status": row.get("status"),
        "reason": row.get("last_error"),
        "phone rang": {0: "never", 1: "once", 2: "twice"}.get(rang, f"{rang} times"),
        "as it should": "yes" if right else "NO",
    }
