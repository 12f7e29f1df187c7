"""What a number does, in either dialect."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx
import pytest
from attrs import frozen

from reminderd.sandbox.behaviors import BEHAVIORS, Behavior, example_number
from reminderd.sandbox.switchboard import SimulatedProvider
from tests.support.generic_sandbox import a_generic_sandbox
from tests.support.twilio_sandbox import a_twilio_sandbox
from tests.support.waiting import until


@frozen
class Dialect:
    sandbox: SimulatedProvider
    place: Callable[[str], Awaitable[httpx.Response]]
    """Requests a call to a number that behaves as named, always under the id "call-1"."""


@asynccontextmanager
async def generic() -> AsyncIterator[Dialect]:
    async with a_generic_sandbox() as served:
        yield Dialect(served.sandbox, lambda name: served.place(name, key="call-1"))


@asynccontextmanager
async def twilio() -> AsyncIterator[Dialect]:
    async with a_twilio_sandbox() as served:
        yield Dialect(served.sandbox, served.place)


DIALECTS: dict[str, Callable[[], AbstractAsyncContextManager[Dialect]]] = {"generic": generic, "twilio": twilio}


@pytest.fixture(params=DIALECTS)
async def dialect(request: pytest.FixtureRequest) -> AsyncIterator[Dialect]:
    async with DIALECTS[request.param]() as made:
        yield made


@pytest.mark.parametrize("behavior", BEHAVIORS, ids=lambda each: each.name)
async def test_each_number_behaves_as_the_table_of_behaviors_says(behavior: Behavior, dialect: Dialect) -> None:
    for _ in behavior.rejections:
        assert (await dialect.place(behavior.name)).status_code >= 400
        assert list(dialect.sandbox.calls) == []
    if behavior.answer == "cut":
        with pytest.raises(httpx.RemoteProtocolError):
            await dialect.place(behavior.name)
    else:
        answer = await dialect.place(behavior.name)
        assert answer.is_success == (behavior.answer == "accepted")
    if behavior.answer == "refused":
        assert list(dialect.sandbox.calls) == []
        return
    await until(lambda: dialect.sandbox.calls[0].status == behavior.ends[0])
    (call,) = dialect.sandbox.calls
    assert (call.phone_number, call.attempt_id) == (example_number(behavior.name), "call-1")
