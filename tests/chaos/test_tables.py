"""Test that each way to write a table is read as intended, and that each thing that can be spoiled is refused."""

from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest
from attrs import evolve

from reminderd.core.requests import ReminderRequest
from reminderd.core.upsert import Decision, Intake, ReminderCancellation
from reminderd.store.intake import Source
from tests.chaos.front_desk import PHONES
from tests.chaos.imports import Imported, import_table
from tests.chaos.other_programs import Book, Wanted
from tests.chaos.readings import (
    broken_by_a_line,
    broken_by_a_request,
    broken_by_a_table,
    broken_by_refusing,
    broken_by_showing,
)
from tests.chaos.tables import BERLIN, CHOICES, SPOILED, STYLES, Line, Shape, number_of, rendered
from tests.support.builders import MINUTE
from tests.support.store import a_store

PHONE, OTHER, _ = PHONES
AT = datetime(2026, 3, 4, 13, 5, tzinfo=UTC)
NUMBERS = count(1)
LINE = Line(name="r-1", phone_number=PHONE, message="This is r-1. Version 0.", at=AT)


def minted() -> str:
    return f"{next(NUMBERS):032x}"


def imported(lines: list[Line], shape: Shape, folder: Path) -> Imported | None:
    file = folder / "table.csv"
    file.write_bytes(rendered(lines, shape))
    with a_store(folder / "clinic.db") as store:
        return import_table(
            file, store, zone=shape.zone, mint=lambda: f"{next(NUMBERS):032x}", source=Source(actor="staff")
        )


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("language", CHOICES["language"])
def test_a_table_is_read_as_intended(style: str, language: str, tmp_path: Path) -> None:
    dice = Random(f"{style} in {language}")
    others = {name: dice.choice(some) for name, some in CHOICES.items()}
    shape = Shape(**(others | {"style": style, "language": language, "encoding": "utf-8", "proves_order": True}))
    spoiled = [evolve(LINE, name=f"spoiled-{place}", spoiled=one) for place, one in enumerate(SPOILED)]
    abroad = evolve(LINE, name="abroad", until=AT + 90 * MINUTE, timezone="America/New_York")
    lines = [LINE, abroad, *spoiled, evolve(LINE, name="over", phone_number=OTHER, is_called_off=True)]

    done = imported(lines, shape, tmp_path)

    assert done is not None
    assert list(broken_by_a_table(lines, shape, done)) == []
    places = {line.name: number_of(place, shape) for place, line in enumerate(lines)}
    for line in (LINE, abroad):
        read, decision = done.taken[places[line.name]]
        assert isinstance(read, ReminderRequest)
        assert (read.ref, read.phone_number, read.message) == (line.name, PHONE, LINE.message)
        assert (read.scheduled_at, read.expires_at, read.timezone) == (AT, line.until, line.timezone)
        assert decision.intake is Intake.ADDED
    assert isinstance(done.taken[places["over"]][0], ReminderCancellation)


@pytest.mark.parametrize("style", ["day first", "month first", "two columns, day first"])
def test_a_table_with_only_ambiguous_dates_is_refused(style: str, tmp_path: Path) -> None:
    assert imported([LINE], Shape(style=style, proves_order=False), tmp_path) is None


# Each promise that the histories check is broken once


def test_an_invalid_line_that_is_accepted_is_reported() -> None:
    lines, shape = [evolve(LINE, spoiled="midnight")], Shape()
    request: Any = None
    done = Imported(taken={number_of(0, shape): (request, Decision(Intake.ADDED))})
    assert list(broken_by_a_table(lines, shape, done)) == ["r-1: taken from a table in spite of midnight"]
    assert list(broken_by_a_table(lines, shape, Imported())) == []


def test_a_valid_line_that_is_rejected_or_lost_is_reported() -> None:
    shape = Shape()
    refused = Imported(unreadable={number_of(0, shape): "no such hour"})
    assert list(broken_by_a_table([LINE], shape, refused)) == ["r-1: no such hour, though nothing is wrong with it"]
    assert list(broken_by_a_table([LINE], shape, Imported())) == ["r-1: lost, though nothing is wrong with it"]


def test_a_request_with_a_wrong_result_is_reported() -> None:
    spoiled = evolve(LINE, spoiled="an extension")
    assert "an extension" in "".join(broken_by_a_request([LINE, spoiled], BERLIN, is_read=True))
    assert "nothing is wrong" in "".join(broken_by_a_request([LINE], BERLIN, is_read=False))
    assert list(broken_by_a_request([spoiled], BERLIN, is_read=False)) == []
    assert list(broken_by_a_request([LINE], BERLIN, is_read=True)) == []


def a_former(**changes: Any) -> Wanted:
    former = Book().new("r-1", PHONE, AT, ref="r-1")
    for name, value in changes.items():
        setattr(former, name, value)
    return former


@pytest.mark.parametrize(
    ("line", "intake", "former", "sentence"),
    [
        (evolve(LINE, is_called_off=True), Intake.ADDED, None, "by a line that calls it off"),
        (LINE, Intake.CANCELLED, a_former(), "by a line that does not say so"),
        (evolve(LINE, is_called_off=True), Intake.CANCELLED, a_former(phone_number=OTHER), "about another number"),
        (LINE, Intake.CHANGED, a_former(phone_number=OTHER), "nobody is asked"),
        (LINE, Intake.CHANGED, a_former(is_cancelled=True), "though it is cancelled"),
    ],
)
def test_a_line_with_a_forbidden_effect_is_reported(
    line: Line, intake: Intake, former: Wanted | None, sentence: str
) -> None:
    assert sentence in "; ".join(broken_by_a_line(line, intake, former))
    assert list(broken_by_a_line(LINE, Intake.HELD, a_former(phone_number=OTHER))) == []


def test_a_line_rejected_as_too_late_before_its_limit_is_reported() -> None:
    assert "and it is not" in "".join(broken_by_refusing(LINE, Intake.TOO_LATE, AT, AT - MINUTE))
    assert list(broken_by_refusing(LINE, Intake.TOO_LATE, AT, AT)) == []
    assert list(broken_by_refusing(LINE, Intake.ADDED, AT, AT - MINUTE)) == []


def test_a_reminder_shown_with_wrong_values_is_reported() -> None:
    assert list(broken_by_showing(a_former(), (PHONE, AT))) == []
    for shown in (None, (OTHER, AT), (PHONE, AT.replace(hour=9))):
        assert list(broken_by_showing(a_former(), shown)) == ["r-1: not shown as the clinic has written it"]
