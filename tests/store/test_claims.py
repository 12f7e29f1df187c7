from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from attrs import evolve

from reminderd.core.answers import Accepted, Unclear
from reminderd.core.lifecycle import Errand
from reminderd.core.limits import Limits
from reminderd.core.reminder import Status
from reminderd.store.claims import TAKE_TO_CHECK, TAKE_TO_DIAL, claim
from reminderd.store.driver import OperationalError
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.facts import _COMPLETED_CALLS
from tests.support.desk import Desk, a_desk
from tests.support.nouns import BOTH, KEY, LOOK_UP, MINUTE, NOW, RULES, a_report, able


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with a_desk(tmp_path / "reminderd.db") as desk:
        yield desk


def test_a_due_reminder_is_leased_with_a_call_row_of_its_own(desk: Desk) -> None:
    desk.insert()
    [claimed] = desk.claim()
    assert claimed.errand is Errand.DIAL
    stored, [call] = desk.reminder(), desk.calls()
    assert (stored.status, stored.lease_token, stored.attempts) == (Status.DIALING, claimed.token, 1)
    assert stored.wake_at == desk.now + desk.rules.lease
    assert (call.status, call.attempt, call.tries, call.id) == ("dialing", 1, 1, claimed.call.id)


def test_nothing_is_claimed_twice_in_a_row(desk: Desk) -> None:
    desk.insert()
    assert len(desk.claim()) == 1
    assert desk.claim() == []


def test_what_is_not_due_yet_is_left_alone(desk: Desk) -> None:
    desk.insert()
    desk.later(-MINUTE)
    assert desk.steps() == []


def test_no_more_is_claimed_than_can_be_sent_and_the_oldest_goes_first(desk: Desk) -> None:
    for number in range(5):
        desk.insert(f"r{number}", f"+1555010000{number}")
        desk.later(MINUTE)
    assert [claimed.reminder.id for claimed in desk.claim(dials=2)] == ["r0", "r1"]
    assert [claimed.reminder.id for claimed in desk.claim(dials=2)] == ["r2", "r3"]


def test_without_room_to_dial_no_waiting_row_is_changed(desk: Desk) -> None:
    desk.insert()
    before = desk.reminder()
    assert desk.steps(dials=0) == []
    assert desk.reminder() == before


def test_rows_that_need_no_call_do_not_use_up_the_room(desk: Desk) -> None:
    desk.insert("a-bad", "nonsense")
    desk.insert("b-late", "+15550100002", expires_at=1)
    desk.insert("c-good", "+15550100003")
    assert [claimed.reminder.id for claimed in desk.claim(dials=1)] == ["c-good"]
    assert desk.reminder("a-bad").status is Status.FAILED
    assert desk.reminder("b-late").status is Status.EXPIRED


def test_two_reminders_for_one_number_are_never_rung_at_once(desk: Desk) -> None:
    desk.insert("r1")
    desk.insert("r2")
    [claimed] = desk.claim()
    other = desk.reminder("r2" if claimed.reminder.id == "r1" else "r1")
    assert other.status is Status.SCHEDULED
    assert other.hold_reason == "another call to this number is open"
    assert other.wake_at is not None
    assert other.wake_at > desk.now


@pytest.mark.parametrize("status", ["dialing", "unconfirmed", "ringing", "a-word-we-do-not-know"])
def test_a_call_that_may_still_ring_keeps_its_number_from_every_other_reminder(desk: Desk, status: str) -> None:
    desk.insert("r1")
    desk.claim()
    desk.connection.execute("UPDATE call_logs SET status = ?", (status,))
    desk.insert("r2")
    assert desk.claim() == []
    assert desk.reminder("r2").hold_reason == "another call to this number is open"


def test_an_opted_out_number_is_cancelled_instead_of_rung(desk: Desk) -> None:
    desk.insert()
    desk.connection.execute("INSERT INTO opt_outs (phone_number) VALUES ('+15550100001')")
    assert desk.claim() == []
    assert (desk.reminder().status, desk.reminder().last_error) == (Status.CANCELLED, "opted out")


def test_a_pause_by_staff_stops_dialing_but_not_checks(desk: Desk) -> None:
    desk.insert("r1")
    [claimed] = desk.claim()
    desk.answer(claimed, Accepted("ext-1"))
    desk.rules = able(LOOK_UP)
    desk.later(desk.rules.outcome_timeout)
    desk.insert("r2", "+15550100002")
    desk.connection.execute("INSERT INTO settings VALUES ('paused', 'true')")
    assert [claimed.errand for claimed in desk.claim()] == [Errand.FETCH]
    assert desk.reminder("r2").status is Status.SCHEDULED


def test_a_lease_that_ran_out_leaves_an_unconfirmed_call(desk: Desk) -> None:
    desk.insert()
    desk.claim()
    desk.later(desk.rules.lease)
    assert desk.claim() == []
    assert desk.reminder().status is Status.PROCESSING
    assert [call.status for call in desk.calls()] == ["unconfirmed"]


def test_a_process_never_declares_dead_what_it_still_works_on(desk: Desk) -> None:
    desk.insert()
    [claimed] = desk.claim()
    desk.later(desk.rules.lease)
    assert desk.claim(held=frozenset({claimed.token})) == []
    assert desk.reminder().status is Status.DIALING
    assert desk.reminder().wake_at == desk.now + desk.rules.lease


def test_a_resend_needs_the_same_room_as_a_dial(desk: Desk) -> None:
    desk.rules = able(KEY)
    desk.insert("r1")
    [claimed] = desk.claim()
    desk.answer(claimed, Unclear("no answer"))
    desk.later(desk.rules.confirm_after)
    desk.insert("r2", "+15550100002")
    [resend] = desk.claim(dials=1)
    assert (resend.errand, resend.call.id, resend.call.tries) == (Errand.RESEND, claimed.call.id, 2)
    assert desk.reminder("r2").status is Status.SCHEDULED


def test_a_resend_without_room_looks_again_when_there_may_be_some(desk: Desk) -> None:
    desk.rules = able(BOTH)
    desk.insert()
    [claimed] = desk.claim()
    desk.answer(claimed, Unclear("no answer"))
    desk.later(desk.rules.confirm_after)
    assert desk.claim(dials=0) == []
    assert desk.reminder().wake_at == desk.now + timedelta(seconds=7)


def test_a_disk_that_fails_during_a_claim_fails_the_claim_and_no_reminder(desk: Desk) -> None:
    """Taken for a row that breaks the program, each reminder that is due would be failed."""
    desk.insert()
    failure = OperationalError("disk I/O error")
    failure.sqlite_errorcode = 10
    ids = count(1)

    def mint() -> str:
        if (number := next(ids)) == 3:
            raise failure  # after the two leases: as reading what is around the row would, at this place
        return f"id-{number}"

    take = partial(claim, dials=1, checks=1, dial_in=MINUTE, held=frozenset(), rules=desk.rules, mint=mint)
    with pytest.raises(StoreUnavailableError, match="failed to read"):
        desk.write(take)
    assert (desk.reminder().status, desk.reminder().lease_token) == (Status.SCHEDULED, None)


def test_a_row_that_breaks_the_program_fails_alone(desk: Desk) -> None:
    desk.insert("r1")
    desk.insert("r2", "+15550100002")
    # A foreign program's call row with an impossible attempt: arithmetic on it overflows SQLite's integers.
    desk.connection.execute(
        f"INSERT INTO call_logs (id, reminder_id, attempt, status) VALUES ('x', 'r1', {2**63 - 1}, 'busy')"
    )
    assert [claimed.reminder.id for claimed in desk.claim()] == ["r2"]
    assert desk.reminder("r1").status is Status.FAILED
    assert desk.reminder("r1").last_error == "an error in the program, see the log"


@pytest.mark.parametrize(
    ("take", "index"), [(TAKE_TO_DIAL, "reminders_to_dial"), (TAKE_TO_CHECK, "reminders_to_check")]
)
def test_the_claim_reads_its_index_and_sorts_nothing(desk: Desk, take: str, index: str) -> None:
    parameters = {"token": "t", "lease_end": 1, "now": 1, "limit": 1}
    plan = " ".join(row["detail"] for row in desk.connection.execute(f"EXPLAIN QUERY PLAN {take}", parameters))
    assert f"INDEX {index} (wake_at>? AND wake_at<?)" in plan
    assert "TEMP B-TREE" not in plan
    assert "SCAN" not in plan


def test_a_number_is_reached_once_a_day_if_the_clinic_says_so_and_by_whichever_reminder(tmp_path: Path) -> None:
    rules = evolve(RULES, limits=Limits(per_day=1), max_lateness=timedelta(days=3))
    with a_desk(tmp_path / "db", rules) as desk:
        desk.insert("r1")
        desk.insert("r2")
        desk.insert("other", "+15550100002")
        first = desk.claim()
        assert [claimed.reminder.id for claimed in first] == ["other", "r1"]
        desk.report(a_report("completed", reminder_id="r1", attempt_id=first[1].call.id))
        desk.later(timedelta(minutes=2))
        assert desk.claim() == []
        held = desk.reminder("r2")
        assert held.hold_reason == "this number was reached as often as the limits allow"
        assert held.wake_at == (NOW + timedelta(days=1)).replace(hour=0)
        desk.later(timedelta(days=1))
        assert [claimed.reminder.id for claimed in desk.claim()] == ["r2"]


def test_a_call_that_nobody_answered_uses_up_no_limit_and_neither_does_a_voicemail_that_does_not_count(
    tmp_path: Path,
) -> None:
    rules = evolve(RULES, limits=Limits(per_day=1), voicemail_is_reached=False)
    with a_desk(tmp_path / "db", rules) as desk:
        for number, report in enumerate([a_report("busy"), a_report("completed", answered_by="machine_start")]):
            desk.insert("r1") if number == 0 else desk.later(rules.redial_delay(1))
            (claimed,) = desk.claim()
            desk.report(evolve(report, external_call_id=f"ext-{number}", reminder_id="r1", attempt_id=claimed.call.id))
        desk.later(rules.redial_delay(1))
        assert [claimed.call.attempt for claimed in desk.claim()] == [3]


def test_what_the_limits_ask_is_found_by_indexes(desk: Desk) -> None:
    plan = desk.connection.execute(f"EXPLAIN QUERY PLAN {_COMPLETED_CALLS}", ("+15550100001", 0)).fetchall()
    assert all("SCAN" not in row["detail"] for row in plan), [row["detail"] for row in plan]
