"""What a daemon loads: nothing that its configuration does not use, and at its start whatever it uses."""

from pathlib import Path
from typing import Final

import pytest

from tests.support.ports import a_free_port
from tests.support.program import LISTING, running

PLAIN: Final = """
[web]
port = 0
[provider]
kind = "generic"
[provider.generic]
api_url = "http://127.0.0.1:9"
api_key = "key"
webhook_secret = "whsec_YSBzZWNyZXQgb2YgMzIgYnl0ZXMsIGZvciBhIGRlbW8="
"""

PARTS: Final = {
    "[desk]\nport = {port}": {"reminderd.desk.routing", "reminderd.imports", "reminderd.store.sqlite.copying"},
    "[metrics]\nport = {port}": {"prometheus_client"},
    '[import]\nfolder = "in"': {"reminderd.imports"},
    '[results]\nfolder = "out"': {"reminderd.results"},
    '[backup]\nfolder = "out"': {"reminderd.store.sqlite.copying"},
    '[alerts]\nurls = ["json://127.0.0.1"]': {"apprise"},
}
"""A section of the configuration, and modules that are loaded only for it."""

OF_OTHERS: Final = {
    "icalendar",
    "hl7",
    "psycopg",
    "pygments",
    "rich",
    "reminderd.doctor",
    "reminderd.providers.twilio.client",
    "reminderd.providers.twilio.webhooks",
    "reminderd.sandbox",
}
"""Modules that only commands, other providers or other formats need."""


async def loaded(folder: Path, configuration: str) -> set[str]:
    """Return what a daemon has loaded by the end of its start."""
    (folder / "config.toml").write_text(configuration)
    async with running("run", cwd=folder, entrance=("-c", LISTING)) as program:
        await program.line("started: provider")
        assert await program.terminate() == 0
        return set((await program.line("loaded: (.*)"))[1].split())


async def test_a_daemon_loads_nothing_that_its_configuration_does_not_use(tmp_path: Path) -> None:
    assert sorted(await loaded(tmp_path, PLAIN) & OF_OTHERS.union(*PARTS.values())) == []


@pytest.mark.parametrize(
    ("section", "used"), PARTS.items(), ids=["desk", "metrics", "import", "results", "backup", "alerts"]
)
async def test_a_part_that_is_configured_is_loaded_at_the_start(tmp_path: Path, section: str, used: set[str]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    others = set().union(*PARTS.values()) - used
    found = await loaded(tmp_path, PLAIN + section.format(port=a_free_port()))
    assert used <= found
    assert sorted(found & others) == []
