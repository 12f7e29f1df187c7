"""The busy day of `reminderd demo --desk`: something of everything that a front desk sees."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from reminderd.cli.demo import configured
from reminderd.cli.demo_day import place_of, write_day
from reminderd.cli.sandbox import ACCOUNT_SID
from reminderd.config import rules_of
from reminderd.core.answers import Capabilities
from reminderd.core.model import Status
from reminderd.core.outcomes import Outcome, outcome
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.store.any_engine import open_sync
from reminderd.store.rows import REMINDERS

NOW = datetime(2027, 3, 2, 15, 12, 20, tzinfo=UTC)


def test_the_day_has_something_of_everything(tmp_path: Path) -> None:
    config = configured(tmp_path, "en", ZoneInfo("America/New_York"))
    rules = rules_of(config, provider="twilio", account=ACCOUNT_SID, capabilities=Capabilities(asks_what_to_say=True))
    with open_sync(config.database.target) as connection:
        write_day(connection, NOW, rules)
        rows = connection.execute(f"SELECT {REMINDERS.names} FROM reminders").fetchall()
        acts = {row["act"] for row in connection.execute("SELECT act FROM audit").fetchall()}
    day = [REMINDERS.read(row) for row in rows]
    outcomes = Counter(
        outcome(one.status, one.response, one.end_code, one.hold_code, is_done=one.done_at is not None) for one in day
    )
    assert len(day) == 60
    assert set(outcomes) == set(Outcome) - {Outcome.EXPIRED, Outcome.UNDER_WAY}
    reasons = {one.end_code for one in day if one.status is Status.FAILED}
    assert reasons >= {
        EndCode.REFUSED,
        EndCode.VOICEMAIL,
        EndCode.NOT_ANSWERED,
        EndCode.HUNG_UP,
        EndCode.DECLINED,
        EndCode.PROVIDER_FAILED,
    }
    assert {one.hold_code for one in day} == {None, HoldCode.REDIAL, HoldCode.NUMBER_CHANGED}
    assert acts >= {"add", "cancel", "done", "opt-out", "confirmed", "cancel_requested"}
    assert len({one.phone_number for one in day}) == 60
    soon = [one for one in day if one.status is Status.SCHEDULED and one.scheduled_at <= NOW + timedelta(minutes=2)]
    assert len(soon) >= 4, "there is something to watch at once"
    assert all(one.updated_at is not None and one.updated_at <= NOW for one in day)


@pytest.mark.parametrize("hour", range(24))
@pytest.mark.parametrize("offset", [-10, -5, 0, 1, 5.5, 9, 13])
def test_wherever_and_whenever_it_is_started_it_is_daytime_in_its_clinic(hour: int, offset: float) -> None:
    now, own = datetime(2027, 3, 2, hour, tzinfo=UTC), timedelta(hours=offset)
    wall = now.astimezone(place_of(now, own))
    assert 9 <= wall.hour < 18 or (wall.hour, wall.minute) == (18, 0)
    if 9 <= (now + own).hour < 18:
        assert wall.utcoffset() == own
