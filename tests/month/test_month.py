"""Compare a simulated month of a clinic with an oracle that knows only the documents.

`REMINDERD_MONTHS=20` plays as many months, each with its own seed; on PostgreSQL, `REMINDERD_DAYS_ON_POSTGRES`
is the number of days that are played.
"""

import os
from datetime import date
from pathlib import Path

import pytest

from reminderd.databases import SqliteFile, Target
from tests.month.clinic import Clinic
from tests.month.oracle import End, broken
from tests.month.patients import Mood
from tests.month.practice import A_DAY, Kind

MONTHS = int(os.environ.get("REMINDERD_MONTHS", "1"))
DAYS = 30
DAYS_ON_POSTGRES = int(os.environ.get("REMINDERD_DAYS_ON_POSTGRES", "5"))

SEASONS = (
    (date(2026, 2, 23), date(2026, 3, 17)),  # the clock is put forward on March 8
    (date(2026, 10, 19), date(2026, 11, 11)),  # and put back on November 1
)
"""The first day of a month, and a holiday in it."""


@pytest.mark.also_on_postgres
@pytest.mark.parametrize("seed", range(MONTHS))
def test_a_month_keeps_every_promise(tmp_path: Path, target: Target, seed: int) -> None:
    first, holiday = SEASONS[seed % len(SEASONS)]
    days = DAYS if isinstance(target, SqliteFile) else DAYS_ON_POSTGRES
    clinic = Clinic(folder=tmp_path, target=target, seed=seed, days=days, first=first, holiday=holiday)
    until = clinic.passes()
    found = [*clinic.patients.wrong, *broken(clinic.house, clinic.month, until=until)]
    assert not found, f"seed {seed}: {len(found)} are broken:\n" + "\n".join(found[:30])
    assert len(clinic.month.rings) > days * A_DAY * (1 if days == DAYS else 0.5), "hardly anybody was called"
    if days < DAYS:
        return  # not all of the following happens so soon
    assert clinic.happened["refused files"] == 1, "only the file that was cut short is refused"
    assert clinic.patients.moods == set(Mood)
    assert clinic.practice.happened.keys() == set(Kind)
    assert {ring.end for ring in clinic.month.rings} == set(End)
    assert (
        min(clinic.happened[one] for one in ("kills", "outages", "killed in an import", "killed after an import")) > 0
    )
    assert clinic.happened["forgotten answers"] > 0
    assert clinic.patients.dropped > 0, "no call was dropped while it rang"
