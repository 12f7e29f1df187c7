"""Logging in, over a real database and with real hashes."""

import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from unicodedata import normalize

import pytest
import trio
from argon2 import PasswordHasher
from loguru import logger
from pyotp import TOTP

from reminderd.core.logins import Role
from reminderd.core.wrong_tokens import client_address
from reminderd.databases import SqliteFile
from reminderd.desk import credentials
from reminderd.desk.credentials import MOST_WAITING, LogInAttempt, LogInRefused, LogIns, RefusalCode
from reminderd.passwords import hash_password, matches_hash
from reminderd.store.database import Database, open_database, open_reader
from reminderd.store.users import Secrets, add_user, digest_of, remove_user, session_of
from tests.support.clock import HandClock
from tests.support.store import contents
from tests.support.waiting import until

COMPOSED = "Bücher im Regal"
PASSWORD = "three wet dogs run"
KEY = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
CLINIC, STRANGER = "192.0.2.8", "198.51.100.7"
HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
"""A hash that is quicker to check than those of the program: it contains its own cost."""
WRONG = LogInRefused(RefusalCode.WRONG)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def database(tmp_path: Path, clock: HandClock) -> AsyncIterator[Database]:
    async with open_database(SqliteFile(tmp_path / "reminderd.db"), clock) as opened:
        for name, key in (("anna", None), ("berta", KEY), *((f"name{number}", None) for number in range(20))):
            secrets = Secrets(password_hash=HASH, totp_secret=key)
            await opened.write(partial(add_user, name=name, role=Role.DESK, secrets=secrets, actor="root"))
        yield opened


@pytest.fixture
async def log_ins(database: Database, clock: HandClock) -> AsyncIterator[LogIns]:
    async with open_reader(database) as reader:
        yield LogIns(database, reader, clock)


def attempt(name: str = "anna", password: str = PASSWORD, code: str = "", address: str = CLINIC) -> LogInAttempt:
    return LogInAttempt(name=name, password=password, code=code, address=address)


async def fail(log_ins: LogIns, times: int, **columns: str) -> LogInRefused:
    refused = WRONG
    for _ in range(times):
        result = await log_ins.log_in(attempt(**({"password": "wrong"} | columns)))
        assert isinstance(result, LogInRefused)
        refused = result
    return refused


async def who(database: Database, clock: HandClock, token: str | LogInRefused) -> str:
    assert isinstance(token, str), token
    found = await database.read(
        partial(session_of, now=clock.now(), digest=digest_of(token), idle=timedelta(minutes=30))
    )
    assert found is not None
    return found.user_name


async def audit(database: Database) -> list[str]:
    def lines(connection: object) -> list[str]:
        rows = connection.execute("SELECT actor, act, detail FROM audit WHERE act LIKE 'log-%' ORDER BY id")  # type: ignore[attr-defined]
        return [f"{row['actor']} {row['act']} {row['detail']}" for row in rows.fetchall()]

    return await database.read(lines)


# The password itself


@pytest.mark.usefixtures("costly_passwords")
def test_a_hash_is_of_one_password_and_different_each_time() -> None:
    stored = hash_password(PASSWORD)
    assert stored.startswith("$argon2id$v=19$m=32768,t=3,p=1$")
    assert PASSWORD not in stored
    assert hash_password(PASSWORD) != stored
    assert matches_hash(stored, PASSWORD)
    assert not matches_hash(stored, PASSWORD + " ")


def test_a_hash_knows_a_password_that_another_keyboard_composes() -> None:
    assert matches_hash(hash_password(normalize("NFD", COMPOSED)), COMPOSED)


@pytest.mark.parametrize("stored", [None, "", "plain text", "$argon2id$v=19$m=1,t=1"])
def test_no_password_is_right_without_a_hash(stored: str | None) -> None:
    assert not matches_hash(stored, "plain text")


def test_no_password_is_shown_by_accident() -> None:
    assert PASSWORD not in repr(attempt(code="123456"))
    assert "123456" not in repr(attempt(code="123456"))


# Logging in


async def test_the_right_password_logs_in(log_ins: LogIns, database: Database, clock: HandClock) -> None:
    assert await who(database, clock, await log_ins.log_in(attempt(" Anna "))) == "anna"
    assert await audit(database) == [f"anna log-in from {CLINIC}"]


@pytest.mark.parametrize("name", ["anna", "nobody", "", "my password is here", "Robert'); DROP TABLE users;--"])
async def test_a_wrong_name_and_a_wrong_password_are_refused_alike(log_ins: LogIns, name: str) -> None:
    assert await fail(log_ins, 4, name=name) == WRONG
    assert (await fail(log_ins, 1, name=name)).until is not None
    assert (await fail(log_ins, 1, name=name)).code is RefusalCode.LOCKED


async def test_a_password_typed_as_a_name_is_stored_nowhere(log_ins: LogIns, database: Database) -> None:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}")
    await fail(log_ins, 2, name=PASSWORD, password=PASSWORD)
    logger.remove(sink)
    assert "".join(lines) == f"log-in refused: a name without an account, from {CLINIC}\n" * 2
    everything = await database.read(lambda connection: str(contents(connection)))
    assert PASSWORD not in everything
    assert "dogs" not in everything


async def test_a_code_is_asked_for_once_its_key_is_set(log_ins: LogIns, database: Database, clock: HandClock) -> None:
    code = TOTP(KEY).at(clock.now())
    assert await log_ins.log_in(attempt("berta")) == WRONG
    assert await log_ins.log_in(attempt("berta", code="000000")) == WRONG
    assert await log_ins.log_in(attempt("berta", password="wrong", code=code)) == WRONG
    assert await who(database, clock, await log_ins.log_in(attempt("berta", code=code))) == "berta"
    assert await log_ins.log_in(attempt("berta", code=code)) == WRONG  # a code is used once
    assert [line.rpartition(": ")[2] for line in await audit(database)] == [
        "wrong code",
        "wrong code",
        "wrong password",
        f"berta log-in from {CLINIC}",
        "wrong code",
    ]


async def test_the_same_code_at_the_same_moment_logs_in_once(log_ins: LogIns, clock: HandClock) -> None:
    code = TOTP(KEY).at(clock.now())
    results: list[str | LogInRefused] = []

    async def log_in(ins: LogIns) -> None:
        results.append(await ins.log_in(attempt("berta", code=code)))

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(log_in, log_ins)
    assert sorted(isinstance(result, str) for result in results) == [False, False, False, True]


# Delays


async def test_after_five_failures_even_the_right_password_waits(
    log_ins: LogIns, database: Database, clock: HandClock
) -> None:
    refused = await fail(log_ins, 5)
    assert refused == LogInRefused(RefusalCode.WRONG, clock.now() + timedelta(seconds=30))
    assert await log_ins.log_in(attempt()) == LogInRefused(RefusalCode.LOCKED, refused.until)
    assert len(await audit(database)) == 5  # what is refused unread is no line, so that nobody fills the log with it
    clock.advance(timedelta(seconds=30))
    assert await who(database, clock, await log_ins.log_in(attempt())) == "anna"
    assert await fail(log_ins, 4) == WRONG  # it begins again


async def test_a_refused_log_in_is_a_warning_with_the_address_and_what_follows(log_ins: LogIns) -> None:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{level} {message}")
    await fail(log_ins, 7)
    logger.remove(sink)
    assert lines[0] == f"WARNING log-in refused: anna, from {CLINIC}: wrong password\n"
    assert lines[-1] == f"WARNING log-in refused: anna, from {CLINIC}: wrong password; no more tries for 30 s\n"
    assert len(lines) == 5


async def test_strangers_do_not_lock_out_who_has_logged_in_here_before(
    log_ins: LogIns, database: Database, clock: HandClock
) -> None:
    await log_ins.log_in(attempt())
    assert (await fail(log_ins, 6, address=STRANGER)).code is RefusalCode.LOCKED
    assert (await fail(log_ins, 1, address="203.0.113.9")).code is RefusalCode.LOCKED
    assert await who(database, clock, await log_ins.log_in(attempt())) == "anna"
    assert (await fail(log_ins, 1, address=STRANGER)).code is RefusalCode.LOCKED  # hers does not free them


async def test_guesses_where_somebody_has_logged_in_before_are_counted_too(log_ins: LogIns) -> None:
    await log_ins.log_in(attempt())
    assert (await fail(log_ins, 6)).code is RefusalCode.LOCKED


async def test_one_address_can_not_try_one_name_after_the_other(
    log_ins: LogIns, database: Database, clock: HandClock
) -> None:
    for number in range(20):
        await fail(log_ins, 1, name=f"name{number}", address=STRANGER)
    assert (await fail(log_ins, 1, name="berta", address=STRANGER)).code is RefusalCode.LOCKED
    assert await who(database, clock, await log_ins.log_in(attempt())) == "anna"


async def test_with_an_account_of_ones_own_an_address_can_not_try_others_without_end(
    log_ins: LogIns,
) -> None:
    for number in range(19):
        await fail(log_ins, 1, name=f"name{number}")
    await log_ins.log_in(attempt())
    await fail(log_ins, 1, name="name19")
    assert (await fail(log_ins, 1, name="berta")).code is RefusalCode.LOCKED


# Many at once


async def test_many_tries_at_once_check_only_as_many_passwords_as_one_after_the_other(
    log_ins: LogIns, database: Database
) -> None:
    results: list[str | LogInRefused] = []

    async def guess(number: int) -> None:
        results.append(await log_ins.log_in(attempt(password=f"guess {number}")))

    async with trio.open_nursery() as nursery, log_ins._turn:  # no password is checked until all of them wait
        for number in range(500):
            nursery.start_soon(guess, number)
        await until(lambda: len(results) == 500 - MOST_WAITING - 1)
    codes = [result.code for result in results if isinstance(result, LogInRefused)]
    assert codes.count(RefusalCode.WRONG) == 5
    assert codes.count(RefusalCode.BUSY) == 500 - MOST_WAITING - 1
    assert len(codes) == 500
    assert len(await audit(database)) == 5


@asynccontextmanager
async def while_a_password_is_checked(log_in: Callable[[], Awaitable[object]]) -> AsyncIterator[trio.Nursery]:
    """Log in; what is in the block happens while the password is checked."""
    begun, goes_on = trio.Event(), threading.Event()

    def check(known_hash: str | None, password: str) -> bool:
        trio.from_thread.run_sync(begun.set)
        goes_on.wait(60)
        return matches_hash(known_hash, password)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(credentials, "matches_hash", check)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(log_in)
            await begun.wait()
            yield nursery
            goes_on.set()


async def test_a_client_that_hangs_up_is_still_counted(log_ins: LogIns, database: Database) -> None:
    for _ in range(5):
        async with while_a_password_is_checked(partial(fail, log_ins, 1)) as nursery:
            nursery.cancel_scope.cancel()
    assert (await fail(log_ins, 1)).code is RefusalCode.LOCKED
    assert len(await audit(database)) == 5


async def test_an_account_that_is_removed_while_its_password_is_checked_lets_nobody_in(
    log_ins: LogIns, database: Database
) -> None:
    results: list[str | LogInRefused] = []

    async def log_in() -> None:
        results.append(await log_ins.log_in(attempt()))

    async with while_a_password_is_checked(log_in):
        await database.write(partial(remove_user, name="anna", actor="root"))
    assert results == [WRONG]


async def test_strangers_are_not_ahead_of_who_has_logged_in_here_before(
    log_ins: LogIns, database: Database, clock: HandClock
) -> None:
    await log_ins.log_in(attempt())
    results: list[str | LogInRefused] = []

    async def log_in(tried: LogInAttempt) -> None:
        results.append(await log_ins.log_in(tried))

    turn, strangers = log_ins._turn, log_ins._strangers
    async with trio.open_nursery() as nursery, turn:  # no password is checked until all of them wait
        for number in range(200):
            guess = attempt(f"nobody{number}", "a guess", address=f"203.0.113.{number}")
            nursery.start_soon(log_in, guess)
        await until(lambda: len(results) == 200 - MOST_WAITING - 1)
        assert (turn.statistics().tasks_waiting, strangers.statistics().tasks_waiting) == (1, MOST_WAITING)
        nursery.start_soon(log_in, attempt())
        await until(lambda: turn.statistics().tasks_waiting == 2)
    token = next(result for result in results if isinstance(result, str))
    assert await who(database, clock, token) == "anna"
    assert results[: results.index(token)].count(WRONG) == 1
    assert results.count(WRONG) == MOST_WAITING + 1


async def test_addresses_of_one_customer_count_as_one(log_ins: LogIns) -> None:
    addresses = [client_address(f"2001:db8:1:2::{number}", [], []) for number in range(6)]
    for address in addresses[:5]:
        await fail(log_ins, 1, address=address)
    assert (await fail(log_ins, 1, address=addresses[5])).code is RefusalCode.LOCKED
    assert (await fail(log_ins, 1, name="berta", address="2001:db8:1:3::1")) == WRONG
