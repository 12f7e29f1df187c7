from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from attrs import evolve

from reminderd.core.answers import Accepted, Refused
from reminderd.core.lifecycle import NotAllowedError
from reminderd.core.limits import Limits
from reminderd.core.reminder import Status
from reminderd.store import desk as acts
from reminderd.store import queries
from reminderd.store.errors import UnknownReminderError
from tests.support.desk import Desk, a_desk
from tests.support.nouns import NOW, RULES, a_reminder, a_report


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with a_desk(tmp_path / "reminderd.db") as desk:
        yield desk


def test_an_added_reminder_is_due_at_its_time_and_audited(desk: Desk) -> None:
    stored = desk.write(partial(acts.add, reminder=a_reminder(ref="appointment 7"), actor="anna"))
    assert (stored.status, stored.wake_at, stored.ref) == (Status.SCHEDULED, stored.scheduled_at, "appointment 7")
    [act] = queries.acts_on(desk.connection, stored.id)
    assert (act["actor"], act["act"], act["at"]) == ("anna", "add", desk.now)


def test_a_ref_names_one_reminder_only(desk: Desk) -> None:
    desk.write(partial(acts.add, reminder=a_reminder(ref="7"), actor="anna"))
    with pytest.raises(acts.RefTakenError, match="reminder-1"):
        desk.write(partial(acts.add, reminder=a_reminder(id="other", ref="7"), actor="anna"))


def test_a_cancelled_reminder_is_not_claimed_any_more(desk: Desk) -> None:
    desk.insert()
    desk.write(partial(acts.cancel, reminder_id="r1", actor="anna"))
    assert (desk.reminder().status, desk.reminder().last_error) == (Status.CANCELLED, "cancelled by anna")
    assert desk.steps() == []


def test_cancelling_while_the_call_is_open_still_follows_it_to_its_end(desk: Desk) -> None:
    desk.insert()
    [claimed] = desk.claim()
    desk.answer(claimed, Accepted("ext-1"))
    desk.write(partial(acts.cancel, reminder_id="r1", actor="anna"))
    assert (desk.reminder().wake_at, desk.reminder().lease_token) == (desk.now, None)


def test_a_final_reminder_cannot_be_cancelled(desk: Desk) -> None:
    desk.insert(status="called")
    with pytest.raises(NotAllowedError, match="it is called already"):
        desk.write(partial(acts.cancel, reminder_id="r1", actor="anna"))
    assert desk.count("audit") == 0


def test_call_again_gives_fresh_calls_and_a_new_limit(desk: Desk) -> None:
    desk.insert()
    [claimed] = desk.claim()
    desk.answer(claimed, Refused("422: no such number"))
    desk.later(timedelta(days=1))
    desk.write(partial(acts.call_again, reminder_id="r1", rules=RULES, actor="anna"))
    assert desk.reminder().expires_at == desk.now + RULES.max_lateness
    [again] = desk.claim()
    assert (again.call.attempt, again.reminder.attempts, again.call.id == claimed.call.id) == (2, 1, False)


def test_call_again_for_a_number_that_was_reached_today_waits_and_does_not_expire(
    tmp_path: Path,
) -> None:
    rules = evolve(RULES, limits=Limits(per_day=1))
    with a_desk(tmp_path / "limited.db", rules) as desk:
        desk.insert("r1")
        desk.insert("r2")
        desk.write(partial(acts.cancel, reminder_id="r2", actor="anna"))
        [claimed] = desk.claim()
        desk.report(a_report("completed", reminder_id="r1", attempt_id=claimed.call.id))
        desk.write(partial(acts.call_again, reminder_id="r2", rules=rules, actor="anna"))
        assert desk.claim() == []
        held = desk.reminder("r2")
        midnight = (NOW + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        assert (held.status, held.wake_at) == (Status.SCHEDULED, midnight)
        assert held.expires_at == midnight + rules.max_lateness
        desk.later(midnight - NOW)
        assert [claimed.reminder.id for claimed in desk.claim()] == ["r2"]


@pytest.mark.parametrize("act", [acts.cancel, partial(acts.call_again, rules=RULES)])
def test_nobodys_reminder_can_be_neither_cancelled_nor_rung_again(desk: Desk, act: "partial[object]") -> None:
    with pytest.raises(UnknownReminderError):
        desk.write(partial(act, reminder_id="nobody", actor="anna"))


def test_a_row_is_found_by_id_or_ref(desk: Desk) -> None:
    desk.insert("late", "+15550100002", scheduled_at=2, ref="b")
    for name in ("late", "b"):
        found = queries.find_reminder(desk.connection, name)
        assert found is not None
        assert found["id"] == "late"
    assert queries.find_reminder(desk.connection, "nobody") is None
