"""Several reminders in one call, in the database."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from attrs import evolve

from reminderd.core.answers import Accepted, NoAnswer, NotPlaced, Refused, Unclear
from reminderd.core.imported import Fate
from reminderd.core.intake import Wish
from reminderd.core.lifecycle import Claimed, Errand, NotAllowedError
from reminderd.core.lifecycle.check import RING_BY_HAND
from reminderd.core.reminder import Status
from reminderd.store import queries
from reminderd.store.alerts import news, told
from reminderd.store.company import MOST_BESIDE, beside, riders_of
from reminderd.store.desk import call_again, cancel
from reminderd.store.facts import last_look
from reminderd.store.imports import take
from reminderd.store.optouts import opt_in, opt_out
from reminderd.store.rows import to_ms
from tests.support.desk import Desk, a_desk
from tests.support.nouns import DROP, HOUR, KEY, LOOK_UP, MINUTE, RULES, SECOND, a_report, able

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


def test_either_row_tells_of_the_other_by_its_ref(desk: Desk, claimed: Claimed) -> None:
    assert queries.said_in(desk.connection, "r1") == {claimed.call.id: ["r2"]}
    desk.connection.execute("UPDATE reminders SET ref = 'visit ' || id")
    assert queries.said_in(desk.connection, "r1") == {claimed.call.id: ["visit r2"]}
    row = queries.reminder_with_id(desk.connection, "r2")
    assert row is not None
    along = queries.call_said_in(desk.connection, row)
    assert along is not None
    assert (along["id"], along["of"]) == (claimed.call.id, "visit r1")


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
    look = last_look(desk.connection, claimed, rules=desk.rules, now=desk.now)
    assert look.parted is (gone == "r2")
    desk.not_sent(claimed, "kept back")
    [left] = [one for _ in range(2) for one in desk.claim()]
    assert left.riders == ()
    assert left.reminder.id != gone
    assert desk.reminder(gone).status is Status.CANCELLED


def test_an_opt_out_between_claim_and_request_stops_all_of_them(desk: Desk, claimed: Claimed) -> None:
    desk.write(partial(opt_out, phone_number=PHONE, source="letter", actor="anna"))
    assert last_look(desk.connection, claimed, rules=desk.rules, now=desk.now).opted_out
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


def test_a_row_of_garbage_beside_it_rides_with_nobody(desk: Desk) -> None:
    later = to_ms(desk.now + HOUR)
    desk.insert("r9", message="\x00", timezone="Nowhere", scheduled_at=later)
    desk.connection.execute(
        "INSERT INTO reminders (id, phone_number, message, scheduled_at) VALUES ('r8', ?, CAST(x'ff' AS TEXT), ?)",
        (PHONE, later),
    )
    [claimed] = desk.claim()
    assert (claimed.errand, claimed.reminder.id) == (Errand.DIAL, "r1")
    assert "r9" not in [rider.id for rider in claimed.riders]


def test_they_are_said_in_the_order_of_their_times(desk: Desk) -> None:
    for name, minutes in (("a", 30), ("z", 10), ("m", 20)):
        desk.insert(name, message=name, scheduled_at=to_ms(desk.now + minutes * MINUTE))
    assert [one.reminder.id for one in beside(desk.connection, desk.reminder("r1"), HOUR)] == ["r2", "z", "m", "a"]
    [claimed] = desk.claim()
    assert claimed.message == "Tomorrow at nine. Bring your papers. z. m. a."
    assert [one.reminder.id for one in riders_of(desk.connection, claimed.call)] == ["r2", "z", "m", "a"]


def test_of_more_than_can_be_looked_at_the_first_ride_and_those_out_of_reach_hide_none(desk: Desk) -> None:
    for number in range(MOST_BESIDE):
        desk.insert(f"far{number}", scheduled_at=to_ms(desk.now - 2 * HOUR), wake_at=to_ms(desk.now + HOUR))
        desk.insert(f"near{number:02}", message="x", scheduled_at=to_ms(desk.now + MINUTE))
    [claimed] = desk.claim()
    assert [rider.id for rider in claimed.riders] == ["r2", *(f"near{number:02}" for number in range(MOST_BESIDE - 1))]


# Nobody is rung twice by guess


def unclear(desk: Desk, claimed: Claimed) -> None:
    """Nobody knows whether the call was placed, and so it stays."""
    desk.answer(claimed, Unclear("timeout"))
    desk.later(3 * MINUTE)
    desk.claim(dials=0)
    desk.claim(dials=0)


def test_where_an_unclear_call_is_rung_again_those_it_says_too_are_not(desk: Desk, claimed: Claimed) -> None:
    desk.rules = evolve(GROUPING, ring_again_when_unsure=True)
    unclear(desk, claimed)
    assert statuses(desk) == [Status.SCHEDULED, Status.FAILED]
    assert desk.reminder("r2").last_error == RING_BY_HAND
    [again] = desk.claim()
    assert again.riders == ()


def test_nor_are_they_when_staff_call_its_own_reminder_again(desk: Desk, claimed: Claimed) -> None:
    desk.rules = able(LOOK_UP, group_within=HOUR)
    desk.answer(claimed, Unclear("timeout"))
    for _ in range(10):
        desk.later(3 * MINUTE)
        [asked] = desk.claim()
        desk.found(asked, NoAnswer("500"))
    desk.write(partial(call_again, reminder_id="r1", rules=desk.rules, actor="anna"))
    desk.claim(dials=0)
    assert desk.reminder("r2").last_error == RING_BY_HAND


def test_a_late_end_that_is_no_good_news_is_no_news_of_those_that_staff_were_told_of(
    desk: Desk, claimed: Claimed
) -> None:
    unclear(desk, claimed)
    desk.write(partial(told, told_of=news(desk.connection, now=desk.now)))
    desk.later(MINUTE)
    ends(desk, claimed, "busy")
    desk.claim()
    assert "r2" not in [one.id for one in news(desk.connection, now=desk.now)]


def test_one_that_had_expired_is_called_if_it_was_heard_after_all(desk: Desk, claimed: Claimed) -> None:
    desk.connection.execute("UPDATE reminders SET status = 'expired', wake_at = NULL, last_error = 'x' WHERE id = 'r2'")
    desk.answer(claimed, Accepted("ext-completed"))
    ends(desk, claimed, "completed")
    desk.claim()
    assert statuses(desk) == [Status.CALLED, Status.CALLED]


def test_what_was_rung_may_not_be_edited_and_rung_at_once(desk: Desk, claimed: Claimed) -> None:
    ends(desk, claimed, "busy")
    desk.claim()
    assert not isinstance(edited(desk), Fate)
    desk.later(MINUTE)
    assert desk.claim() == []


def test_what_may_yet_turn_out_to_have_been_heard_may_not_be_edited(desk: Desk, claimed: Claimed) -> None:
    desk.answer(claimed, Refused("blocked"))
    desk.claim(dials=0)
    assert desk.reminder("r2").status is Status.SCHEDULED
    assert not isinstance(edited(desk), Fate)


def edited(desk: Desk) -> Fate | str:
    """What becomes of an edit of the rider's words."""
    desk.connection.execute("UPDATE reminders SET ref = id")
    now = desk.reminder("r2")
    wish = Wish(
        ref="r2",
        phone_number=now.phone_number,
        message="Other words.",
        scheduled_at=now.scheduled_at,
        expires_at=None,
        timezone=None,
    )
    [fate] = desk.write(partial(take, wanted=[wish], rules=desk.rules, mint=desk.mint, actor="anna", detail="a file"))
    return fate


# Words that change


@pytest.mark.parametrize("how", ["cancelled", "expired", "deleted"])
def test_a_request_that_was_not_taken_is_sent_with_fewer_words_under_another_key(
    desk: Desk, claimed: Claimed, how: str
) -> None:
    desk.answer(claimed, NotPlaced("429"))
    leaves(desk, how)
    desk.later(6 * MINUTE)
    [again] = [one for _ in range(2) for one in desk.claim()]
    assert again.message == "Tomorrow at nine."
    assert again.call.id != claimed.call.id
    assert desk.reminder("r1").attempts == 1
    assert [call.status for call in desk.calls("r1")] == ["not-placed", "dialing"]


@pytest.mark.parametrize("how", ["cancelled", "expired", "deleted"])
def test_a_request_that_may_have_been_taken_is_not_sent_with_other_words(
    desk: Desk, claimed: Claimed, how: str
) -> None:
    desk.rules = able(KEY, group_within=HOUR)
    desk.answer(claimed, Unclear("timeout"))
    leaves(desk, how)
    desk.later(3 * MINUTE)
    assert desk.claim() == []
    assert desk.reminder("r1").last_error == RING_BY_HAND


def leaves(desk: Desk, how: str) -> None:
    """The rider is not to be said any more."""
    if how == "expired":
        desk.connection.execute("UPDATE reminders SET expires_at = ? WHERE id = 'r2'", (to_ms(desk.now + SECOND),))
        return
    desk.write(partial(cancel, reminder_id="r2", actor="anna"))
    if how == "deleted":
        desk.connection.execute("DELETE FROM reminders WHERE id = 'r2' AND wake_at IS NULL")


@pytest.mark.parametrize("how", ["deleted", "expired"])
def test_the_last_look_keeps_back_words_that_are_not_wanted_any_more(desk: Desk, claimed: Claimed, how: str) -> None:
    if how == "deleted":
        desk.connection.execute("DELETE FROM reminders WHERE id = 'r2'")
    else:
        desk.connection.execute("UPDATE reminders SET expires_at = ? WHERE id = 'r2'", (to_ms(desk.now),))
    assert last_look(desk.connection, claimed, rules=desk.rules, now=desk.now).parted


def test_those_that_are_left_move_into_the_new_call(desk: Desk) -> None:
    desk.insert("r3", message="Come early.")
    [claimed] = desk.claim()
    desk.answer(claimed, NotPlaced("429"))
    desk.write(partial(cancel, reminder_id="r2", actor="anna"))
    desk.later(6 * MINUTE)
    [again] = desk.claim()
    assert again.message == "Tomorrow at nine. Come early."
    assert [desk.reminder(name).said_with for name in ("r2", "r3")] == [None, again.call.id]
    ends(desk, again, "completed")
    desk.claim()
    assert [desk.reminder(name).status for name in ("r1", "r3")] == [Status.CALLED] * 2


# Nothing is lost


def test_one_whose_leader_is_put_off_beyond_its_time_is_rung_alone(desk: Desk, claimed: Claimed) -> None:
    desk.answer(claimed, NotPlaced("429"))
    put_off = to_ms(desk.now + 7 * 24 * HOUR)
    desk.connection.execute("UPDATE reminders SET scheduled_at = ?1, wake_at = ?1 WHERE id = 'r1'", (put_off,))
    [alone] = [one for _ in range(2) for one in desk.claim()]
    assert (alone.reminder.id, alone.message) == ("r2", "Bring your papers.")


def test_one_whose_leader_has_lost_its_lease_waits_for_it(desk: Desk, claimed: Claimed) -> None:
    desk.later(2 * MINUTE)
    desk.claim()
    desk.not_sent(claimed, "the lease was lost")
    desk.claim(dials=0)
    assert statuses(desk) == [Status.PROCESSING, Status.PROCESSING]
    desk.later(2 * MINUTE)
    [again] = [one for _ in range(2) for one in desk.claim()]
    assert (again.call.id, again.message) == (claimed.call.id, claimed.message)


def test_a_pause_changes_none_of_them(desk: Desk, claimed: Claimed) -> None:
    desk.answer(claimed, NotPlaced("429"))
    desk.connection.execute("INSERT INTO settings VALUES ('paused', 'true')")
    desk.later(5 * HOUR)
    desk.claim()
    assert statuses(desk) == [Status.SCHEDULED, Status.PROCESSING]


def test_one_that_was_to_be_said_early_still_has_all_its_calls_at_its_own_time(desk: Desk) -> None:
    own_time = desk.now + HOUR
    desk.connection.execute("UPDATE reminders SET scheduled_at = ? WHERE id = 'r2'", (to_ms(own_time),))
    for _ in range(3):
        [claimed] = desk.claim()
        assert [rider.id for rider in claimed.riders] == ["r2"]
        desk.report(
            a_report("busy", reminder_id="r1", attempt_id=claimed.call.id, external_call_id=f"ext-{claimed.call.id}")
        )
        desk.claim()
        desk.later(16 * MINUTE)
    rider = desk.reminder("r2")
    assert (rider.status, rider.attempts, rider.wake_at) == (Status.SCHEDULED, 0, own_time)


def test_an_opt_out_that_is_taken_back_rings_none_of_those_it_stopped(desk: Desk) -> None:
    desk.connection.execute("UPDATE reminders SET scheduled_at = ? WHERE id = 'r2'", (to_ms(desk.now + HOUR),))
    [claimed] = desk.claim()
    desk.write(partial(opt_out, phone_number=PHONE, source="letter", actor="anna"))
    desk.not_sent(claimed, "opted out")
    desk.claim()
    desk.write(partial(opt_in, phone_number=PHONE, actor="anna"))
    desk.later(HOUR)
    assert desk.claim() == []
    assert statuses(desk) == [Status.CANCELLED, Status.CANCELLED]


def test_a_call_is_dropped_only_when_nobody_that_it_says_wants_it_any_more(desk: Desk) -> None:
    desk.rules = able(DROP, group_within=HOUR)
    desk.insert("r3", message="Come early.")
    [claimed] = desk.claim()
    desk.answer(claimed, Accepted("ext-1"))
    desk.report(a_report("ringing", reminder_id="r1", attempt_id=claimed.call.id))
    errands = []
    for name in ("r1", "r2", "r3"):
        desk.write(partial(cancel, reminder_id=name, actor="anna"))
        errands.append([one.errand for one in desk.claim()])
    assert errands == [[Errand.FETCH], [], [Errand.DROP]]


def test_those_who_leave_a_call_that_is_wanted_wake_nobody(desk: Desk, claimed: Claimed) -> None:
    desk.rules = able(DROP, group_within=HOUR)
    desk.answer(claimed, Accepted("ext-1"))
    desk.write(partial(cancel, reminder_id="r2", actor="anna"))
    assert desk.claim() == []


def test_no_news_of_a_call_that_others_want_asks_to_drop_it(desk: Desk, claimed: Claimed) -> None:
    desk.rules = able(DROP, group_within=HOUR)
    desk.write(partial(cancel, reminder_id="r1", actor="anna"))
    later = desk.now + desk.rules.outcome_timeout
    desk.answer(claimed, Accepted("ext-1"))
    assert desk.reminder("r1").wake_at == later
    desk.report(a_report("ringing", reminder_id="r1", attempt_id=claimed.call.id))
    assert desk.reminder("r1").wake_at == later


def test_one_with_a_call_of_its_own_of_which_nobody_knows_does_not_ride(desk: Desk, claimed: Claimed) -> None:
    unclear(desk, claimed)
    desk.write(partial(call_again, reminder_id="r1", rules=GROUPING, actor="anna"))
    before = to_ms(desk.reminder("r1").scheduled_at) - 1
    desk.insert("r0", message="First.", scheduled_at=before)
    [first] = desk.claim()
    assert (first.reminder.id, first.riders) == ("r0", ())


def test_a_report_for_no_call_of_its_own_tells_nothing_of_those_beside_it(desk: Desk, claimed: Claimed) -> None:
    desk.answer(claimed, Accepted("ext-1"))
    desk.report(a_report("completed", reminder_id="r1", attempt_id=None, external_call_id="ext-unknown"))
    ends(desk, claimed, "no-answer")
    desk.claim()
    assert statuses(desk) == [Status.CALLED, Status.SCHEDULED]
