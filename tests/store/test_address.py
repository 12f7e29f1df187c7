"""Our own address, as the database knows it: when it is failing, and what ends that."""

from collections.abc import Iterator
from functools import partial

import pytest
from attrs import evolve

from reminderd.core.answers import Accepted, Capabilities, Found
from reminderd.core.lifecycle.transition import Action
from reminderd.core.model import Status
from reminderd.databases import Target
from reminderd.store.personal_data import erase
from reminderd.store.shared_state import (
    address_alert,
    note_address_alert,
    note_gap,
    note_public_address,
    put_setting,
    unreached_since,
)
from tests.support.builders import HOUR, MINUTE, SECOND, a_report, able
from tests.support.store import Store, a_store

PHONE = "+12025550199"
RULES = able(Capabilities(look_up=True, asks_what_to_say=True), redial_delays=(HOUR,))


@pytest.fixture
def store(target: Target) -> Iterator[Store]:
    with a_store(target, RULES) as store:
        store.write(partial(note_public_address, address="https://clinic.example"))
        yield store


def since(store: Store) -> object:
    return unreached_since(store.connection)


def placed(store: Store, number: int) -> Action:
    store.later(MINUTE)
    store.insert(f"r{number}", f"+1202555000{number}")
    [action] = store.claim()
    store.answer(action, Accepted(f"ext-{number}"))
    store.later(SECOND)
    return action


def ended(store: Store, action: Action, *, by_look_up: bool = False) -> None:
    report = a_report(
        external_call_id=f"ext-{action.call.reminder_id[1:]}",
        reminder_id=None,
        attempt_id=action.call.id,
        duration_seconds=9,
    )
    if by_look_up:
        store.found(action, Found(report))
    else:
        store.report(report)


def asks(store: Store, action: Action) -> None:
    external_call_id = f"ext-{action.call.reminder_id[1:]}"
    store.pick_up(
        a_report("in-progress", external_call_id=external_call_id, reminder_id=None, attempt_id=action.call.id)
    )


def silent(store: Store, number: int, *, by_look_up: bool = False) -> None:
    """Make an answered call without a request to us."""
    ended(store, placed(store, number), by_look_up=by_look_up)


@pytest.mark.parametrize("by_look_up", [False, True], ids=["by webhook", "by look-up"])
def test_two_silent_calls_in_a_row_mean_our_address_is_failing(store: Store, *, by_look_up: bool) -> None:
    silent(store, 1, by_look_up=by_look_up)
    assert since(store) is None
    silent(store, 2, by_look_up=by_look_up)
    assert since(store) == store.now
    assert [store.reminder(name).status for name in ("r1", "r2")] == [Status.SCHEDULED] * 2


def test_two_silent_calls_to_one_number_prove_nothing_even_if_erased_in_between(store: Store) -> None:
    for name in ("r1", "r2"):
        store.insert(name, PHONE)
        [action] = store.claim()
        store.answer(action, Accepted(f"ext-{name[1:]}"))
        store.later(SECOND)
        ended(store, action)
        assert since(store) is None
        store.write(partial(erase, phone_number=PHONE, actor="anna"))
    silent(store, 3)
    assert since(store) == store.now


def test_the_failure_begins_with_the_second_silent_call(store: Store) -> None:
    for number in (1, 2):
        silent(store, number)
    began = since(store)
    silent(store, 3)
    assert since(store) == began


def test_a_request_between_two_silent_calls_means_the_address_works(store: Store) -> None:
    silent(store, 1)
    action = placed(store, 2)
    asks(store, action)
    ended(store, action)
    silent(store, 3)
    assert since(store) is None


def test_a_request_ends_the_failure_and_two_more_silent_calls_start_it_again(store: Store) -> None:
    for number in (1, 2):
        silent(store, number)
    asks(store, placed(store, 3))
    assert since(store) is None
    silent(store, 4)
    assert since(store) is None
    silent(store, 5)
    assert since(store) == store.now


def test_a_changed_address_ends_the_failure_and_old_calls_no_longer_count(store: Store) -> None:
    for number in (1, 2):
        silent(store, number)
    late = placed(store, 3)
    store.write(partial(note_public_address, address="https://other.example"))
    assert since(store) is None
    ended(store, late)
    silent(store, 4)
    assert since(store) is None
    silent(store, 5)
    assert since(store) is not None


def test_a_restart_with_the_same_address_keeps_the_failure(store: Store) -> None:
    for number in (1, 2):
        silent(store, number)
    store.write(partial(note_public_address, address="https://clinic.example"))
    assert since(store) is not None


def test_a_password_in_the_address_is_not_stored(store: Store) -> None:
    store.write(partial(note_public_address, address="https://twilio:s3cret@clinic.example"))
    values = [row["value"] for row in store.connection.execute("SELECT value FROM settings").fetchall()]
    assert not any("s3cret" in value or "clinic" in value for value in values)


def test_each_new_failure_of_the_address_is_alerted_once(store: Store) -> None:
    assert address_alert(store.connection) is None
    for number in (1, 2):
        silent(store, number)
    unreached = address_alert(store.connection)
    assert unreached is not None
    store.write(partial(note_address_alert, unreached=unreached))
    assert address_alert(store.connection) is None
    asks(store, placed(store, 3))
    for number in (4, 5):
        silent(store, number)
    again = address_alert(store.connection)
    assert again is not None
    assert again > unreached


def test_an_alert_that_another_program_has_noted_in_its_own_way_is_sent(store: Store) -> None:
    for number in (1, 2):
        silent(store, number)
    store.write(lambda connection, _now: put_setting(connection, "unreached_alerted", "2026-03-02"))
    assert address_alert(store.connection) == since(store)


def test_the_address_never_fails_for_a_provider_that_does_not_ask_what_to_say(store: Store) -> None:
    store.rules = evolve(store.rules, capabilities=Capabilities(look_up=True))
    for number in (1, 2, 3):
        silent(store, number)
    assert since(store) is None


def test_calls_whose_request_a_restore_may_have_lost_do_not_count(store: Store) -> None:
    silent(store, 1)
    store.connection.execute("INSERT INTO settings (key, value) VALUES ('restored_seq', '1')")
    silent(store, 2)
    assert since(store) is None


def test_calls_during_a_restart_do_not_count(store: Store) -> None:
    under_way = [placed(store, number) for number in (1, 2)]
    store.write(note_gap)
    store.later(SECOND)
    for action in under_way:
        ended(store, action, by_look_up=True)
    assert since(store) is None
    silent(store, 3)
    silent(store, 4)
    assert since(store) is not None
