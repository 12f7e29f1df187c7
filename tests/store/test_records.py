from collections.abc import Iterator
from functools import partial

import pytest

from reminderd.core.answers import Accepted
from reminderd.core.sentences import NotAllowedError
from reminderd.databases import Target
from reminderd.store import reminders as acts
from reminderd.store.intake import Source
from reminderd.store.opt_outs import opt_out
from reminderd.store.personal_data import Traces, erase, note_export, personal_data_of, traces_left
from reminderd.store.rows import to_ms
from tests.support.builders import DAY, NOW, a_report
from tests.support.store import Store, a_store, contents

PHONE = "+4930123456"


@pytest.fixture
def store(target: Target) -> Iterator[Store]:
    """Return a store with a reminder called and opted out, one in an odd spelling, and one of another number."""
    with a_store(target) as store:
        store.insert("anna-1", PHONE)
        [action] = store.claim()
        store.answer(action, Accepted("ext-1"))
        report = a_report("completed", reminder_id="anna-1", attempt_id=action.call.id, transcript="Yes.")
        store.report(report)
        store.write(partial(opt_out, phone_number=PHONE, source="key 9", actor="patient", rules=store.rules))
        store.insert("odd", "+49 30 12-34.56", scheduled_at=to_ms(NOW + DAY))
        store.insert("other", "+4930123457", scheduled_at=to_ms(NOW + DAY))
        store.write(partial(acts.cancel, reminder_id="odd", rules=store.rules, source=Source(actor="anna")))
        yield store


def test_a_record_has_everything_stored_about_one_number_only(store: Store) -> None:
    found = personal_data_of(store.connection, phone_number=PHONE)
    assert [reminder["id"] for reminder in found.reminders] == ["anna-1", "odd"]
    assert [call["transcript"] for call in found.calls["anna-1"]] == ["Yes."]
    assert [receipt["call_id"] for receipt in found.receipts["anna-1"]] == ["ext-1"]
    assert [act["act"] for act in found.acts["odd"]] == ["cancel"]
    assert found.opt_out is not None
    assert found.opt_out["source"] == "key 9"
    assert not found.empty


def test_the_record_of_an_unknown_number_is_empty(store: Store) -> None:
    assert personal_data_of(store.connection, phone_number="+4930999999").empty


def test_calls_of_deleted_reminders_are_exported_and_erased(store: Store) -> None:
    store.connection.execute("DELETE FROM reminders WHERE phone_number <> '+4930123457'")
    store.connection.execute("DELETE FROM opt_outs")
    found = personal_data_of(store.connection, phone_number=PHONE)
    assert [call["transcript"] for call in found.other_calls] == ["Yes."]
    assert not found.empty
    assert store.write(partial(erase, phone_number=PHONE, actor="anna")).calls == 1
    assert PHONE not in str(contents(store.connection)["call_logs"])
    assert personal_data_of(store.connection, phone_number=PHONE).empty


def test_calls_of_reminders_with_a_changed_number_are_exported_and_erased(store: Store) -> None:
    store.connection.execute("UPDATE reminders SET phone_number = '+4930123458' WHERE id = 'anna-1'")
    found = personal_data_of(store.connection, phone_number=PHONE)
    assert [call["transcript"] for call in found.other_calls] == ["Yes."]
    assert found.calls == {"odd": []}
    assert personal_data_of(store.connection, phone_number="+4930123458").calls == {"anna-1": []}
    store.write(partial(erase, phone_number=PHONE, actor="anna"))
    assert PHONE not in str(contents(store.connection)["call_logs"])
    assert store.reminder("anna-1").phone_number == "+4930123458"


def test_an_export_leaves_an_audit_line_without_the_number(store: Store) -> None:
    store.write(partial(note_export, phone_number=PHONE, actor="anna"))
    line = store.connection.execute("SELECT * FROM audit ORDER BY id DESC").fetchone()
    assert (line["actor"], line["act"], line["detail"]) == ("anna", "export", "a number that ends in 56")


def test_an_erasure_keeps_the_opt_out_and_anonymous_rows(store: Store) -> None:
    before = contents(store.connection)
    done = store.write(partial(erase, phone_number=PHONE, actor="anna"))
    assert (done.reminders, done.calls, done.opted_out) == (2, 1, True)
    after = contents(store.connection)
    assert [row[0] for row in after["reminders"]] == ["other"]
    assert (after["webhook_receipts"], after["alerts"]) == ([], [])
    assert not any(told in str((after["call_logs"], after["call_reminders"])) for told in (PHONE, "anna-1", "Yes."))
    assert after["opt_outs"] == before["opt_outs"]
    assert after["audit"][:-1] == before["audit"]
    assert after["audit"][-1][2:] == ("anna", "erase", None, "a number that ends in 56: 2 reminders", None)
    assert PHONE not in str(after["audit"])
    assert "12-34" not in str(after)


def test_an_erasure_is_marked_until_the_file_is_rewritten(store: Store) -> None:
    store.write(partial(erase, phone_number=PHONE, actor="anna"))
    assert traces_left(store.connection) is (Traces.FILE if store.connection.leaves_traces else None)


def test_a_number_with_an_open_call_cannot_be_erased(store: Store) -> None:
    store.insert("rings", "+4930123458")
    store.claim()
    before = contents(store.connection)
    with pytest.raises(NotAllowedError, match="a call to this number is under way"):
        store.write(partial(erase, phone_number="+4930123458", actor="anna"))
    store.connection.execute("UPDATE reminders SET status = 'cancelled' WHERE id = 'rings'")
    with pytest.raises(NotAllowedError, match="a call to this number is under way"):
        store.write(partial(erase, phone_number="+4930123458", actor="anna"))
    assert contents(store.connection)["call_logs"] == before["call_logs"]


def test_a_waiting_reminder_is_erased_and_never_called(store: Store) -> None:
    assert store.write(partial(erase, phone_number="+4930123457", actor="anna")).opted_out is False
    store.later(2 * DAY)
    assert store.claims() == []
