"""What staff do to one reminder: done once, on what was seen, and refused as the core decides."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from itertools import product
from typing import Any

import pytest

from reminderd.core.lifecycle.transition import Transition
from reminderd.core.model import Status
from reminderd.core.sentences import NotAllowedError
from reminderd.databases import Target
from reminderd.staff.acts import RequestedAct, SeenOtherwiseError, StaffAct, fingerprint_of, perform, refusals
from reminderd.store.audit import acts_on
from reminderd.store.errors import UnknownReminderError
from reminderd.store.opt_outs import has_opted_out
from reminderd.store.queries import reminder_with_id
from reminderd.store.rows import to_ms
from tests.support.builders import DAY, MINUTE, NOW, SECOND
from tests.support.rows import insert_call
from tests.support.store import Store, a_store

pytestmark = pytest.mark.also_on_postgres


@pytest.fixture
def store(target: Target) -> Iterator[Store]:
    with a_store(target) as opened:
        yield opened


def done_to(store: Store, act: StaffAct, **changes: Any) -> tuple[Transition, ...]:
    asked = RequestedAct(**({"act": act, "reminder_id": "r1", "actor": "anna"} | changes))
    return store.write(partial(perform, asked=asked, rules=store.rules))


def sight(store: Store) -> str:
    row = reminder_with_id(store.connection, "r1")
    assert row is not None
    return fingerprint_of(row)


def end(store: Store) -> None:
    store.connection.execute("UPDATE reminders SET status = 'failed', ended_at = :now", {"now": to_ms(store.now)})


def acts(store: Store) -> list[tuple[Any, ...]]:
    return [(row["act"], row["actor"], row["detail"]) for row in acts_on(store.connection, "r1")]


def refusal(store: Store, act: StaffAct, **changes: Any) -> str | None:
    try:
        done_to(store, act, **changes)
    except NotAllowedError as error:
        return str(error)
    return None


def allowed(store: Store) -> list[StaffAct]:
    found = refusals(store.connection, reminder_id="r1", rules=store.rules, now=store.now)
    return [act for act, error in found.items() if error is None]


def test_each_act_is_recorded_with_who_did_it(store: Store) -> None:
    store.insert()
    done_to(store, StaffAct.CANCEL)
    done_to(store, StaffAct.CALL_AGAIN)
    store.connection.execute("UPDATE reminders SET hold_code = 'number_changed'")
    done_to(store, StaffAct.ACCEPT)
    done_to(store, StaffAct.DONE, note="spoke to her")
    assert acts(store) == [
        ("cancel", "anna", None),
        ("call-again", "anna", None),
        ("accept", "anna", None),
        ("done", "anna", "spoke to her"),
    ]


def test_an_opt_out_is_that_of_the_reminders_number(store: Store) -> None:
    store.insert(phone="+12025550007")
    assert len(done_to(store, StaffAct.OPT_OUT)) == 1
    assert has_opted_out(store.connection, "+12025550007")
    assert store.reminder().status is Status.CANCELLED


@pytest.mark.parametrize("act", StaffAct)
def test_an_act_on_a_reminder_that_was_deleted_is_an_error(store: Store, act: StaffAct) -> None:
    with pytest.raises(UnknownReminderError):
        done_to(store, act)
    with pytest.raises(UnknownReminderError):
        allowed(store)


@pytest.mark.parametrize("act", StaffAct)
@pytest.mark.parametrize("change", ["phone_number = '+12025550009'", "message = 'Other.'", "scheduled_at = 1"])
def test_nothing_is_done_to_what_was_changed_after_it_was_shown(store: Store, act: StaffAct, change: str) -> None:
    store.insert(status="failed", hold_code="number_changed")
    seen = sight(store)
    store.connection.execute(f"UPDATE reminders SET {change}")
    with pytest.raises(SeenOtherwiseError):
        done_to(store, act, seen=seen)
    assert acts(store) == []


@pytest.mark.parametrize(
    ("act", "row"),
    [
        (StaffAct.CANCEL, {}),
        (StaffAct.ACCEPT, {"hold_code": "number_changed"}),
        (StaffAct.CALL_AGAIN, {"status": "failed"}),
        (StaffAct.DONE, {"status": "failed"}),
        (StaffAct.OPT_OUT, {}),
    ],
)
def test_an_act_that_is_sent_twice_is_done_once(store: Store, act: StaffAct, row: dict[str, Any]) -> None:
    store.insert(**row)
    seen = sight(store)
    done_to(store, act, seen=seen)
    before = acts(store)
    store.later(SECOND)
    transitions = done_to(store, act, seen=seen)
    assert [line for one in transitions for line in one.lines] == []
    assert acts(store) == before
    assert len(before) == 1


def test_a_cancellation_that_another_program_has_undone_is_done_again(store: Store) -> None:
    store.insert()
    seen = sight(store)
    done_to(store, StaffAct.CANCEL, seen=seen)
    store.connection.execute("UPDATE reminders SET status = 'scheduled'").fetchall()
    assert done_to(store, StaffAct.CANCEL, seen=seen)
    row = reminder_with_id(store.connection, "r1")
    assert row is not None
    assert row["status"] == "cancelled"


def test_a_second_click_is_refused_once_the_patient_was_reached(store: Store) -> None:
    store.insert(status="failed", ended_at=to_ms(store.now))
    seen = sight(store)
    done_to(store, StaffAct.CALL_AGAIN, seen=seen)
    store.connection.execute("UPDATE reminders SET status = 'called'").fetchall()
    assert refusal(store, StaffAct.CALL_AGAIN, seen=seen) is not None


def test_the_same_act_of_another_person_or_a_minute_later_is_not_a_repeat(store: Store) -> None:
    store.insert()
    seen = sight(store)
    done_to(store, StaffAct.CANCEL, seen=seen)
    with pytest.raises(NotAllowedError):
        done_to(store, StaffAct.CANCEL, seen=seen, actor="bert")
    store.later(MINUTE + SECOND)
    with pytest.raises(NotAllowedError):
        done_to(store, StaffAct.CANCEL, seen=seen)


def test_who_sees_that_it_has_failed_once_more_can_have_it_called_again_at_once(store: Store) -> None:
    store.insert(status="failed")
    done_to(store, StaffAct.CALL_AGAIN, seen=sight(store))
    store.later(SECOND)
    end(store)
    (transition,) = done_to(store, StaffAct.CALL_AGAIN, seen=sight(store))
    assert transition.lines
    assert store.reminder().status is Status.SCHEDULED


def test_a_page_from_before_another_end_has_nobody_called_again(store: Store) -> None:
    store.insert(status="failed")
    seen = sight(store)
    done_to(store, StaffAct.CALL_AGAIN, seen=seen)
    store.later(SECOND)
    end(store)
    for actor in ("anna", "bert"):
        with pytest.raises(SeenOtherwiseError):
            done_to(store, StaffAct.CALL_AGAIN, seen=seen, actor=actor)
    assert store.reminder().status is Status.FAILED
    done_to(store, StaffAct.DONE, seen=seen)  # the manual call is a fact, whatever has happened meanwhile


def test_an_act_of_a_clock_that_was_ahead_is_not_repeated_now(store: Store) -> None:
    store.insert()
    seen = sight(store)
    done_to(store, StaffAct.CANCEL, seen=seen)
    store.later(-DAY)
    with pytest.raises(NotAllowedError):
        done_to(store, StaffAct.CANCEL, seen=seen)


def test_to_look_at_it_in_between_does_not_make_a_second_act(store: Store) -> None:
    store.insert()
    seen = sight(store)
    done_to(store, StaffAct.CANCEL, seen=seen)
    store.connection.execute("INSERT INTO audit (at, actor, act, reminder_id) VALUES (0, 'anna', 'view', 'r1')")
    assert done_to(store, StaffAct.CANCEL, seen=seen) == ()


def test_a_command_that_is_typed_twice_is_refused(store: Store) -> None:
    store.insert()
    done_to(store, StaffAct.CANCEL)
    with pytest.raises(NotAllowedError, match="already final"):
        done_to(store, StaffAct.CANCEL)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"scheduled_at": to_ms(NOW + DAY)}, [StaffAct.CANCEL, StaffAct.DONE, StaffAct.OPT_OUT]),
        ({"hold_code": "number_changed"}, [StaffAct.CANCEL, StaffAct.ACCEPT, StaffAct.DONE, StaffAct.OPT_OUT]),
        ({"status": "failed"}, [StaffAct.CALL_AGAIN, StaffAct.DONE, StaffAct.OPT_OUT]),
        ({"status": "cancelled"}, [StaffAct.CALL_AGAIN, StaffAct.OPT_OUT]),
        ({"status": "called", "response": "confirmed"}, [StaffAct.OPT_OUT]),
        ({"status": "called", "response": "cancel_requested"}, [StaffAct.DONE, StaffAct.OPT_OUT]),
        ({"status": "failed", "phone": "", "message": ""}, [StaffAct.DONE]),
        ({"status": "failed", "phone": "0170 123456"}, [StaffAct.DONE]),
    ],
)
def test_the_acts_are_allowed_that_the_core_allows(store: Store, row: dict[str, Any], expected: list[StaffAct]) -> None:
    store.insert(**row)
    assert allowed(store) == expected


def test_what_is_allowed_is_done_and_what_is_refused_is_refused_in_the_same_words(store: Store) -> None:
    rows = list(product(Status, (None, "confirmed", "cancel_requested"), (None, "number_changed"), StaffAct))
    for number, (status, response, hold, act) in enumerate(rows):
        name = f"r{number}"
        store.insert(name, f"+1202555{number:04}", status=status, response=response, hold_code=hold)
        expected = refusals(store.connection, reminder_id=name, rules=store.rules, now=store.now)[act]
        assert refusal(store, act, reminder_id=name) == (None if expected is None else str(expected)), rows[number]


def test_a_number_that_has_opted_out_is_not_offered_to_opt_out_again(store: Store) -> None:
    store.insert(status="failed")
    done_to(store, StaffAct.OPT_OUT)
    found = refusals(store.connection, reminder_id="r1", rules=store.rules, now=store.now)
    assert str(found[StaffAct.OPT_OUT]) == "the number has opted out"
    assert str(found[StaffAct.CALL_AGAIN]) == "the number has opted out"


def test_a_call_under_way_is_named_as_the_reason(store: Store) -> None:
    store.insert(status="failed")
    insert_call(store.connection, "r1", state="placed", status="ringing", last_sign_at=to_ms(NOW))
    found = refusals(store.connection, reminder_id="r1", rules=store.rules, now=store.now + timedelta(seconds=1))
    assert str(found[StaffAct.CALL_AGAIN]).startswith("a call to this number is under way (ringing)")
