"""Our own address, as the database knows it: when it is failing, and what ends that."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from attrs import evolve

from reminderd.core.answers import Accepted, Capabilities, Found
from reminderd.core.lifecycle.transition import Action
from reminderd.core.model import Status
from reminderd.store.address import address_alert, follow_address, note_address_alert, note_gap, unreached_since
from reminderd.store.personal_data import erase
from tests.support.desk import Desk, a_desk
from tests.support.nouns import HOUR, MINUTE, SECOND, a_report, able

PHONE = "+12025550199"
RULES = able(Capabilities(look_up=True, asks_what_to_say=True), redial_delays=(HOUR,))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with a_desk(tmp_path / "reminderd.db", RULES) as desk:
        desk.write(partial(follow_address, address="https://clinic.example"))
        yield desk


def since(desk: Desk) -> object:
    return unreached_since(desk.connection)


def placed(desk: Desk, number: int) -> Action:
    desk.later(MINUTE)
    desk.insert(f"r{number}", f"+1202555000{number}")
    [action] = desk.claim()
    desk.answer(action, Accepted(f"ext-{number}"))
    desk.later(SECOND)
    return action


def ended(desk: Desk, action: Action, *, by_look_up: bool = False) -> None:
    report = a_report(
        external_call_id=f"ext-{action.call.reminder_id[1:]}",
        reminder_id=None,
        attempt_id=action.call.id,
        duration_seconds=9,
    )
    if by_look_up:
        desk.found(action, Found(report))
    else:
        desk.report(report)


def asks(desk: Desk, action: Action) -> None:
    external_call_id = f"ext-{action.call.reminder_id[1:]}"
    desk.pick_up(
        a_report("in-progress", external_call_id=external_call_id, reminder_id=None, attempt_id=action.call.id)
    )


def silent(desk: Desk, number: int, *, by_look_up: bool = False) -> None:
    """A call that is answered, and in which nobody asks us what to say."""
    ended(desk, placed(desk, number), by_look_up=by_look_up)


@pytest.mark.parametrize("by_look_up", [False, True], ids=["by webhook", "by look-up"])
def test_two_answered_calls_in_a_row_that_never_asked_show_that_our_address_is_failing(
    desk: Desk, *, by_look_up: bool
) -> None:
    silent(desk, 1, by_look_up=by_look_up)
    assert since(desk) is None
    silent(desk, 2, by_look_up=by_look_up)
    assert since(desk) == desk.now
    assert [desk.reminder(name).status for name in ("r1", "r2")] == [Status.SCHEDULED] * 2


def test_two_silent_calls_to_one_number_show_nothing_though_it_was_erased_between_them(desk: Desk) -> None:
    for name in ("r1", "r2"):
        desk.insert(name, PHONE)
        [action] = desk.claim()
        desk.answer(action, Accepted(f"ext-{name[1:]}"))
        desk.later(SECOND)
        ended(desk, action)
        assert since(desk) is None
        desk.write(partial(erase, phone_number=PHONE, actor="anna"))
    silent(desk, 3)
    assert since(desk) == desk.now


def test_it_is_failing_since_the_second_one_however_many_follow(desk: Desk) -> None:
    for number in (1, 2):
        silent(desk, number)
    began = since(desk)
    silent(desk, 3)
    assert since(desk) == began


def test_a_request_between_two_silent_calls_shows_that_it_works(desk: Desk) -> None:
    silent(desk, 1)
    action = placed(desk, 2)
    asks(desk, action)
    ended(desk, action)
    silent(desk, 3)
    assert since(desk) is None


def test_a_request_ends_it_and_two_more_silent_calls_are_needed_then(desk: Desk) -> None:
    for number in (1, 2):
        silent(desk, number)
    asks(desk, placed(desk, 3))
    assert since(desk) is None
    silent(desk, 4)
    assert since(desk) is None
    silent(desk, 5)
    assert since(desk) == desk.now


def test_another_address_ends_it_and_calls_with_the_old_one_no_longer_count(desk: Desk) -> None:
    for number in (1, 2):
        silent(desk, number)
    late = placed(desk, 3)
    desk.write(partial(follow_address, address="https://other.example"))
    assert since(desk) is None
    ended(desk, late)
    silent(desk, 4)
    assert since(desk) is None
    silent(desk, 5)
    assert since(desk) is not None


def test_the_same_address_changes_nothing_so_a_restart_needs_no_more_patients(desk: Desk) -> None:
    for number in (1, 2):
        silent(desk, number)
    desk.write(partial(follow_address, address="https://clinic.example"))
    assert since(desk) is not None


def test_a_password_in_the_address_is_not_kept(desk: Desk) -> None:
    desk.write(partial(follow_address, address="https://twilio:s3cret@clinic.example"))
    values = [row["value"] for row in desk.connection.execute("SELECT value FROM settings").fetchall()]
    assert not any("s3cret" in value or "clinic" in value for value in values)


def test_somebody_is_told_once_each_time_it_begins_to_fail(desk: Desk) -> None:
    assert address_alert(desk.connection) is None
    for number in (1, 2):
        silent(desk, number)
    unreached = address_alert(desk.connection)
    assert unreached is not None
    desk.write(partial(note_address_alert, unreached=unreached))
    assert address_alert(desk.connection) is None
    asks(desk, placed(desk, 3))
    for number in (4, 5):
        silent(desk, number)
    again = address_alert(desk.connection)
    assert again is not None
    assert again.since > unreached.since


def test_a_provider_that_does_not_ask_never_fails_this_way(desk: Desk) -> None:
    desk.rules = evolve(desk.rules, capabilities=Capabilities(look_up=True))
    for number in (1, 2, 3):
        silent(desk, number)
    assert since(desk) is None


def test_calls_that_a_restore_may_have_robbed_of_their_request_do_not_count(desk: Desk) -> None:
    silent(desk, 1)
    desk.connection.execute("INSERT INTO settings (key, value) VALUES ('restored_seq', '1')")
    silent(desk, 2)
    assert since(desk) is None


def test_calls_that_were_under_way_during_a_restart_do_not_count(desk: Desk) -> None:
    under_way = [placed(desk, number) for number in (1, 2)]
    desk.write(note_gap)
    desk.later(SECOND)
    for action in under_way:
        ended(desk, action, by_look_up=True)
    assert since(desk) is None
    silent(desk, 3)
    silent(desk, 4)
    assert since(desk) is not None
