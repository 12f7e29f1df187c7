"""What a report has of its days."""

import csv
from datetime import date, timedelta
from io import StringIO
from zoneinfo import ZoneInfo

import pytest

from reminderd.core.outcomes import Figure
from reminderd.databases import Target
from reminderd.staff.report import COLUMNS, days_of, report_csv, report_of
from reminderd.store.opening import open_sync
from reminderd.store.rows import to_ms
from tests.support.builders import NOW
from tests.support.rows import insert_row

pytestmark = pytest.mark.also_on_postgres

BERLIN = ZoneInfo("Europe/Berlin")
DAY = timedelta(days=1)


def test_a_day_of_the_clinic_is_counted_by_its_own_clock_even_when_that_is_changed(target: Target) -> None:
    spring = date(2026, 3, 29)  # 23 hours long in Berlin
    with open_sync(target) as connection:
        for name, at in (
            ("late on the 28th", "2026-03-28 23:30+01:00"),
            ("late on the 29th", "2026-03-29 23:30+02:00"),
        ):
            moment = NOW.fromisoformat(at)
            row = {"id": name, "phone_number": "+4930123456", "message": "Hello", "scheduled_at": to_ms(moment)}
            insert_row(connection, "reminders", row)
        found = days_of(connection, first=spring - DAY, last=spring + DAY, zone=BERLIN)
    assert [(day.day, figures[Figure.OPEN]) for day, figures in found] == [(28, 1), (29, 1), (30, 0)]


def test_a_table_for_a_spreadsheet_may_be_made_in_parts(target: Target) -> None:
    with open_sync(target) as connection:
        for name, at in (("=1+1", NOW), ("b", NOW + DAY)):
            row = {"id": name, "phone_number": "+4930123456", "message": "Hello", "scheduled_at": to_ms(at)}
            insert_row(connection, "reminders", row | {"status": "failed", "last_error": "busy"})
        parts = [
            report_csv(report_of(connection, since=at, until=at + DAY, now=NOW).rows, BERLIN, has_header=at == NOW)
            for at in (NOW, NOW + DAY)
        ]
    rows = list(csv.reader(StringIO("".join(parts))))
    assert rows[0] == list(COLUMNS)
    assert [(row[2], row[5], row[-1]) for row in rows[1:]] == [
        ("2026-03-02 11:00", "busy", "'=1+1"),
        ("2026-03-03 11:00", "busy", "b"),
    ]
