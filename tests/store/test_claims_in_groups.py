"""A claim as the writer commits it: at first without savepoints, and again with them if it fails on one reminder."""

from datetime import timedelta
from functools import partial
from itertools import count

from reminderd.core.lifecycle.reconcile import Witness
from reminderd.store.claims import Capacity, claim
from reminderd.store.connection import Connection
from reminderd.store.database import Database
from reminderd.store.rows import to_ms
from tests.support.builders import NOW, RULES
from tests.support.rows import insert_row

CAPACITY = Capacity(requests=8, checks=8, request_in=timedelta(seconds=1))


async def test_a_claim_that_fails_on_one_reminder_calls_the_others(database: Database, connection: Connection) -> None:
    ids = count(1)

    def mint() -> str:
        number = next(ids)
        return "taken" if number % 4 == 1 else f"id-{number}"  # each time the call of the first of two reminders

    at = to_ms(NOW)
    ended = {"id": "taken", "reminder_id": "r", "phone_number": "+12025550199", "state": "ended", "last_sign_at": at}
    insert_row(connection, "call_logs", ended)
    for number in (1, 2):
        row = {"id": f"r{number}", "phone_number": f"+1202555000{number}", "message": "At nine.", "scheduled_at": at}
        insert_row(connection, "reminders", row | {"created_at": at, "updated_at": at, "wake_at": at})
    transitions = await database.write(partial(claim, capacity=CAPACITY, rules=RULES, witness=Witness(), mint=mint))
    assert [one.action is not None for one in transitions] == [False, True]
    rows = connection.execute("SELECT id, status FROM reminders ORDER BY id").fetchall()
    assert [tuple(row) for row in rows] == [("r1", "failed"), ("r2", "dialing")]
    assert next(ids) > 8, "it was made again"
