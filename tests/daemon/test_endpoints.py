"""The provider's webhooks with the database behind them, when that can't be written."""

from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from reminderd.core.answers import Report
from reminderd.daemon.endpoints import Settling
from reminderd.engine.breaker import Breaker
from reminderd.store.database import open_database
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.sqlite.driver import connect
from tests.support.clock import HandClock
from tests.support.nouns import RULES


async def test_a_request_that_can_not_be_recorded_still_shows_that_our_address_was_reached(tmp_path: Path) -> None:
    path, breaker = tmp_path / "reminderd.db", Breaker(RULES.backoff)
    asks = Report(external_call_id="ext-1", status="in-progress", attempt_id="call-1")
    async with open_database(path, HandClock(), busy_timeout=timedelta(milliseconds=50)) as database:
        settling = Settling(database=database, rules=RULES, breaker=breaker, knows_one_call=False)
        with closing(connect(str(path), isolation_level=None)) as another:
            another.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailableError):
                await settling.pick_up(asks)
            another.execute("ROLLBACK")
    assert breaker.address.asked_in_vain
