"""Each column with personal data is emptied by the purge, by an erasure, and in what a late report would bring back.

A new column belongs into one of the two lists below, so that nobody forgets to think of it.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from attrs import evolve

from reminderd.core.masking import mask_numbers
from reminderd.core.model import ERASED, Call
from reminderd.databases import Target
from reminderd.store.personal_data import Place, erase, purge_batch
from reminderd.store.rows import APPOINTMENTS, CALLS, REMINDERS, StoredTable, to_ms
from tests.support.builders import DAY, NOW
from tests.support.rows import insert_call, insert_row
from tests.support.store import Store, a_store, column_names

PHONE = "+12025554711"
MARK = f"Erika of {PHONE}"
LONG_AGO = NOW - 60 * DAY

PERSONAL = {
    "reminders": {"phone_number", "message", "former_number", "last_error"},
    "appointments": {"phone_number", "patient_ref", "name", "former_number", "last_error"},
    "call_logs": {"phone_number", "transcript", "answered_by", "error"},
}
"""What a patient could be known by: see store/personal_data.py, and for calls store/erased.py and `Call.storable`."""

NOT_PERSONAL = {
    "reminders": {
        "id", "ref", "scheduled_at", "expires_at", "timezone", "language", "appointment_id", "status", "response",
        "wake_at", "retry_at", "attempts", "tries", "again_until", "again_seq", "hold_code", "end_code", "ended_at",
        "done_at", "planned_at", "cadence", "source", "revision", "created_at", "updated_at",
    },
    "appointments": {
        "id", "ref", "at", "timezone", "type", "template", "language", "provider", "place", "status", "response",
        "source", "wake_at", "planned_at", "end_code", "revision", "created_at", "updated_at",
    },
    "call_logs": {
        "seq", "id", "reminder_id", "provider", "account", "state", "status", "outcome", "external_call_id", "requests",
        "checks", "evidence", "adopted", "lease_token", "wake_at", "last_sign_at", "fetched_at", "hung_up_at",
        "duration_seconds", "sip_response_code", "error_code", "created_at", "updated_at", "received_at",
    },
}  # fmt: skip
"""Names of the clinic's own, which it chooses without personal data, and everything else."""

SENTENCES = {"last_error", "error"}
"""Sentences stay when they are purged, with phone numbers masked."""


@pytest.fixture
def store(target: Target) -> Iterator[Store]:
    with a_store(target) as store:
        yield store


def fill(store: Store) -> None:
    """Write an appointment, its reminder and a call that ended long ago, with something in each personal column."""
    old = {"created_at": to_ms(LONG_AGO), "updated_at": to_ms(LONG_AGO)}

    def marked(table: str) -> dict[str, Any]:
        return dict.fromkeys(PERSONAL[table], MARK) | old | {"phone_number": PHONE}

    appointment = {"id": "a1", "at": to_ms(LONG_AGO), "planned_at": to_ms(LONG_AGO), "revision": 1}
    insert_row(store.connection, "appointments", marked("appointments") | appointment)
    reminder = {"id": "r1", "scheduled_at": to_ms(LONG_AGO), "status": "called", "appointment_id": "a1"}
    insert_row(store.connection, "reminders", marked("reminders") | reminder)
    call = marked("call_logs") | {"last_sign_at": to_ms(store.now)}  # a limit still counts it
    insert_call(store.connection, "r1", spoken=True, **call)


def left(store: Store, table: str) -> dict[str, Any]:
    [row] = store.connection.execute(f"SELECT {', '.join(sorted(PERSONAL[table]))} FROM {table}").fetchall()
    return dict(row)


@pytest.mark.parametrize("table", [REMINDERS, APPOINTMENTS, CALLS])
def test_of_each_column_it_is_known_whether_it_is_personal(store: Store, table: StoredTable[Any]) -> None:
    columns = column_names(store.connection, table.name)
    personal, others = PERSONAL[table.name], NOT_PERSONAL[table.name]
    assert columns == personal | others, "a new column belongs into one of the lists of this file"
    assert not personal & others


@pytest.mark.parametrize("table", list(PERSONAL))
def test_a_purge_empties_every_personal_column(store: Store, table: str) -> None:
    fill(store)
    place: Place | None = Place()
    while place is not None:
        batch = partial(purge_batch, before=NOW - 30 * DAY, place=place, actor="anna", cleaned=mask_numbers)
        place = store.write(batch).reached
    for name, value in left(store, table).items():
        if name in SENTENCES:
            assert value == mask_numbers(MARK)
        else:
            assert not value, name


def test_an_erasure_leaves_no_personal_column_of_a_call(store: Store) -> None:
    fill(store)
    store.write(partial(erase, phone_number=PHONE, actor="anna"))
    found = left(store, "call_logs")
    assert found.pop("phone_number").startswith(ERASED)
    assert found == dict.fromkeys(found)


def test_a_late_report_brings_back_no_personal_column_of_a_call(store: Store) -> None:
    fill(store)
    [call] = store.calls()
    assert not call.anonymous
    nothing: dict[str, Any] = dict.fromkeys(PERSONAL["call_logs"] - {"phone_number"})
    emptied = evolve(call, phone_number="", **nothing)
    late: Call = evolve(call, phone_number="").storable
    store.connection.execute("UPDATE call_logs SET transcript = NULL, answered_by = NULL, error = NULL")
    CALLS.update(store.connection, emptied, late, updated_at=NOW)
    found = left(store, "call_logs")
    assert found.pop("phone_number") == PHONE, "it is never written again"
    assert found.pop("error") == mask_numbers(MARK)
    assert not any(found.values()), found
