"""The doctor's round: everything is looked at side by side, and told in one order."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import trio

from reminderd.clock import Clock
from reminderd.config import Config
from reminderd.core.diagnosis.finding import Finding
from reminderd.doctor import clock as its_clock
from reminderd.doctor import config as its_config
from reminderd.doctor import database, files, outside, port, provider, webhooks
from reminderd.doctor.asking import Asking, asking

QUESTION_SECONDS: Final = 5.0
"""For one question over the network."""

READING_SECONDS: Final = 20.0
"""For reading the database through."""


async def rounds(config: Config, clock: Clock) -> list[Finding]:
    """All findings; they take less than a minute, whoever does not answer."""
    async with asking(QUESTION_SECONDS) as open_to_ask:
        looks: list[Callable[[], Awaitable[list[Finding]]]] = [
            partial(_at_once, partial(its_config.look, config)),
            partial(_at_once, partial(files.look, config)),
            partial(its_clock.look, config, open_to_ask, clock),
            partial(database.look, config, seconds=READING_SECONDS),
            partial(provider.look, config, seconds=QUESTION_SECONDS),
            partial(_doors, config, open_to_ask, clock),
        ]
        found: list[list[Finding]] = [[] for _ in looks]

        async def note(place: int, look: Callable[[], Awaitable[list[Finding]]]) -> None:
            found[place] = await look()

        async with trio.open_nursery() as nursery:
            for place, look in enumerate(looks):
                nursery.start_soon(note, place, look)
    return [finding for findings in found for finding in findings]


async def _at_once(look: Callable[[], list[Finding]]) -> list[Finding]:
    return look()


async def _doors(config: Config, open_to_ask: Asking, clock: Clock) -> list[Finding]:
    """Port, public address and webhooks, one after the other: what is asked depends on who answered."""
    inside = await port.look(config, open_to_ask)
    runs = None if config.web.port == 0 else inside.url is not None
    public = await outside.look(config.web.public_base_url, open_to_ask, clock.now(), runs=runs)
    knocked = await webhooks.look(config, open_to_ask, public=public.url, local=inside.url, now=clock.now())
    return [*inside.findings, *public.findings, knocked]
