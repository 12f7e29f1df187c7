import signal
from functools import partial

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from reminderd.daemon import watch_signals


async def raised(number: signal.Signals) -> None:
    signal.raise_signal(number)
    await wait_all_tasks_blocked(0.005)


async def test_a_signal_and_its_echo_count_once(mock_clock: MockClock) -> None:
    stopping = trio.Event()
    async with trio.open_nursery() as nursery:
        watch = partial(watch_signals, stopping, nursery.cancel_scope, echo_seconds=1)
        nursery.start_soon(watch)
        await wait_all_tasks_blocked()
        await raised(signal.SIGINT)
        mock_clock.jump(0.9)
        await raised(signal.SIGINT)
        assert stopping.is_set()
        assert not nursery.cancel_scope.cancel_called
        mock_clock.jump(0.2)
        await raised(signal.SIGINT)
    assert nursery.cancel_scope.cancel_called


async def test_without_an_echo_the_second_signal_ends_it_at_once() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_signals, trio.Event(), nursery.cancel_scope)
        await wait_all_tasks_blocked()
        await raised(signal.SIGTERM)
        assert not nursery.cancel_scope.cancel_called
        await raised(signal.SIGTERM)
    assert nursery.cancel_scope.cancel_called
