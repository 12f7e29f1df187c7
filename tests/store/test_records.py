from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from reminderd.core.answers import Accepted
from reminderd.core.lifecycle.staff import NotAllowedError
from reminderd.store import reminders as acts
from reminderd.store.opt_outs import opt_out
from reminderd.store.personal_data import Traces, erase, note_export, record, unscrubbed
from reminderd.store.rows import to_ms
from tests.support.builders import DAY, NOW, a_report
from tests.support.store import Desk, a_desk, contents

PHONE = "+4930123456"


@pytest.fixture
def desk(path: Path) -> Iterator[Desk]:
    """A reminder that was rung and opted out by its patient, one in an odd spelling, and one of somebody else."""
    with a_desk(path) as desk:
        desk.insert("rung", PHONE)
        [action] = desk.claim()
        desk.answer(action, Accepted("ext-1"))
        report = a_report("completed", reminder_id="rung", attempt_id=action.call.id, transcript="Yes.")
        desk.report(report)
        desk.write(partial(opt_out, phone_number=PHONE, source="key 9", actor="patient", rules=desk.rules))
        desk.insert("odd", "+49 30 12-34.56", scheduled_at=to_ms(NOW + DAY))
        desk.insert("other", "+4930123457", scheduled_at=to_ms(NOW + DAY))
        desk.write(partial(acts.cancel, reminder_id="odd", rules=desk.rules, source=acts.Source(actor="anna")))
        yield desk


def test_a_record_has_all_that_is_kept_of_a_number_and_nothing_of_others(desk: Desk) -> None:
    found = record(desk.connection, phone_number=PHONE)
    assert [reminder["id"] for reminder in found.reminders] == ["rung", "odd"]
    assert [call["transcript"] for call in found.calls["rung"]] == ["Yes."]
    assert [receipt["call_id"] for receipt in found.receipts["rung"]] == ["ext-1"]
    assert [act["act"] for act in found.acts["odd"]] == ["cancel"]
    assert found.opt_out is not None
    assert found.opt_out["source"] == "key 9"
    assert not found.empty


def test_of_a_number_that_nobody_knows_nothing_is_kept(desk: Desk) -> None:
    assert record(desk.connection, phone_number="+4930999999").empty


def test_calls_whose_reminder_was_deleted_are_in_the_record_and_are_erased(desk: Desk) -> None:
    desk.connection.execute("DELETE FROM reminders WHERE phone_number <> '+4930123457'")
    desk.connection.execute("DELETE FROM opt_outs")
    found = record(desk.connection, phone_number=PHONE)
    assert [call["transcript"] for call in found.other_calls] == ["Yes."]
    assert not found.empty
    assert desk.write(partial(erase, phone_number=PHONE, actor="anna")).calls == 1
    assert PHONE not in str(contents(desk.connection)["call_logs"])
    assert record(desk.connection, phone_number=PHONE).empty


def test_so_are_calls_whose_reminder_has_another_number_now(desk: Desk) -> None:
    desk.connection.execute("UPDATE reminders SET phone_number = '+4930123458' WHERE id = 'rung'")
    found = record(desk.connection, phone_number=PHONE)
    assert [call["transcript"] for call in found.other_calls] == ["Yes."]
    assert found.calls == {"odd": []}
    assert record(desk.connection, phone_number="+4930123458").calls == {"rung": []}
    desk.write(partial(erase, phone_number=PHONE, actor="anna"))
    assert PHONE not in str(contents(desk.connection)["call_logs"])
    assert desk.reminder("rung").phone_number == "+4930123458"


def test_an_export_leaves_a_line_without_the_number(desk: Desk) -> None:
    desk.write(partial(note_export, phone_number=PHONE, actor="anna"))
    line = desk.connection.execute("SELECT * FROM audit ORDER BY id DESC").fetchone()
    assert (line["actor"], line["act"], line["detail"]) == ("anna", "export", "a number that ends in 56")


def test_an_erased_number_leaves_its_opt_out_and_what_names_no_patient(desk: Desk) -> None:
    before = contents(desk.connection)
    done = desk.write(partial(erase, phone_number=PHONE, actor="anna"))
    assert (done.reminders, done.calls, done.opted_out) == (2, 1, True)
    after = contents(desk.connection)
    assert [row[0] for row in after["reminders"]] == ["other"]
    assert (after["webhook_receipts"], after["alerts"]) == ([], [])
    assert not any(told in str((after["call_logs"], after["call_reminders"])) for told in (PHONE, "rung", "Yes."))
    assert after["opt_outs"] == before["opt_outs"]
    assert after["audit"][:-1] == before["audit"]
    assert after["audit"][-1][2:] == ("anna", "erase", None, "a number that ends in 56: 2 reminders")
    assert PHONE not in str(after["audit"])
    assert "12-34" not in str(after)


def test_an_erasure_is_marked_until_the_file_is_written_anew(desk: Desk) -> None:
    desk.write(partial(erase, phone_number=PHONE, actor="anna"))
    assert unscrubbed(desk.connection) is Traces.FILE


def test_a_number_with_an_open_call_is_not_erased(desk: Desk) -> None:
    desk.insert("rings", "+4930123458")
    desk.claim()
    before = contents(desk.connection)
    with pytest.raises(NotAllowedError, match="a call to this number is under way"):
        desk.write(partial(erase, phone_number="+4930123458", actor="anna"))
    desk.connection.execute("UPDATE reminders SET status = 'cancelled' WHERE id = 'rings'")
    with pytest.raises(NotAllowedError, match="a call to this number is under way"):
        desk.write(partial(erase, phone_number="+4930123458", actor="anna"))
    assert contents(desk.connection)["call_logs"] == before["call_logs"]


def test_one_that_waits_is_erased_too_and_never_rung(desk: Desk) -> None:
    assert desk.write(partial(erase, phone_number="+4930123457", actor="anna")).opted_out is False
    desk.later(2 * DAY)
    assert desk.claims() == []
