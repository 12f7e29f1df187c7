"""Several reminders in one call, in the database."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from attrs import evolve

from reminderd.core.answers import Accepted, NotPlaced, Refused
from reminderd.core.lifecycle import Claimed, Errand, NotAllowedError
from reminderd.core.reminder import Status
from reminderd.store.desk import call_again, cancel
from reminderd.store.facts import last_look
from reminderd.store.optouts import opt_out
from tests.support.desk import Desk, a_desk
from tests.support.nouns import HOUR, MINUTE, RULES, a_report

GROUPING = evolve(RULES, group_within=HOUR)
PHONE = "+15550100001"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Two reminders for one number, due at once."""
    with a_desk(tmp_path / "reminderd.db", GROUPING) as desk:
        desk.insert("r1", message="Tomorrow at nine.")
        desk.insert("r2", message="Bring your papers.")
        yield desk


@pytest.fixture
def claimed(desk: Desk) -> Claimed:
    [claimed] = desk.claim()
    return claimed


def statuses(desk: Desk) -> list[Status]:
    return [desk.reminder(name).status for name in ("r1", "r2")]


def ends(desk: Desk, claimed: Claimed, word: str) -> None:
    desk.report(
        a_report(word, reminder_id=claimed.reminder.id, attempt_id=claimed.call.id, external_call_id=f"ext-{word}")
    )


def test_two_that_are_due_at_once_are_one_claim_and_one_call(desk: Desk, claimed: Claimed) -> None:
    assert (claimed.reminder.id, claimed.message) == ("r1", "Tomorrow at nine. Bring your papers.")
    rider = desk.reminder("r2")
    assert (rider.status, rider.said_with, rider.lease_token) == (Status.PROCESSING, claimed.call.id, None)
    assert (desk.calls("r2"), desk.claim()) == ((), [])


def test_without_group_minutes_each_has_a_call_of_its_own(desk: Desk) -> None:
    desk.rules = RULES
    [claimed] = desk.claim()
    assert (claimed.message, desk.reminder("r2").status) == ("Tomorrow at nine.", Status.SCHEDULED)


def test_one_that_is_not_due_yet_is_said_early_and_one_for_another_number_is_not(desk: Desk) -> None:
    desk.insert("r3", message="Fast before it.", scheduled_at=int((desk.now + HOUR).timestamp() * 1000))
    desk.insert("r4", "+15550100002")
    first, second = desk.claim()
    assert first.message == "Tomorrow at nine. Bring your papers. Fast before it."
    assert (second.reminder.id, second.riders) == ("r4", ())


@pytest.mark.parametrize(
    ("word", "after"), [("completed", Status.CALLED), ("busy", Status.SCHEDULED), ("failed", Status.FAILED)]
)
def test_the_end_of_the_call_is_each_ones_own_at_the_next_claim(
    desk: Desk, claimed: Claimed, word: str, after: Status
) -> None:
    desk.answer(claimed, Accepted(f"ext-{word}"))
    ends(desk, claimed, word)
    desk.claim()
    assert statuses(desk) == [after, after]


def test_after_a_busy_line_they_are_said_together_again(desk: Desk, claimed: Claimed) -> None:
    ends(desk, claimed, "busy")
    desk.claim()
    desk.later(15 * MINUTE)
    [again] = desk.claim()
    assert again.message == claimed.message
    assert [desk.reminder(name).attempts for name in ("r1", "r2")] == [2, 2]


def test_a_number_that_is_refused_is_tried_once_more_for_the_other_alone(desk: Desk, claimed: Claimed) -> None:
    desk.answer(claimed, Refused("no such number"))
    [other] = desk.claim()
    assert (other.reminder.id, other.message, other.call.attempt) == ("r2", "Bring your papers.", 1)


def test_a_call_that_was_not_placed_is_sent_again_for_both_with_its_key(desk: Desk, claimed: Claimed) -> None:
    desk.answer(claimed, NotPlaced("connection refused"))
    desk.later(MINUTE)
    [again] = desk.claim()
    assert (again.call.id, again.message) == (claimed.call.id, claimed.message)


@pytest.mark.parametrize("gone", ["r1", "r2"])
def test_what_is_cancelled_between_claim_and_request_is_not_said(desk: Desk, claimed: Claimed, gone: str) -> None:
    desk.write(partial(cancel, reminder_id=gone, actor="anna"))
    look = last_look(desk.connection, claimed)
    assert look.parted is (gone == "r2")
    desk.not_sent(claimed, "kept back")
    [left] = [one for _ in range(2) for one in desk.claim()]
    assert left.riders == ()
    assert left.reminder.id != gone
    assert desk.reminder(gone).status is Status.CANCELLED


def test_an_opt_out_between_claim_and_request_stops_all_of_them(desk: Desk, claimed: Claimed) -> None:
    desk.write(partial(opt_out, phone_number=PHONE, source="letter", actor="anna"))
    assert last_look(desk.connection, claimed).opted_out
    desk.not_sent(claimed, "opted out")
    assert [desk.claim() for _ in range(2)] == [[], []]
    assert statuses(desk) == [Status.CANCELLED, Status.CANCELLED]


def test_a_claim_that_was_cut_off_is_cleared_up_for_all(desk: Desk, claimed: Claimed) -> None:
    desk.later(2 * MINUTE)
    desk.claim()
    ends(desk, claimed, "completed")
    desk.claim()
    assert statuses(desk) == [Status.CALLED, Status.CALLED]


def test_what_staff_were_told_to_ring_by_hand_is_called_when_its_end_comes_late(desk: Desk, claimed: Claimed) -> None:
    for _ in range(4):
        desk.later(20 * MINUTE)
        desk.claim()
    assert statuses(desk) == [Status.FAILED, Status.FAILED]
    ends(desk, claimed, "completed")
    desk.claim()
    assert statuses(desk) == [Status.CALLED, Status.CALLED]
    assert desk.reminder("r2").wake_at is None


def test_what_was_heard_in_anothers_call_is_not_called_again(desk: Desk, claimed: Claimed) -> None:
    desk.write(partial(cancel, reminder_id="r2", actor="anna"))
    again = partial(call_again, reminder_id="r2", rules=GROUPING, actor="anna")
    with pytest.raises(NotAllowedError, match="a call is still open"):
        desk.write(again)
    ends(desk, claimed, "completed")
    with pytest.raises(NotAllowedError, match="the patient was reached"):
        desk.write(again)


def test_a_call_whose_row_was_deleted_leaves_the_other_to_staff(desk: Desk, claimed: Claimed) -> None:
    desk.connection.execute("DELETE FROM reminders WHERE id = ?", (claimed.reminder.id,))
    desk.later(timedelta(hours=1))
    assert desk.claim() == []
    assert desk.reminder("r2").last_error == "unconfirmed, ring by hand"


def test_a_row_of_garbage_for_the_same_number_rides_with_nobody(desk: Desk) -> None:
    desk.insert("r0", message="\x00", timezone="Nowhere")
    [claimed] = desk.claim()
    assert (claimed.errand, claimed.message) == (Errand.DIAL, "Tomorrow at nine. Bring your papers.")
    assert desk.reminder("r0").status is Status.FAILED
