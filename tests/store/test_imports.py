from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from attrs import evolve

from reminderd.core.imported import Fate
from reminderd.core.intake import Wish
from reminderd.store import imports
from reminderd.store.opening import open_sync
from reminderd.store.transaction import snapshot
from tests.support.desk import Desk, a_desk, contents
from tests.support.nouns import HOUR, NOW, RULES

RANDOM = "11111111-2222-4333-8444-555555555555"
WISH = Wish(phone_number="+15550100001", message="Grüße 👋", scheduled_at=NOW + HOUR, ref="7")
WITHOUT_REF = evolve(WISH, ref=None)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with a_desk(tmp_path / "reminderd.db") as desk:
        yield desk


def take(desk: Desk, *wanted: Wish) -> list[Fate | str]:
    fn = partial(imports.take, wanted=wanted, rules=RULES, mint=lambda: RANDOM, actor="anna", detail="list.csv")
    return desk.write(fn)


def audit(desk: Desk) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in desk.connection.execute("SELECT at, actor, act, reminder_id, detail FROM audit")]


def test_new_reminders_are_scheduled_and_a_chunk_leaves_one_audit_line(desk: Desk) -> None:
    assert take(desk, WISH, WITHOUT_REF) == [Fate.ADDED, Fate.ADDED]
    stored = desk.reminder(WITHOUT_REF.own_id)
    assert (stored.ref, stored.message, stored.scheduled_at) == (None, "Grüße 👋", NOW + HOUR)
    assert stored.wake_at == stored.scheduled_at
    [(_, actor, act, reminder_id, detail)] = audit(desk)
    assert (actor, act, reminder_id, detail) == ("anna", "import", None, "list.csv: 2 added, 0 changed")


def test_an_id_begins_with_the_time_and_is_a_version_7_uuid(desk: Desk) -> None:
    take(desk, WISH)
    [row] = desk.connection.execute("SELECT id FROM reminders").fetchall()
    found = UUID(row["id"])
    assert (found.version, found.int >> 80) == (7, int(NOW.timestamp() * 1000))
    assert row["id"][15:] == RANDOM[15:]


@pytest.mark.parametrize("wanted", [WISH, WITHOUT_REF], ids=["by ref", "by id"])
def test_the_same_again_changes_nothing(desk: Desk, wanted: Wish) -> None:
    take(desk, wanted)
    before = contents(desk.connection)
    desk.later(HOUR / 2)
    assert take(desk, wanted) == [Fate.UNCHANGED]
    assert contents(desk.connection) == before


def test_an_edited_line_changes_its_reminder_and_when_it_is_due(desk: Desk) -> None:
    take(desk, WISH)
    desk.connection.execute("UPDATE reminders SET hold_reason = 'outside the window', wake_at = wake_at + 1")
    edited = evolve(WISH, phone_number="+15550100002", scheduled_at=NOW + 2 * HOUR, timezone="Europe/Paris")
    assert take(desk, edited) == [Fate.CHANGED]
    [row] = desk.connection.execute("SELECT id FROM reminders").fetchall()
    stored = desk.reminder(row["id"])
    assert (stored.phone_number, stored.timezone) == ("+15550100002", "Europe/Paris")
    assert (stored.wake_at, stored.hold_reason) == (NOW + 2 * HOUR, None)
    assert audit(desk)[-1][-1] == "list.csv: 0 added, 1 changed"


def test_an_expiry_may_be_edited_without_a_ref(desk: Desk) -> None:
    take(desk, WITHOUT_REF)
    assert take(desk, evolve(WITHOUT_REF, expires_at=NOW + 3 * HOUR)) == [Fate.CHANGED]
    assert take(desk, evolve(WITHOUT_REF, expires_at=NOW + 3 * HOUR)) == [Fate.UNCHANGED]
    assert desk.reminder(WITHOUT_REF.own_id).expires_at == NOW + 3 * HOUR


def test_what_was_dialled_or_is_over_is_not_changed(desk: Desk) -> None:
    desk.insert("dialled", ref="7")
    desk.connection.execute("INSERT INTO call_logs (reminder_id, attempt, status) VALUES ('dialled', 1, 'busy')")
    desk.insert("over", ref="8", status="cancelled")
    before = contents(desk.connection)
    called, cancelled = take(desk, WISH, evolve(WISH, ref="8"))
    assert "called already" in called
    assert "cancelled already" in cancelled
    assert contents(desk.connection) == before


def test_looking_says_the_same_and_writes_nothing(desk: Desk) -> None:
    take(desk, WISH)
    before = contents(desk.connection)
    fn = partial(imports.fates, now=NOW, wanted=[WISH, WITHOUT_REF], rules=RULES)
    assert [what for _, what in snapshot(desk.connection, fn)] == [Fate.UNCHANGED, Fate.ADDED]
    assert contents(desk.connection) == before


def test_a_roomy_connection_still_syncs_every_commit(tmp_path: Path) -> None:
    with open_sync(tmp_path / "reminderd.db") as connection:
        imports.make_room(connection)
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2


def test_the_first_line_with_a_key_is_remembered() -> None:
    with imports.earlier_lines() as earlier:
        assert earlier.first([(1, 10, 2), (-(2**63), 20, 3)]) == [(10, 2), (20, 3)]
        assert earlier.first([(1, 11, 4), (3, 30, 5), (3, 31, 6)]) == [(10, 2), (30, 5), (30, 5)]
        assert earlier.first([]) == []
