"""What an erasure leaves, and that nothing brings back what was erased or purged."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from attrs import evolve

from reminderd.core.answers import Accepted, Capabilities, NotPlaced
from reminderd.core.masking import mask_numbers
from reminderd.core.model import ERASED, CallState, Status
from reminderd.core.reasons import HoldCode
from reminderd.core.rules import Limits
from reminderd.core.sentences import NotAllowedError
from reminderd.databases import Target
from reminderd.store.erased import forget_erased
from reminderd.store.errors import UnknownReminderError
from reminderd.store.personal_data import Place, erase, personal_data_of, purge_batch
from reminderd.store.rows import to_ms
from reminderd.store.settle import read_for_last_look
from tests.support.builders import DAY, HOUR, MINUTE, NOW, RULES, a_report
from tests.support.rows import insert_call
from tests.support.store import Store, a_store, contents

PHONE = "+4930123456"


@pytest.fixture
def store(target: Target) -> Iterator[Store]:
    with a_store(target, evolve(RULES, limits=Limits(per_day=1), max_lateness=3 * DAY)) as store:
        yield store


def call(store: Store, reminder_id: str, number: str = PHONE) -> str:
    store.insert(reminder_id, number)
    [action] = store.claim()
    store.answer(action, Accepted(f"ext-{reminder_id}"))
    return action.call.id


def end(store: Store, reminder_id: str, call_id: str, status: str = "completed") -> None:
    report = a_report(status, reminder_id=reminder_id, attempt_id=call_id, external_call_id=f"ext-{reminder_id}")
    store.report(evolve(report, transcript="I am ill.", answered_by="Anna"))


def deleted(store: Store, number: str, **columns: Any) -> None:
    """Make a call whose reminder another program has deleted."""
    store.insert("gone", number)
    insert_call(store.connection, "gone", **columns)
    store.connection.execute("DELETE FROM reminders WHERE id = 'gone'")


def erased(store: Store, number: str = PHONE) -> int:
    return store.write(partial(erase, phone_number=number, actor="anna")).calls


def test_an_erased_number_that_was_reached_today_is_not_called_again_today(store: Store) -> None:
    end(store, "one", call(store, "one"))
    assert erased(store) == 1
    store.later(HOUR)
    store.insert("two", PHONE)
    store.insert("another's", "+4930123457")
    assert [action.call.reminder_id for action in store.claim()] == ["another's"]
    assert store.reminder("two").hold_code is HoldCode.LIMITS
    store.later(DAY)
    assert [action.call.reminder_id for action in store.claim()] == ["two"]


def test_an_erased_patient_who_hung_up_after_the_message_counts_as_reached(store: Store) -> None:
    end(store, "one", call(store, "one"))
    until = to_ms(store.now)
    store.connection.execute("UPDATE call_logs SET outcome = 'hung_up', hung_up_at = ?", (until,))
    store.connection.execute("UPDATE call_reminders SET spoken = 1, spoken_by = ?", (until - 1,))
    erased(store)
    store.later(HOUR)
    store.insert("two", PHONE)
    assert store.claim() == []
    assert store.reminder("two").hold_code is HoldCode.LIMITS


def test_the_limits_survive_a_second_erasure(store: Store) -> None:
    end(store, "one", call(store, "one"))
    erased(store)
    store.insert("two", PHONE)
    erased(store)
    store.insert("three", PHONE)
    assert store.claim() == []


def test_the_remaining_rows_do_not_identify_the_patient(store: Store) -> None:
    store.insert("Anna Winter", PHONE, message="Your test result.", ref="Winter 1")
    [action] = store.claim()
    store.answer(action, Accepted("ext-1"))
    report = a_report("completed", reminder_id="Anna Winter", attempt_id=action.call.id, external_call_id="ext-1")
    store.report(evolve(report, transcript="I am ill.", answered_by="Anna"))
    erased(store)
    left = contents(store.connection)
    left.pop("audit")
    for told in ("30123456", "Winter", "test result", "ill", "'Anna'", action.reminders[0].message):
        assert told not in str(left)
    [(number, digest)] = store.connection.execute(
        "SELECT phone_number, message_digest FROM call_logs JOIN call_reminders ON call_id = call_logs.id"
    ).fetchall()
    assert number.startswith(ERASED)
    assert digest == ""
    assert personal_data_of(store.connection, phone_number=PHONE).empty


def test_two_databases_have_two_hashes_for_a_number(new_target: Callable[[], Target]) -> None:
    seen = set()
    for _ in range(2):
        with a_store(new_target()) as store:
            end(store, "one", call(store, "one"))
            erased(store)
            seen.add(store.connection.execute("SELECT phone_number FROM call_logs").fetchone()[0])
    assert len(seen) == 2


def test_a_phone_that_rings_after_its_erasure_is_busy(store: Store) -> None:
    call_id = call(store, "one")
    store.later(2 * RULES.outcome_timeout)
    store.claims()
    assert store.call(call_id).state is CallState.UNREPORTED
    erased(store)
    store.report(a_report("ringing", reminder_id="one", attempt_id=call_id, external_call_id="ext-one"))
    assert store.call(call_id).state is CallState.PLACED
    store.insert("two", PHONE)
    assert store.claim() == []
    assert store.reminder("two").hold_code is HoldCode.NUMBER_BUSY
    with pytest.raises(NotAllowedError, match="a call to this number is under way"):
        erased(store)
    end(store, "one", call_id)
    store.later(2 * MINUTE)
    store.claim()
    assert store.reminder("two").hold_code is HoldCode.LIMITS, "it was answered today"


def test_a_prepared_call_is_not_sent_while_the_erased_phone_rings(store: Store) -> None:
    call_id = call(store, "one")
    store.later(2 * RULES.outcome_timeout)
    store.claims()
    erased(store)
    store.insert("two", PHONE)
    [action] = store.claim()
    store.report(a_report("ringing", reminder_id="one", attempt_id=call_id, external_call_id="ext-one"))
    alive = read_for_last_look(store.connection, action=action, rules=store.rules, now=store.now).ledger.alive_calls_to(
        PHONE
    )
    assert {one.id for one in alive} == {call_id, action.call.id}


@pytest.mark.parametrize("is_erased", [True, False])
@pytest.mark.parametrize("status", ["in-progress", "completed"])
def test_a_late_report_restores_no_erased_data(store: Store, status: str, *, is_erased: bool) -> None:
    call_id = call(store, "one")
    store.later(2 * RULES.outcome_timeout)
    store.claims()
    if is_erased:
        erased(store)
    else:
        store.later(31 * DAY)
        before = store.now - 30 * DAY
        fn = partial(purge_batch, before=before, place=Place(), actor="anna", cleaned=mask_numbers)
        assert store.write(fn).reminders == 1
    end(store, "one", call_id, status)
    after = store.call(call_id)
    assert after.status == status
    assert (after.transcript or "", after.answered_by) == ("", None)
    assert PHONE not in str(contents(store.connection)["call_logs"])


def test_a_report_of_an_unknown_call_restores_no_purged_data(store: Store) -> None:
    old = to_ms(NOW - 31 * DAY)
    store.insert("one", PHONE, status="failed", wake_at=None, scheduled_at=old, updated_at=old)
    fn = partial(purge_batch, before=NOW - 30 * DAY, place=Place(), actor="anna", cleaned=mask_numbers)
    assert store.write(fn).reminders == 1
    end(store, "one", "a call of another program")
    stored = contents(store.connection)["call_logs"]
    assert len(stored) == 1
    assert not any(told in str(stored) for told in ("ill", "Anna", PHONE))


def test_a_late_report_without_our_id_matches_no_erased_reminder(store: Store) -> None:
    end(store, "one", call(store, "one"))
    erased(store)
    with pytest.raises(UnknownReminderError):
        store.report(a_report("completed", reminder_id="one", external_call_id="ext-2"))


def test_a_key_pressed_after_the_erasure_is_left_to_staff(target: Target) -> None:
    with a_store(target, evolve(RULES, capabilities=Capabilities(asks_what_to_say=True))) as store:
        call_id = call(store, "one")
        report = a_report("in-progress", attempt_id=call_id, reminder_id=None, external_call_id="ext-one")
        store.pick_up(report)
        store.later(2 * RULES.outcome_timeout)
        store.connection.execute("UPDATE call_logs SET state = 'unreported', wake_at = NULL")
        erased(store)
        spoken = store.press(report, "9")
        lines = [line.text for one in spoken.transitions for line in one.lines]
        assert any("reminderd opt-out add" in line for line in lines)
        assert store.count("opt_outs") == 0


@pytest.mark.parametrize(
    "written",
    ["+49 30 12-34.56", "0049 30 123456", "030 123456", "4930123456", "+49\u00a030\u200b123456", "+49 (0)30123456"],
)
def test_every_spelling_is_exported_and_erased(store: Store, written: str) -> None:
    later = to_ms(NOW + DAY)
    store.insert("odd", written, scheduled_at=later)
    store.insert("other", "+4930123457", scheduled_at=later)
    deleted(store, written, transcript="I am ill.")
    store.connection.execute("INSERT INTO opt_outs (phone_number) VALUES (?)", (PHONE,))
    found = personal_data_of(store.connection, phone_number=PHONE)
    assert [one["id"] for one in found.reminders] == ["odd"]
    assert [one["transcript"] for one in found.other_calls] == ["I am ill."]
    assert found.opt_out is not None
    done = store.write(partial(erase, phone_number=PHONE, actor="anna"))
    assert (done.reminders, done.calls, done.opted_out) == (1, 1, True)
    left = contents(store.connection)
    assert [row[0] for row in left["reminders"]] == ["other"]
    assert written not in str(left["call_logs"])


def test_erased_calls_beyond_the_limits_are_deleted(store: Store) -> None:
    old = to_ms(NOW - 9 * DAY)
    deleted(store, PHONE, last_sign_at=old)
    end(store, "one", call(store, "one"))
    assert erased(store) == 2
    assert store.count("call_logs") == 1
    store.later(8 * DAY - HOUR)
    assert store.write(forget_erased) == 0
    store.later(2 * HOUR)
    assert store.write(forget_erased) == 1
    assert (store.count("call_logs"), store.count("call_reminders")) == (0, 0)


def test_a_call_that_was_not_placed_leaves_the_number_free(store: Store) -> None:
    store.insert("one", PHONE)
    [action] = store.claim()
    store.answer(action, NotPlaced("503"))
    erased(store)
    store.insert("two", PHONE)
    [again] = store.claim()
    assert again.call.reminder_id == "two"
    assert store.reminder("two").status is Status.DIALING


def test_ids_that_another_program_chose_are_erased(store: Store) -> None:
    for reminder_id in ("erased", "erased:1", "0"):
        end(store, reminder_id, call(store, reminder_id))
        store.later(DAY)
    assert store.write(partial(erase, phone_number=PHONE, actor="anna")).reminders == 3
    assert {row[0] for row in store.connection.execute("SELECT reminder_id FROM call_reminders").fetchall()} == {""}
