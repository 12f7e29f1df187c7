"""Check everything that a running daemon depends on, and change nothing.

No call is placed, nothing is written, and no secret is shown. All checks run at the same time, and their findings are
always in the same order.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import trio

from reminderd.clock import Clock
from reminderd.config import Config, config_warnings, origin
from reminderd.core.diagnosis import Finding, good, warning
from reminderd.doctor.connections import (
    DoctorClient,
    check_pages,
    check_port,
    check_provider,
    check_public_address,
    check_webhooks,
    open_doctor_client,
)
from reminderd.doctor.machine import (
    check_accounts,
    check_clock,
    check_daemons,
    check_database,
    check_drop_folder,
    check_files,
    check_results_folder,
    check_server,
)

QUESTION_SECONDS: Final = 5.0
"""The most seconds for one question over the network."""

READING_SECONDS: Final = 20.0
"""The most seconds for reading the whole database."""


async def diagnose(config: Config, clock: Clock) -> list[Finding]:
    """Return all findings; this takes less than a minute, even if no server answers."""
    # Checks that wait for files or the database run on threads, so that a slow server delays no other check.
    on_a_thread = trio.to_thread.run_sync
    async with open_doctor_client(QUESTION_SECONDS) as open_to_ask:
        checks: list[Callable[[], Awaitable[list[Finding]]]] = [
            partial(on_a_thread, partial(check_configuration, config)),
            partial(on_a_thread, partial(check_files, config)),
            partial(on_a_thread, partial(check_drop_folder, config, clock.now())),
            partial(on_a_thread, partial(check_results_folder, config)),
            partial(check_clock, config, open_to_ask, clock),
            partial(check_database, config, clock, seconds=READING_SECONDS),
            partial(check_server, config, clock, seconds=READING_SECONDS),
            partial(on_a_thread, partial(check_daemons, config, clock.now())),
            partial(check_provider, config, seconds=QUESTION_SECONDS),
            partial(_check_connections, config, open_to_ask, clock),
            partial(check_pages, config, open_to_ask),
            partial(on_a_thread, partial(check_accounts, config)),
        ]
        found: list[list[Finding]] = [[] for _ in checks]

        async def note(place: int, check: Callable[[], Awaitable[list[Finding]]]) -> None:
            found[place] = await check()

        async with trio.open_nursery() as nursery:
            for place, check in enumerate(checks):
                nursery.start_soon(note, place, check)
    return [finding for findings in found for finding in findings]


def check_configuration(config: Config) -> list[Finding]:
    """Report that the configuration is valid, as it was loaded, and warn of risky settings."""
    found = [good("configuration", f"{origin(config.path)}: no mistakes")]
    for concern in config_warnings(config):
        text, separator, fix = concern.rpartition("; ")
        found.append(warning("configuration", *((text, fix) if separator else (concern, "see messages.md"))))
    return found


async def _check_connections(config: Config, open_to_ask: DoctorClient, clock: Clock) -> list[Finding]:
    """Check port, public address and webhooks, one after the other, as each check depends on the earlier answers."""
    local = await check_port(config, open_to_ask)
    runs = None if config.web.port == 0 else local.url is not None
    public = await check_public_address(config.web.public_base_url, open_to_ask, clock.now(), runs=runs)
    webhooks = await check_webhooks(config, open_to_ask, public=public.url, local=local.url, now=clock.now())
    return [*local.findings, *public.findings, webhooks]
