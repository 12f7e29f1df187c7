import trio.testing

from reminderd.store.database import until_stored
from reminderd.store.errors import StoreUnavailableError


async def test_a_write_is_repeated_until_it_succeeds(autojump_clock: trio.testing.MockClock) -> None:
    tries = 0

    async def write() -> str:
        nonlocal tries
        tries += 1
        if tries < 12:
            raise StoreUnavailableError("the disk is full")
        return "stored"

    assert await until_stored(write) == "stored"
    assert tries == 12
    assert 30 < autojump_clock.current_time() < 60


async def test_a_write_that_succeeds_at_once_does_not_wait(autojump_clock: trio.testing.MockClock) -> None:
    async def write() -> str:
        return "stored"

    assert await until_stored(write) == "stored"
    assert autojump_clock.current_time() == 0
