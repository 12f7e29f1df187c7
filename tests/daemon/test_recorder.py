"""Webhooks are recorded in the database, and answered when they can't be."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio
from loguru import logger

from reminderd.config import Config
from reminderd.core.answers import Report
from reminderd.core.lifecycle.keypress import CALL_NOT_NEEDED, Key
from reminderd.core.script.prompts import Question
from reminderd.daemon.cluster import membership
from reminderd.daemon.recorder import DatabaseRecorder, note_answer
from reminderd.daemon.setup import DaemonState, Options, set_up
from reminderd.databases import SqliteFile
from reminderd.engine.breaker import Breaker
from reminderd.engine.context import Memory
from reminderd.instruments import Instruments
from reminderd.providers.base import Recorder, Route, Webhook
from reminderd.providers.generic.webhooks import routes
from reminderd.store.database import open_database
from reminderd.store.errors import StoreUnavailableError, UnknownReminderError
from reminderd.store.sqlite.driver import connect
from reminderd.web.server import bind, serve
from tests.support.builders import NOW, RULES
from tests.support.clock import HandClock
from tests.support.engine import FakeProvider
from tests.support.waiting import PATIENCE
from tests.support.web_server import PATH, PAYLOAD

REPORT = Report(external_call_id="ext-1", status="in-progress", attempt_id="call-1")
KEY = Key(digits="1", question=Question.MENU, repeats=0)


class ReceivingProvider(FakeProvider):
    """Accepts every webhook of the generic contract as verified."""

    forged_status = 401

    async def check_account(self) -> list[str]:
        return []

    def verified(self, webhook: Webhook) -> bool:
        return webhook.body != b""

    def routes(self, recorder: Recorder) -> list[Route]:
        return routes(recorder)


@asynccontextmanager
async def a_recorder(path: Path, *, knows_one_call: bool = False) -> AsyncIterator[DatabaseRecorder]:
    async with open_database(SqliteFile(path), HandClock(), busy_timeout=timedelta(milliseconds=50)) as database:
        yield DatabaseRecorder(
            database=database,
            rules=RULES,
            breaker=Breaker(RULES.backoff),
            knows_one_call=knows_one_call,
        )


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the database's write lock, as another program does."""
    with closing(connect(str(path), isolation_level=None)) as another:
        another.execute("BEGIN IMMEDIATE")
        yield
        another.execute("ROLLBACK")


@pytest.mark.parametrize(("status", "is_noted"), [(200, False), (204, False), (401, False), (408, True), (503, True)])
def test_a_webhook_answered_with_an_error_still_proves_that_our_address_works(status: int, *, is_noted: bool) -> None:
    address = Breaker(RULES.backoff).address
    note_answer(status, address)
    assert address.asked_without_answer is is_noted


async def test_the_daemon_remembers_a_webhook_that_it_could_not_record(tmp_path: Path) -> None:
    path, stopping = tmp_path / "reminderd.db", trio.Event()
    async with (
        open_database(SqliteFile(path), HandClock(), busy_timeout=timedelta(milliseconds=50)) as database,
        trio.open_nursery() as nursery,
    ):
        daemon = DaemonState(
            options=Options(only="web"),
            clock=HandClock(),
            database=database,
            instruments=Instruments(),
            memory=Memory(breaker=Breaker(RULES.backoff), beat=0.0),
            client=lambda *_args, **_options: ReceivingProvider(),
            stopping=stopping,
            started_at=NOW,
            membership=membership(database, HandClock(), part="web"),
        )
        setup = set_up(Config(), daemon)
        with bind("127.0.0.1", 0) as listener:
            url = await nursery.start(partial(serve, setup.app, listener, shutdown_trigger=stopping.wait))
            async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
                with locked(path):
                    assert (await client.post(PATH, content=PAYLOAD)).status_code == 503
            stopping.set()
        assert daemon.memory.breaker.address.asked_without_answer


async def test_a_webhook_that_cannot_be_recorded_must_be_sent_again(tmp_path: Path) -> None:
    path = tmp_path / "reminderd.db"
    async with a_recorder(path) as recorder:
        with locked(path), pytest.raises(StoreUnavailableError):
            await recorder.pick_up(REPORT)


async def test_a_person_in_an_unknown_call_hears_that_it_is_no_longer_needed(tmp_path: Path) -> None:
    async with a_recorder(tmp_path / "reminderd.db") as recorder:
        assert (await recorder.pick_up(REPORT)).reply == CALL_NOT_NEEDED
        assert (await recorder.press(REPORT, KEY)).reply == CALL_NOT_NEEDED
        with pytest.raises(UnknownReminderError):
            await recorder.report(REPORT)


async def test_a_process_for_one_call_leaves_all_others_to_the_daemon(tmp_path: Path) -> None:
    async with a_recorder(tmp_path / "reminderd.db", knows_one_call=True) as recorder:
        with pytest.raises(StoreUnavailableError):
            await recorder.pick_up(REPORT)
        with pytest.raises(StoreUnavailableError):
            await recorder.report(REPORT)


async def test_a_fallback_is_spoken_even_if_it_cannot_be_recorded(tmp_path: Path) -> None:
    path, lines = tmp_path / "reminderd.db", list[str]()
    async with a_recorder(path) as recorder:
        sink = logger.add(lines.append, format="{message}")
        with locked(path):
            await recorder.unspoken("call-1")
        logger.remove(sink)
    assert lines[0].startswith("not recorded that our answer to the call call-1 could not be used: ")
