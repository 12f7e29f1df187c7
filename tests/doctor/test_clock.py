from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import tzdata

from reminderd.clock import SystemClock
from reminderd.config import Config, with_provider
from reminderd.core.diagnosis import Mark
from reminderd.doctor import machine
from reminderd.doctor.connections import DoctorClient
from reminderd.providers.twilio.settings import TwilioSettings
from tests.doctor.conftest import generic
from tests.support.builders import NOW
from tests.support.clock import HandClock
from tests.support.hostile_provider import answering, hostile, nobody_listens


@pytest.mark.parametrize(
    ("state", "error", "expected"),
    [(0, 15_999_999, True), (5, 1_000, True), (5, 16_000_000, False), (0, 16_000_000, False), (-1, 0, None)],
)
def test_a_clock_is_synchronized_while_the_kernel_bounds_its_error(
    state: int, error: int, *, expected: bool | None
) -> None:
    def answered(seen: machine.Timex) -> int:
        assert seen.modes == 0, "nothing is set"
        seen.maxerror = error
        return state

    assert machine.is_clock_synchronized(answered) is expected


def test_a_machine_without_that_system_call_gives_no_answer() -> None:
    def missing(_seen: machine.Timex) -> int:
        raise AttributeError

    assert machine.is_clock_synchronized(missing) is None


def test_the_real_kernel_bounds_its_error_or_gives_no_answer() -> None:
    seen = machine.Timex()
    assert machine.adjtimex(seen) < 0 or 0 < seen.maxerror <= 16_000_000


@pytest.mark.parametrize("seconds", [0, 90, -90])
async def test_our_clock_is_compared_with_a_servers(seconds: int, ask: DoctorClient) -> None:
    said = format_datetime(NOW - timedelta(seconds=seconds), usegmt=True)
    async with hostile(answering(401, Date=said)) as server:
        ahead = await machine.clock_ahead_of(f"{server.url}/v1", ask, HandClock())
    assert ahead is not None
    assert abs(ahead - timedelta(seconds=seconds)) < timedelta(seconds=10)
    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize("headers", [{}, {"Date": "yesterday"}, {"Date": "Mon, 02 Mar 2026 10:00:00"}])
async def test_an_answer_without_a_usable_date_says_nothing_about_our_clock(
    headers: dict[str, str], ask: DoctorClient
) -> None:
    async with hostile(answering(200, b"", **headers)) as server:
        assert await machine.clock_ahead_of(server.url, ask, HandClock()) is None


async def test_an_unreachable_server_says_nothing_about_our_clock(ask: DoctorClient) -> None:
    with nobody_listens() as url:
        assert await machine.clock_ahead_of(url, ask, HandClock()) is None


def test_the_clock_is_compared_with_the_configured_provider() -> None:
    assert Config().provider.settings.server == ""
    assert generic(api_url="https://voice.example.com").provider.settings.server == "https://voice.example.com"
    assert with_provider(Config(), TwilioSettings()).provider.settings.server == "https://api.twilio.com"


async def test_a_provider_on_this_machine_is_not_asked_for_the_time(ask: DoctorClient) -> None:
    async with hostile(answering(200)) as server:
        found = await machine.check_clock(generic(api_url=server.url), ask, SystemClock())
    assert server.connections == 0
    assert [finding.about for finding in found] == ["clock", "time zones"]


def test_the_systems_zone_data_come_before_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Europe").mkdir()
    (tmp_path / "Europe" / "Berlin").touch()
    (tmp_path / "tzdata.zi").write_text("# version 2019b\n# This zic input file is in the public domain.\n")
    monkeypatch.setattr("zoneinfo.TZPATH", (str(tmp_path / "nowhere"), str(tmp_path)))
    assert machine.zone_data("Europe/Berlin") == ("2019b", str(tmp_path))
    assert machine.zone_data("Europe/Paris") == (tzdata.IANA_VERSION, "the package tzdata")


async def test_zone_data_without_a_version_are_not_reported_as_new(
    ask: DoctorClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "UTC").touch()
    monkeypatch.setattr("zoneinfo.TZPATH", (str(tmp_path),))
    assert (await machine.check_clock(Config(), ask, SystemClock()))[1].mark is Mark.UNKNOWN
    (tmp_path / "tzdata.zi").write_text("# version 2019b\n")
    assert (await machine.check_clock(Config(), ask, SystemClock()))[1].mark is Mark.WARNING
