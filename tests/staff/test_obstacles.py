"""Resume dialing; and which waiting reminders can't be called, remembered from one look to the next."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from reminderd.core.phone import Numbering
from reminderd.core.sentences import NotAllowedError
from reminderd.databases import Target
from reminderd.staff.obstacles import AT_ONCE, Examined, pause_mark, resume
from reminderd.store.any_engine import open_sync
from reminderd.store.connection import Connection, transaction
from reminderd.store.queries import uncallable
from reminderd.store.rows import to_ms
from reminderd.store.shared_state import paused, put_setting, set_pause
from tests.support.builders import NOW, RULES
from tests.support.plans import Recording, plan
from tests.support.rows import insert_row

pytestmark = pytest.mark.also_on_postgres


def resumed(connection: Connection, now: datetime) -> bool:
    """What a person does who has just looked."""
    seen = pause_mark(connection)
    return transaction(connection, partial(resume, actor="anna", rules=RULES, seen=seen), now)


def test_a_pause_is_ended_once(target: Target) -> None:
    with open_sync(target) as connection:
        transaction(connection, partial(set_pause, on=True, reason="why", actor="ben"), NOW)
        assert [resumed(connection, NOW), resumed(connection, NOW)] == [True, False]
        acts = [(row["actor"], row["act"]) for row in connection.execute("SELECT actor, act FROM audit")]
    assert acts == [("ben", "pause"), ("anna", "resume")]


def test_nobody_resumes_while_a_restored_backup_lets_nobody_be_called(target: Target) -> None:
    until = NOW + RULES.outcome_timeout
    with open_sync(target) as connection:
        put_setting(connection, "restored_at", str(to_ms(NOW)))
        transaction(connection, partial(set_pause, on=True, reason="restored", actor="anna"), NOW)
        with pytest.raises(NotAllowedError, match="the database was restored: nobody is called before"):
            resumed(connection, until - timedelta(milliseconds=1))
        assert paused(connection)
        assert resumed(connection, until)


def test_nobody_ends_a_pause_whose_reason_was_not_shown(target: Target) -> None:
    with open_sync(target) as connection:
        transaction(connection, partial(set_pause, on=True, reason="fire drill", actor="ben"), NOW)
        seen = pause_mark(connection)
        transaction(connection, partial(set_pause, on=True, reason="the numbers are wrong", actor="carla"), NOW)
        with pytest.raises(NotAllowedError, match="somebody has paused dialing again since"):
            transaction(connection, partial(resume, actor="anna", rules=RULES, seen=seen), NOW)
        assert paused(connection)
        assert resumed(connection, NOW)


BERLIN = Numbering(country="DE")
YEAR_2999 = 32_472_144_000_000


def insert(connection: Connection, name: str, number: str, **columns: object) -> None:
    row = {"id": name, "phone_number": number, "message": "Hello", "scheduled_at": YEAR_2999, "wake_at": YEAR_2999}
    insert_row(connection, "reminders", row | columns)


def loaded(connection: Connection, examined: Examined) -> list[str]:
    """Return the ids of the reminders that were read whole to examine what is new."""
    recording: Any = Recording(connection)
    assert examined.examine(recording)
    return sorted(recording.statements[1][1].values())


def test_what_was_examined_is_not_examined_again(target: Target) -> None:
    examined = Examined(BERLIN)
    with open_sync(target) as connection:
        for place in range(AT_ONCE):
            insert(connection, f"a{place:03}", "+4930123456")
        insert(connection, "b", "030")
        assert not examined.examine(connection), "only some at once"
        assert loaded(connection, examined) == ["b"]
        assert examined.reasons == uncallable(connection, numbering=BERLIN)
        assert sum(examined.reasons.values()) == 1
        connection.execute("DELETE FROM reminders WHERE id = 'b'")
        insert(connection, "c", "+4930123456")
        assert [loaded(connection, examined), loaded(connection, examined)] == [["c"], []]


def test_what_can_not_be_called_is_examined_until_it_is_corrected_in_turns(target: Target) -> None:
    examined = Examined(BERLIN)
    with open_sync(target) as connection:
        for place in range(AT_ONCE + 1):
            insert(connection, f"a{place:03}", "030")
        while not examined.examine(connection):
            pass
        for name in ("a000", f"a{AT_ONCE:03}"):
            change = "UPDATE reminders SET phone_number = '+4930123456', wake_at = :at, revision = revision + 1"
            connection.execute(f"{change} WHERE id = :id", {"at": YEAR_2999, "id": name})
        assert [examined.examine(connection), examined.examine(connection)] == [True, True]
        assert examined.reasons == uncallable(connection, numbering=BERLIN)


def test_a_row_that_another_program_changes_is_examined_again(target: Target) -> None:
    examined = Examined(BERLIN)
    with open_sync(target) as connection:
        insert(connection, "a", "+4930123456")
        examined.examine(connection)
        assert examined.reasons == {}
        connection.execute("UPDATE reminders SET phone_number = '030' WHERE id = 'a'")
        examined.examine(connection)
        assert sum(examined.reasons.values()) == 1
        connection.execute("UPDATE reminders SET status = 'cancelled' WHERE id = 'a'")
        examined.examine(connection)
        assert examined.reasons == {}


@pytest.mark.sqlite_only("PostgreSQL goes by the number of rows")
def test_those_that_wait_are_found_from_an_index_alone(target: Target) -> None:
    with open_sync(target) as connection:
        insert(connection, "a", "+4930123456", scheduled_at=to_ms(NOW))
        recording: Any = Recording(connection)
        Examined(BERLIN).examine(recording)
        [step] = plan(connection, *recording.statements[0]).steps
    assert (step.index, step.is_whole, step.is_alone) == ("reminders_to_look_at", False, True)
