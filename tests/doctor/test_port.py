import socket
from pathlib import Path

import pytest
from attrs import evolve

from reminderd.config import Config
from reminderd.config.installation import DatabaseConfig, WebConfig
from reminderd.config.schema import provider_section
from reminderd.core.diagnosis import Mark
from reminderd.doctor.connections import AddressCheck, DoctorClient, bind_error, check_port, open_doctor_client
from reminderd.store.connection import snapshot
from reminderd.store.shared_state import database_id
from reminderd.store.sqlite.opening import open_sync
from tests.doctor.conftest import ALIVE, generic, says, site
from tests.support.hostile_provider import (
    Script,
    answering,
    cut,
    hear,
    hostile,
    no_connection_is_accepted,
)
from tests.support.ports import a_free_port
from tests.support.web_server import a_web_server


def at(url: str, host: str = "127.0.0.1") -> Config:
    return generic(web={"host": host, "port": int(url.rpartition(":")[2])})


def in_folder(config: Config, folder: Path) -> Config:
    return evolve(config, database=DatabaseConfig(url="sqlite:///ours.db", folder=folder))


@pytest.fixture
def free() -> str:
    return f"http://127.0.0.1:{a_free_port()}"


async def looked(config: Config, ask: DoctorClient) -> tuple[AddressCheck, list[tuple[str, Mark]]]:
    found = await check_port(config, ask)
    return found, [(finding.about, finding.mark) for finding in found.findings]


async def test_a_free_port_is_good(free: str, ask: DoctorClient) -> None:
    found, marks = await looked(at(free), ask)
    assert marks == [("port", Mark.GOOD), ("daemon", Mark.WARNING)]
    assert found.findings[1].text.startswith("does not answer here; if the line daemons shows none")
    assert found.url is None


async def test_with_the_sandbox_a_stopped_daemon_is_not_an_error(free: str, ask: DoctorClient) -> None:
    found, marks = await looked(evolve(at(free), provider=provider_section()()), ask)
    assert marks == [("port", Mark.GOOD), ("daemon", Mark.UNKNOWN)]
    assert found.findings[1].fix == "reminderd run starts it"


async def test_our_own_daemon_is_recognized(ask: DoctorClient) -> None:
    async with a_web_server() as web:
        found, marks = await looked(at(web.url), ask)
    assert marks == [("port", Mark.GOOD), ("daemon", Mark.GOOD)]
    assert found.url == web.url


async def test_a_daemon_on_all_addresses_is_asked_on_loopback(ask: DoctorClient) -> None:
    async with a_web_server() as web:
        found, marks = await looked(at(web.url, "0.0.0.0"), ask)  # noqa: S104 - no server listens there
    assert marks == [("port", Mark.GOOD), ("port", Mark.WARNING), ("daemon", Mark.GOOD)]
    assert "past the web server" in found.findings[1].text
    assert found.url == web.url


async def test_an_ipv6_port_is_asked_over_ipv6(ask: DoctorClient) -> None:
    with socket.socket(socket.AF_INET6) as occupied:
        try:
            occupied.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 here")
        url = f"http://[::1]:{occupied.getsockname()[1]}"
    for host, warnings in (("::", 1), ("::1", 0)):
        found, marks = await looked(at(url, host), ask)
        assert marks == [("port", Mark.GOOD), *[("port", Mark.WARNING)] * warnings, ("daemon", Mark.WARNING)], found


@pytest.mark.parametrize("has_a_database", [True, False])
async def test_a_daemon_with_another_database_is_not_ours(
    tmp_path: Path, ask: DoctorClient, *, has_a_database: bool
) -> None:
    if has_a_database:
        with open_sync(tmp_path / "ours.db"):
            pass
    another = site({"/health": ALIVE, "/health/status": says(200, {"database_id": "0" * 32})})
    async with hostile(another) as server:
        found, marks = await looked(in_folder(at(server.url), tmp_path), ask)
    assert marks == [("port", Mark.WRONG)]
    assert found.findings[0].text.startswith("another reminderd answers at 127.0.0.1 port ")
    assert "--config FILE" in found.findings[0].fix
    assert found.url is None


async def test_the_daemon_with_our_own_database_is_ours(tmp_path: Path, ask: DoctorClient) -> None:
    with open_sync(tmp_path / "ours.db") as connection:
        own_id = snapshot(connection, database_id)
    answers = {"/health": ALIVE, "/health/ready": ALIVE, "/health/status": says(200, {"database_id": own_id})}
    async with hostile(site(answers)) as server:
        found, marks = await looked(in_folder(at(server.url), tmp_path), ask)
    assert marks == [("port", Mark.GOOD), ("daemon", Mark.GOOD)]
    assert found.url == server.url


async def test_an_unreadable_database_does_not_make_the_daemon_foreign(tmp_path: Path, ask: DoctorClient) -> None:
    (tmp_path / "ours.db").write_text("This is no database.")
    async with hostile(site({"/health": ALIVE, "/health/status": says(200, {"database_id": "0" * 32})})) as server:
        found, _ = await looked(in_folder(at(server.url), tmp_path), ask)
    assert found.url == server.url


async def test_the_daemons_failing_parts_are_reported(ask: DoctorClient) -> None:
    async with a_web_server() as web:
        web.parts["provider"] = "dialing is paused: 401"
        found, marks = await looked(at(web.url), ask)
    assert marks == [("port", Mark.GOOD), ("daemon", Mark.WRONG)]
    assert found.findings[1].text == "provider: dialing is paused: 401"
    assert found.url == web.url


@pytest.mark.parametrize(
    ("ready", "mark"),
    [
        (says(200, {"status": "ok"}), Mark.GOOD),
        (says(200, {"status": "fine"}), Mark.UNKNOWN),
        (says(404, {}), Mark.UNKNOWN),
        (says(503, {"failing": {}}), Mark.UNKNOWN),
        (says(503, {"failing": ["all"]}), Mark.UNKNOWN),
        (says(503, {"failing": {"database": "the disk is full"}}), Mark.WRONG),
        (b"", Mark.WRONG),
    ],
)
async def test_a_daemon_is_ready_only_if_it_says_so(ready: bytes, mark: Mark, ask: DoctorClient) -> None:
    async with hostile(site({"/health": ALIVE, "/health/ready": ready})) as server:
        _, marks = await looked(at(server.url), ask)
    assert marks == [("port", Mark.GOOD), ("daemon", mark)]


@pytest.mark.parametrize(
    "script",
    [
        answering(200, b"<html>It works!</html>"),
        answering(404),
        answering(200, b'{"status": "ok", "of": "another"}'),
        answering(503, b'{"status": "ok"}'),
        answering(200, b"[" * 100_000),
        (hear, cut),
    ],
    ids=["HTML", "404", "another answer", "503", "nested JSON", "cut"],
)
async def test_another_programs_port_is_in_use(script: Script, ask: DoctorClient) -> None:
    async with hostile(script) as server:
        found, marks = await looked(at(server.url), ask)
    assert marks == [("port", Mark.WRONG)]
    assert "is used by a program" in found.findings[0].text
    assert "ss -ltnp" in found.findings[0].fix
    assert found.url is None


async def test_a_program_that_never_accepts_connections_occupies_the_port() -> None:
    with no_connection_is_accepted() as url:
        async with open_doctor_client(0.3) as impatient:
            found, marks = await looked(at(url), impatient)
    assert marks == [("port", Mark.WRONG)]
    assert "ss -ltnp" in found.findings[0].fix


async def test_an_invalid_host_name_is_an_error(free: str, ask: DoctorClient) -> None:
    found, marks = await looked(at(free, "x" * 64), ask)
    assert marks == [("port", Mark.WRONG)]
    assert found.findings[0].fix == "set [web].host to an address of this machine, usually 127.0.0.1"


def test_an_address_of_another_machine_cannot_be_bound() -> None:
    refusal = bind_error("192.0.2.1", 4000, section="web")
    assert refusal is not None
    assert refusal[1] == "set [web].host to an address of this machine, usually 127.0.0.1"


async def test_port_0_cannot_be_checked(ask: DoctorClient) -> None:
    _, marks = await looked(Config(web=WebConfig(port=0)), ask)
    assert marks == [("port", Mark.UNKNOWN)]
