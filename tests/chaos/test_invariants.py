"""Test that the checker reports each broken promise, in a clinic where all was well before."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from attrs import define, evolve

from reminderd.providers.base import placement_of
from tests.chaos.invariants import Expectations, broken
from tests.chaos.record import Ring
from tests.chaos.simulated import PLACED, SimulatedProvider
from tests.chaos.snapshot import snapshot_of
from tests.support.builders import MINUTE, NOW, RULES
from tests.support.store import Store, a_store

SETTLED: Final = Expectations(now=NOW + MINUTE, settled=True)
RUNNING: Final = Expectations(now=NOW + MINUTE)


@define
class Clinic:
    """A reminder `r1`, which was called and reached, and a second one, `r2`, whose call is not over."""

    store: Store
    provider: SimulatedProvider

    def rings(self) -> Ring:
        """Call every reminder that is due."""
        [action] = self.store.claim()
        placement = placement_of(action)
        self.store.answer(action, self.provider.place(placement, PLACED, self.store.now, committed=True))
        return self.provider.record.rings[-1]

    def reports(self, ring: Ring, word: str) -> None:
        self.provider.ends(ring, word)
        self.store.report(self.provider.tells(ring))
        ring.note_acknowledgment(self.provider.record.moment())

    def sql(self, *statements: str) -> None:
        for statement in statements:
            self.store.connection.execute(statement)

    @property
    def first(self) -> Ring:
        return self.provider.record.rings[0]

    @property
    def second(self) -> Ring:
        return self.provider.record.rings[1]

    def rang(self, *keys: str, reminder_id: str = "r1") -> None:
        """Note further phones that rang, with these keys."""
        record = self.provider.record
        record.rings += [Ring(key=k, reminder_id=reminder_id, call_id=k, at=record.moment()) for k in keys]


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    with a_store(tmp_path / "clinic.db") as store:
        clinic = Clinic(store, SimulatedProvider(capabilities=RULES.capabilities))
        store.insert("r1")
        clinic.reports(clinic.rings(), "completed")
        store.insert("r2", "+12025550002")
        clinic.rings()
        yield clinic


def test_a_normal_day_keeps_every_promise(clinic: Clinic) -> None:
    former = snapshot_of(clinic.store.connection)
    assert broken(clinic.provider.record, clinic.store.connection, RUNNING) == []
    clinic.reports(clinic.second, "failed")
    assert broken(clinic.provider.record, clinic.store.connection, SETTLED, former) == []


def order(clinic: Clinic, **changes: Any) -> None:
    clinic.provider.record.orders[0] = evolve(clinic.provider.record.orders[0], **changes)


BREAKS: Final[dict[str, tuple[Callable[[Clinic], object], str]]] = {
    "one key called twice": (lambda c: c.rang(c.first.key), "the phone rang 2 times for one call"),
    "called again after it was reached": (lambda c: c.rang("other"), "r1: called again after the patient was reached"),
    "called again on a guess": (lambda c: c.rang("other", reminder_id="r2"), "r2: called again 1 times while"),
    "called too often": (lambda c: c.rang("a", "b", "c", reminder_id="r2"), "r2: called 4 times"),
    "asked before the commit": (lambda c: order(c, committed=False), "asked to be placed before the call was in"),
    "another number": (lambda c: order(c, phone_number="+12025550199"), "asked for another number or message"),
    "called without a row": (lambda c: c.rang("other"), "other: rang without a row of its own in call_logs"),
    "called though refused": (
        lambda c: c.sql("UPDATE call_logs SET state = 'refused', wake_at = NULL WHERE reminder_id = 'r2'"),
        "is refused, but the phone rang",
    ),
    "a reminder gone": (lambda c: c.sql("DELETE FROM reminders WHERE id = 'r2'"), "r2: called, and gone from"),
    "an end not kept": (
        lambda c: c.sql("UPDATE call_logs SET received_at = NULL WHERE reminder_id = 'r1'"),
        "its end (completed) was reported and taken, but is not on the call",
    ),
    "a transcript lost": (lambda c: c.sql("UPDATE call_logs SET transcript = NULL"), "its transcript is lost"),
    "heard, but not called": (
        lambda c: c.sql("UPDATE reminders SET status = 'failed', last_error = '' WHERE id = 'r1'"),
        "r1: heard, but failed",
    ),
    "called, but not heard": (
        lambda c: c.sql("UPDATE reminders SET status = 'called' WHERE id = 'r2'"),
        "r2: called, but nobody heard it",
    ),
    "a waiting reminder that is forgotten": (
        lambda c: c.sql(
            "UPDATE reminders SET status = 'scheduled', wake_at = NULL, revision = 9 WHERE id = 'r2'",
            "UPDATE call_logs SET state = 'ended', wake_at = NULL WHERE reminder_id = 'r2'",
        ),
        "r2: scheduled, and nobody will look",
    ),
    "a member gone": (lambda c: c.sql("DELETE FROM call_reminders"), "said r1, and has no such member"),
    "final without a reason": (
        lambda c: c.sql("UPDATE reminders SET status = 'failed', revision = 9 WHERE id = 'r2'"),
        "r2: failed with the reason None: None",
    ),
    "nobody knows, and staff are told something else": (
        lambda c: c.sql(
            "UPDATE call_logs SET state = 'unreported', wake_at = NULL WHERE reminder_id = 'r2'",
            "UPDATE reminders SET status = 'failed', end_code = 'refused', last_error = '' WHERE id = 'r2'",
        ),
        "r2: nobody knows whether it was called, and staff are told: refused",
    ),
    "two open calls": (
        lambda c: c.sql(
            "DROP INDEX call_logs_one_open_call",
            "INSERT INTO call_logs (reminder_id, phone_number, state, wake_at, last_sign_at)"
            " VALUES ('r2', '+12025550002', 'placed', 1, 1)",
        ),
        "+12025550002: two open calls",
    ),
    "dialing under no lease": (
        lambda c: c.sql("UPDATE call_logs SET state = 'dialing' WHERE reminder_id = 'r2'"),
        "dialing under no lease",
    ),
    "closed, but leased": (
        lambda c: c.sql("UPDATE call_logs SET lease_token = 'x' WHERE reminder_id = 'r1'"),
        "ended, but leased",
    ),
    "processing without a call": (
        lambda c: c.sql("UPDATE call_logs SET state = 'unreported', wake_at = NULL WHERE reminder_id = 'r2'"),
        "r2: processing, and no call is alive",
    ),
    "an id of nobody's on a call": (
        lambda c: c.sql("UPDATE call_logs SET external_call_id = 'x' WHERE reminder_id = 'r2'"),
        "has an id that the provider never gave it",
    ),
    "ended, but never reported": (
        lambda c: c.sql("UPDATE call_logs SET status = 'busy' WHERE reminder_id = 'r2'"),
        "busy, but nobody reported it",
    ),
    "an end without a receipt": (
        lambda c: c.sql("DELETE FROM webhook_receipts"),
        "its end was taken without a receipt",
    ),
    "a receipt for another end": (
        lambda c: c.sql("UPDATE webhook_receipts SET status = 'busy'"),
        "ext-0: a receipt for busy, but the provider's first report was",
    ),
    "a broken reference": (
        lambda c: c.sql(
            "CREATE TABLE clinics_own (call_id TEXT REFERENCES call_logs (id))",
            "PRAGMA foreign_keys = OFF",
            "INSERT INTO clinics_own VALUES ('x')",
        ),
        "refers to a missing row of call_logs",
    ),
    "a complaint of the provider's": (
        lambda c: c.provider.record.complaints.append("a webhook was answered with 500"),
        "a webhook was answered with 500",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_each_broken_promise_is_found(clinic: Clinic, name: str) -> None:
    breaks, sentence = BREAKS[name]
    breaks(clinic)
    assert has(broken(clinic.provider.record, clinic.store.connection, RUNNING), sentence)


UNSETTLED: Final[dict[str, tuple[Callable[[Clinic], object], str]]] = {
    "not final": (lambda _: None, "r2: still processing when all was over"),
    "a call alive": (lambda _: None, "r2: a call is still alive when all was over"),
    "dialing past its lease": (
        lambda c: c.sql(
            "UPDATE call_logs SET state = 'dialing', lease_token = 'x', wake_at = 1 WHERE reminder_id = 'r2'"
        ),
        "dialing past its lease",
    ),
    "unknown, but not told so": (
        lambda c: c.sql("UPDATE reminders SET status = 'failed', end_code = 'refused' WHERE id = 'r2'"),
        "r2: its last call's end is unknown, but it is failed: refused",
    ),
    "manually, although it could be known": (
        lambda c: c.sql("UPDATE reminders SET status = 'failed', end_code = 'unconfirmed' WHERE id = 'r2'"),
        "r2: to be called manually, but the provider would have reported that it rang",
    ),
    "ended, and never asked about": (
        lambda c: c.provider.ends(c.second, "completed"),
        "its end (completed) was reported and taken, but is not on the call",
    ),
}


@pytest.mark.parametrize("name", UNSETTLED)
def test_temporary_states_must_not_last_to_the_end(clinic: Clinic, name: str) -> None:
    breaks, sentence = UNSETTLED[name]
    breaks(clinic)
    record, connection = clinic.provider.record, clinic.store.connection
    assert not has(broken(record, connection, evolve(RUNNING, tells_all=True)), sentence)
    assert has(broken(record, connection, evolve(SETTLED, tells_all=True)), sentence)


CHANGES: Final[dict[str, tuple[str, str]]] = {
    "a reminder gone": ("DELETE FROM reminders WHERE id = 'r1'", "r1: gone from the database"),
    "called no more": ("UPDATE reminders SET status = 'failed' WHERE id = 'r1'", "r1: was called, is failed"),
    "a call gone": ("DELETE FROM call_logs WHERE reminder_id = 'r1'", "gone from call_logs"),
    "another end": ("UPDATE call_logs SET status = 'busy' WHERE reminder_id = 'r1'", "had ended as completed, is busy"),
    "another transcript": ("UPDATE call_logs SET transcript = 'x'", "its transcript has changed"),
    "a receipt gone": ("DELETE FROM webhook_receipts", "ext-0: its receipt has changed"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_rows_that_must_not_change_are_compared(clinic: Clinic, name: str) -> None:
    former = snapshot_of(clinic.store.connection)
    statement, sentence = CHANGES[name]
    clinic.sql(statement)
    assert has(broken(clinic.provider.record, clinic.store.connection, RUNNING, former), sentence)


def test_only_staff_can_change_a_final_reminder(clinic: Clinic) -> None:
    clinic.reports(clinic.second, "failed")
    former = snapshot_of(clinic.store.connection)
    clinic.sql(
        "UPDATE reminders SET status = 'scheduled', wake_at = 1, end_code = NULL, last_error = NULL WHERE id = 'r2'"
    )
    record, connection = clinic.provider.record, clinic.store.connection
    assert has(broken(record, connection, RUNNING, former), "r2: was failed, is scheduled")
    assert broken(record, connection, evolve(RUNNING, called_again={"r2": 1}), former) == []


def test_a_patient_who_pressed_a_key_is_reached_and_not_called_again(clinic: Clinic) -> None:
    record, connection = clinic.provider.record, clinic.store.connection
    answered = evolve(RUNNING, answered={"r2": record.moment()})
    assert has(broken(record, connection, answered), "r2: answered by a key, but processing")
    assert not has(broken(record, connection, evolve(answered, cancelled=frozenset({"r2"}))), "answered by a key, but")
    clinic.sql("UPDATE reminders SET status = 'called' WHERE id = 'r2'")
    assert broken(record, connection, answered) == []
    clinic.rang("other", reminder_id="r2")
    assert has(broken(record, connection, answered), "r2: called again after the patient had answered by a key")


def test_a_voicemail_that_does_not_count_may_be_followed_by_another_call(clinic: Clinic) -> None:
    record, connection = clinic.provider.record, clinic.store.connection
    clinic.first.answered_by = "machine_start"
    strict = evolve(RUNNING, voicemail_is_reached=False)
    assert has(broken(record, connection, strict), "r1: called, but nobody heard it")
    clinic.rang("other")
    assert has(broken(record, connection, RUNNING), "r1: called again after the patient was reached")
    assert not has(broken(record, connection, strict), "called again")


def has(sentences: list[str], wanted: str) -> bool:
    return any(wanted in sentence for sentence in sentences)
