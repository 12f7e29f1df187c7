"""What an erasure leaves, and that nothing brings back what was erased or purged."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from reminderd.core.answers import Accepted, Capabilities, NotPlaced
from reminderd.core.lifecycle.staff import NotAllowedError
from reminderd.core.masking import without_numbers
from reminderd.core.model import ERASED, CallState, Status
from reminderd.core.reasons import HoldCode
from reminderd.core.rules import Limits
from reminderd.store.erased import forget_erased
from reminderd.store.errors import UnknownReminderError
from reminderd.store.personal_data import Place, erase, purge_batch, record
from reminderd.store.rows import to_ms
from reminderd.store.settle import look
from tests.support.desk import Desk, a_desk, contents
from tests.support.nouns import DAY, HOUR, MINUTE, NOW, RULES, a_report
from tests.support.rows import insert_call

PHONE = "+4930123456"


@pytest.fixture
def desk(path: Path) -> Iterator[Desk]:
    with a_desk(path, evolve(RULES, limits=Limits(per_day=1), max_lateness=3 * DAY)) as desk:
        yield desk


def call(desk: Desk, reminder_id: str, number: str = PHONE) -> str:
    desk.insert(reminder_id, number)
    [action] = desk.claim()
    desk.answer(action, Accepted(f"ext-{reminder_id}"))
    return action.call.id


def end(desk: Desk, reminder_id: str, call_id: str, status: str = "completed") -> None:
    report = a_report(status, reminder_id=reminder_id, attempt_id=call_id, external_call_id=f"ext-{reminder_id}")
    desk.report(evolve(report, transcript="I am ill.", answered_by="Anna"))


def deleted(desk: Desk, number: str, **columns: Any) -> None:
    """A call whose reminder another program has deleted."""
    desk.insert("gone", number)
    insert_call(desk.connection, "gone", **columns)
    desk.connection.execute("DELETE FROM reminders WHERE id = 'gone'")


def erased(desk: Desk, number: str = PHONE) -> int:
    return desk.write(partial(erase, phone_number=number, actor="anna")).calls


def test_a_number_that_was_reached_today_is_not_called_again_today_though_it_was_erased(desk: Desk) -> None:
    end(desk, "one", call(desk, "one"))
    assert erased(desk) == 1
    desk.later(HOUR)
    desk.insert("two", PHONE)
    desk.insert("another's", "+4930123457")
    assert [action.call.reminder_id for action in desk.claim()] == ["another's"]
    assert desk.reminder("two").hold_code is HoldCode.LIMITS
    desk.later(DAY)
    assert [action.call.reminder_id for action in desk.claim()] == ["two"]


def test_whoever_heard_the_message_and_hung_up_before_its_end_counts_too(desk: Desk) -> None:
    end(desk, "one", call(desk, "one"))
    until = to_ms(desk.now)
    desk.connection.execute("UPDATE call_logs SET outcome = 'hung_up', hung_up_at = ?", (until,))
    desk.connection.execute("UPDATE call_reminders SET said = 1, spoken_by = ?", (until - 1,))
    erased(desk)
    desk.later(HOUR)
    desk.insert("two", PHONE)
    assert desk.claim() == []
    assert desk.reminder("two").hold_code is HoldCode.LIMITS


def test_it_survives_a_second_erasure(desk: Desk) -> None:
    end(desk, "one", call(desk, "one"))
    erased(desk)
    desk.insert("two", PHONE)
    erased(desk)
    desk.insert("three", PHONE)
    assert desk.claim() == []


def test_nothing_that_is_left_shows_whose_it_was(desk: Desk) -> None:
    desk.insert("Anna Winter", PHONE, message="Your test result.", ref="Winter 1")
    [action] = desk.claim()
    desk.answer(action, Accepted("ext-1"))
    report = a_report("completed", reminder_id="Anna Winter", attempt_id=action.call.id, external_call_id="ext-1")
    desk.report(evolve(report, transcript="I am ill.", answered_by="Anna"))
    erased(desk)
    left = contents(desk.connection)
    left.pop("audit")
    for told in ("30123456", "Winter", "test result", "ill", "'Anna'", action.reminders[0].message):
        assert told not in str(left)
    [(number, members)] = desk.connection.execute(
        "SELECT phone_number, (SELECT group_concat(message_digest) FROM call_reminders) FROM call_logs"
    ).fetchall()
    assert number.startswith(ERASED)
    assert members == ""
    assert record(desk.connection, phone_number=PHONE).empty


def test_two_databases_have_two_hashes_for_a_number(tmp_path: Path) -> None:
    seen = set()
    for name in ("one", "two"):
        with a_desk(tmp_path / name) as desk:
            end(desk, "one", call(desk, "one"))
            erased(desk)
            seen.add(desk.connection.execute("SELECT phone_number FROM call_logs").fetchone()[0])
    assert len(seen) == 2


def test_a_phone_that_rings_again_after_its_erasure_is_busy(desk: Desk) -> None:
    call_id = call(desk, "one")
    desk.later(2 * RULES.outcome_timeout)
    desk.claims()
    assert desk.call(call_id).state is CallState.UNREPORTED
    erased(desk)
    desk.report(a_report("ringing", reminder_id="one", attempt_id=call_id, external_call_id="ext-one"))
    assert desk.call(call_id).state is CallState.PLACED
    desk.insert("two", PHONE)
    assert desk.claim() == []
    assert desk.reminder("two").hold_code is HoldCode.NUMBER_BUSY
    with pytest.raises(NotAllowedError, match="a call to this number is under way"):
        erased(desk)
    end(desk, "one", call_id)
    desk.later(2 * MINUTE)
    desk.claim()
    assert desk.reminder("two").hold_code is HoldCode.LIMITS, "it was answered today"


def test_a_call_that_another_process_prepares_is_not_sent_while_the_erased_phone_rings(desk: Desk) -> None:
    call_id = call(desk, "one")
    desk.later(2 * RULES.outcome_timeout)
    desk.claims()
    erased(desk)
    desk.insert("two", PHONE)
    [action] = desk.claim()
    desk.report(a_report("ringing", reminder_id="one", attempt_id=call_id, external_call_id="ext-one"))
    alive = look(desk.connection, action=action, rules=desk.rules, now=desk.now).ledger.alive_at(PHONE)
    assert {one.id for one in alive} == {call_id, action.call.id}


@pytest.mark.parametrize("is_erased", [True, False])
@pytest.mark.parametrize("status", ["in-progress", "completed"])
def test_a_late_report_brings_nothing_back(desk: Desk, status: str, *, is_erased: bool) -> None:
    call_id = call(desk, "one")
    desk.later(2 * RULES.outcome_timeout)
    desk.claims()
    if is_erased:
        erased(desk)
    else:
        desk.later(31 * DAY)
        before = desk.now - 30 * DAY
        fn = partial(purge_batch, before=before, place=Place(), actor="anna", cleaned=without_numbers)
        assert desk.write(fn).reminders == 1
    end(desk, "one", call_id, status)
    after = desk.call(call_id)
    assert after.status == status
    assert (after.transcript or "", after.answered_by) == ("", None)
    assert PHONE not in str(contents(desk.connection)["call_logs"])


def test_a_report_of_an_unknown_call_brings_nothing_back_to_a_purged_reminder(desk: Desk) -> None:
    old = to_ms(NOW - 31 * DAY)
    desk.insert("one", PHONE, status="failed", wake_at=None, scheduled_at=old, updated_at=old)
    fn = partial(purge_batch, before=NOW - 30 * DAY, place=Place(), actor="anna", cleaned=without_numbers)
    assert desk.write(fn).reminders == 1
    end(desk, "one", "a call of another program")
    stored = contents(desk.connection)["call_logs"]
    assert len(stored) == 1
    assert not any(told in str(stored) for told in ("ill", "Anna", PHONE))


def test_a_late_report_of_an_erased_reminder_without_our_id_is_of_no_reminder(desk: Desk) -> None:
    end(desk, "one", call(desk, "one"))
    erased(desk)
    with pytest.raises(UnknownReminderError):
        desk.report(a_report("completed", reminder_id="one", external_call_id="ext-2"))


def test_a_key_that_is_pressed_after_the_erasure_is_left_to_staff(path: Path) -> None:
    with a_desk(path, evolve(RULES, capabilities=Capabilities(asks_what_to_say=True))) as desk:
        call_id = call(desk, "one")
        report = a_report("in-progress", attempt_id=call_id, reminder_id=None, external_call_id="ext-one")
        desk.pick_up(report)
        desk.later(2 * RULES.outcome_timeout)
        desk.connection.execute("UPDATE call_logs SET state = 'unreported', wake_at = NULL")
        erased(desk)
        spoken = desk.press(report, "9")
        lines = [line.text for one in spoken.transitions for line in one.lines]
        assert any("reminderd opt-out add" in line for line in lines)
        assert desk.count("opt_outs") == 0


@pytest.mark.parametrize(
    "written",
    ["+49 30 12-34.56", "0049 30 123456", "030 123456", "4930123456", "+49\u00a030\u200b123456", "+49 (0)30123456"],
)
def test_every_spelling_is_exported_and_erased(desk: Desk, written: str) -> None:
    later = to_ms(NOW + DAY)
    desk.insert("odd", written, scheduled_at=later)
    desk.insert("other", "+4930123457", scheduled_at=later)
    deleted(desk, written, transcript="I am ill.")
    desk.connection.execute("INSERT INTO opt_outs (phone_number) VALUES (?)", (PHONE,))
    found = record(desk.connection, phone_number=PHONE)
    assert [one["id"] for one in found.reminders] == ["odd"]
    assert [one["transcript"] for one in found.other_calls] == ["I am ill."]
    assert found.opt_out is not None
    done = desk.write(partial(erase, phone_number=PHONE, actor="anna"))
    assert (done.reminders, done.calls, done.opted_out) == (1, 1, True)
    left = contents(desk.connection)
    assert [row[0] for row in left["reminders"]] == ["other"]
    assert written not in str(left["call_logs"])


def test_what_no_limit_counts_any_more_is_deleted_at_once_and_later(desk: Desk) -> None:
    old = to_ms(NOW - 9 * DAY)
    deleted(desk, PHONE, last_sign_at=old)
    end(desk, "one", call(desk, "one"))
    assert erased(desk) == 2
    assert desk.count("call_logs") == 1
    desk.later(8 * DAY - HOUR)
    assert desk.write(forget_erased) == 0
    desk.later(2 * HOUR)
    assert desk.write(forget_erased) == 1
    assert (desk.count("call_logs"), desk.count("call_reminders")) == (0, 0)


def test_a_call_that_was_not_placed_leaves_the_number_free(desk: Desk) -> None:
    desk.insert("one", PHONE)
    [action] = desk.claim()
    desk.answer(action, NotPlaced("503"))
    erased(desk)
    desk.insert("two", PHONE)
    [again] = desk.claim()
    assert again.call.reminder_id == "two"
    assert desk.reminder("two").status is Status.DIALING


def test_whatever_id_another_program_has_chosen_is_erased(desk: Desk) -> None:
    for reminder_id in ("erased", "erased:1", "0"):
        end(desk, reminder_id, call(desk, reminder_id))
        desk.later(DAY)
    assert desk.write(partial(erase, phone_number=PHONE, actor="anna")).reminders == 3
    assert {row[0] for row in desk.connection.execute("SELECT reminder_id FROM call_reminders").fetchall()} == {""}
