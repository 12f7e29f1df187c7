"""Resume dialing."""

from datetime import datetime, timedelta
from functools import partial

import pytest

from reminderd.core.sentences import NotAllowedError
from reminderd.databases import Target
from reminderd.staff.pausing import pause_mark, resume
from reminderd.store.connection import Connection, transaction
from reminderd.store.opening import open_sync
from reminderd.store.rows import to_ms
from reminderd.store.settings import paused, put_setting, set_pause
from tests.support.builders import NOW, RULES

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
