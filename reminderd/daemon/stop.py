"""The stop in its order: nothing more is claimed, requests end, webhooks end, and what hangs is cut off in the end."""

from datetime import timedelta
from socket import socket
from typing import Final

import trio
from attrs import field, frozen
from quart_trio import QuartTrio

from reminderd.config import Config
from reminderd.engine.poller import Poller
from reminderd.web.server import serve

GRACE: Final = timedelta(seconds=5)
"""What a stop allows on top of the longest request: to settle its answer, and to answer the last webhooks."""

_AFTER_GRACE: Final = timedelta(seconds=5)


@frozen(kw_only=True)
class Stages:
    """The events of a stop, in their order."""

    dials_done: trio.Event = field(factory=trio.Event)
    web_done: trio.Event = field(factory=trio.Event)

    async def over(self) -> None:
        """Wait until both are."""
        await self.dials_done.wait()
        await self.web_done.wait()


def grace(config: Config) -> timedelta:
    """How long a stop may take in order."""
    return timedelta(seconds=config.provider.timeout_seconds) + GRACE


def time_to_stop(config: Config) -> timedelta:
    """How long the supervisor is asked to wait: past the grace the last answers are still written, and files closed."""
    return grace(config) + _AFTER_GRACE


async def stop_in_order(everything: trio.CancelScope, stopping: trio.Event, stages: Stages, within: timedelta) -> None:
    """Once `stopping` is set, wait for the stages, `within` that time, and end what is left."""
    await stopping.wait()
    everything.deadline = trio.current_time() + within.total_seconds()
    await stages.over()
    everything.cancel()  # all that could be lost is settled; what is left are idle waits


async def claim_and_dial(poller: Poller | None, stopping: trio.Event, stages: Stages) -> None:
    """The first stage: the poll loop to its end, or, in a process without one, only the wait for the stop."""
    if poller is None:
        await stopping.wait()
    else:
        await poller.run()
    stages.dials_done.set()


async def take_webhooks(app: QuartTrio, listener: socket, stages: Stages, *, task_status: trio.TaskStatus[str]) -> None:
    """The second stage: webhooks are taken until the first is over."""
    await serve(app, listener, shutdown_trigger=stages.dials_done.wait, task_status=task_status)
    stages.web_done.set()
