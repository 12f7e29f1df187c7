from datetime import datetime, timedelta
from urllib.parse import urlsplit

import pytest
import trio
import trustme
from attrs import frozen

from reminderd.clock import SystemClock
from reminderd.core.diagnosis import Mark
from reminderd.doctor.connections import (
    AddressCheck,
    DoctorClient,
    check_public_address,
    open_doctor_client,
    plain_http,
)
from tests.doctor.conftest import ALIVE, marks_of, says, site
from tests.support.hostile_provider import answer, answering, hang, hostile, nobody_listens, say
from tests.support.tls import encrypted
from tests.support.web_server import a_web_server

NOW = SystemClock().now()
BEHIND_CADDY = answer(200, b'{"status": "ok"}', Server="Caddy")


async def looked(base: str, ask: DoctorClient, *, runs: bool | None = True) -> AddressCheck:
    return await check_public_address(base, ask, NOW, runs=runs)


async def test_a_server_set_up_as_documented_is_good(ask: DoctorClient, authority: trustme.CA) -> None:
    async with hostile(site({"/health": BEHIND_CADDY})) as server, encrypted(server.url, authority) as url:
        found = await looked(url, ask)
    assert marks_of(found.findings) == {
        "address": "warning",  # localhost
        "certificate": "good",
        "from outside": "good",
        "web server": "good",
        "plain http": "unknown",  # a port of its own
        "kept inside": "good",
    }
    assert found.url == url


async def test_a_daemon_without_a_web_server_in_front_exposes_too_much(
    ask: DoctorClient, authority: trustme.CA
) -> None:
    async with a_web_server() as web, encrypted(web.url, authority) as url:
        found = await looked(url, ask)
    marks = marks_of(found.findings)
    assert (marks["from outside"], marks["web server"], marks["kept inside"]) == ("good", "warning", "wrong")
    assert "/api and /health/ready" in found.findings[-1].text


@pytest.mark.parametrize(
    ("answers", "mark"),
    [
        ({}, "good"),
        ({"/api/openapi.json": answer(200, b"<html>"), "/health/ready": answer(200, b"<html>")}, "good"),
        ({"/api/openapi.json": says(200, {"openapi": "3.1.0"})}, "wrong"),
        ({"/api/openapi.json": says(404, {}, Content_Type="application/problem+json")}, "wrong"),
        ({"/health/ready": says(503, {"status": "unavailable"})}, "warning"),
        ({"/health/ready": says(200, {"status": "ok"})}, "warning"),
    ],
)
async def test_exposed_paths_are_recognized_by_the_daemons_own_answers(
    answers: dict[str, bytes], mark: str, ask: DoctorClient, authority: trustme.CA
) -> None:
    async with hostile(site({"/health": ALIVE} | answers)) as server, encrypted(server.url, authority) as url:
        assert marks_of((await looked(url, ask)).findings)["kept inside"] == mark


@pytest.mark.parametrize("base", ["", "http://127.0.0.1:4000", "http://localhost:4000", "http://[::1]:4000"])
async def test_without_a_public_address_nothing_is_requested(base: str, ask: DoctorClient) -> None:
    found = await looked(base, ask)
    assert (marks_of(found.findings), found.url) == ({"address": "unknown"}, None)


async def test_an_untrusted_certificate_is_an_error_and_no_request_is_sent(ask: DoctorClient) -> None:
    async with hostile(site({"/health": ALIVE})) as server, encrypted(server.url, trustme.CA()) as url:
        found = await looked(url, ask)
    assert marks_of(found.findings) == {"address": "warning", "certificate": "wrong", "from outside": "unknown"}
    assert "unable to get local issuer certificate" in found.findings[1].text
    assert (found.url, server.requests) == (None, [])


@pytest.mark.parametrize(
    ("since", "until", "mark", "words"),
    [
        (-60, 30, "good", "valid, for 30 more days"),
        (-80, 10, "warning", "valid, for 10 more days"),
        (-90, -1, "wrong", "certificate has expired"),
        (1, 90, "wrong", "certificate is not yet valid"),
    ],
)
async def test_a_certificate_is_checked_by_its_remaining_days(
    since: int, until: int, mark: str, words: str, ask: DoctorClient, authority: trustme.CA
) -> None:
    def day(number: int) -> datetime:
        return NOW + timedelta(days=number, hours=1)

    async with (
        hostile(site({"/health": ALIVE})) as server,
        encrypted(server.url, authority, since=day(since), until=day(until)) as url,
    ):
        found = await looked(url, ask)
    assert marks_of(found.findings)["certificate"] == mark
    assert words in found.findings[1].text


async def test_a_certificate_for_another_name_is_an_error(ask: DoctorClient, authority: trustme.CA) -> None:
    async with hostile(site({})) as server, encrypted(server.url, authority) as url:
        found = await looked(url.replace("localhost", "127.0.0.1"), ask)
    assert marks_of(found.findings)["certificate"] == "wrong"
    assert "127.0.0.1" in found.findings[1].text


async def test_a_server_without_tls_has_no_certificate(ask: DoctorClient) -> None:
    async with hostile((say(answer(200)),)) as server:
        found = await looked(server.url.replace("http://127.0.0.1", "https://localhost"), ask)
    assert marks_of(found.findings)["certificate"] == "wrong"


async def test_an_address_without_a_server_is_an_error(ask: DoctorClient) -> None:
    with nobody_listens() as url:
        found = await looked(url.replace("http://127.0.0.1", "https://localhost"), ask)
    assert marks_of(found.findings) == {"address": "warning", "certificate": "unknown", "from outside": "wrong"}
    assert "try it from elsewhere" in found.findings[-1].fix
    assert found.url is None


async def test_an_address_that_never_answers_is_not_waited_for_long() -> None:
    async with open_doctor_client(0.2) as impatient, hostile((hang,)) as server:
        found = await looked(server.url.replace("http://127.0.0.1", "https://localhost"), impatient)
    assert marks_of(found.findings) == {"address": "warning", "certificate": "unknown", "from outside": "wrong"}


@pytest.mark.parametrize(
    ("health", "runs", "mark", "fix", "is_asked"),
    [
        (ALIVE, True, "good", "", True),
        (ALIVE, None, "good", "", True),
        (ALIVE, False, "warning", "another machine's", True),
        (answer(502), False, "warning", "start it", False),
        (answer(502), None, "warning", "start it", False),
        (answer(502), True, "warning", "let Caddy pass", True),
        (answer(404), True, "warning", "let Caddy pass", True),
        (answer(404), False, "warning", "let Caddy pass", False),
        (says(200, {"status": "fine"}), False, "warning", "let Caddy pass", False),
    ],
    ids=[
        "alive, runs",
        "alive, unknown",
        "alive, stopped",
        "502, stopped",
        "502, unknown",
        "502, runs",
        "404, runs",
        "404, stopped",
        "another answer",
    ],
)
async def test_the_answer_at_the_public_address_decides_the_finding(
    health: bytes, *, runs: bool | None, mark: str, fix: str, is_asked: bool, ask: DoctorClient, authority: trustme.CA
) -> None:
    async with hostile(site({"/health": health})) as server, encrypted(server.url, authority) as url:
        found = await looked(url, ask, runs=runs)
    assert marks_of(found.findings)["from outside"] == mark
    assert fix in found.findings[2].fix
    assert found.url == (url if is_asked else None)


@frozen
class Names(trio.abc.HostnameResolver):
    """A DNS in which every name leads to one address, or has one fault."""

    address: str
    fault: Exception | None = None

    async def getaddrinfo(self, _host, port, family=0, type=0, proto=0, flags=0):  # type: ignore[no-untyped-def] # noqa: A002, ANN001, ANN201
        if self.fault is not None:
            raise self.fault
        return await trio.socket.getaddrinfo(self.address, port, family, type, proto, flags)

    async def getnameinfo(self, sockaddr, flags):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
        raise NotImplementedError


async def resolved(names: Names, base: str, ask: DoctorClient) -> AddressCheck:
    """Return the findings with these DNS answers."""
    trio.socket.set_custom_hostname_resolver(names)
    return await looked(base, ask)


async def test_a_name_without_an_address_is_an_error(ask: DoctorClient) -> None:
    fault = OSError(-2, "Name or service not known")
    found = await resolved(Names("", fault), "https://clinic.example", ask)
    assert marks_of(found.findings) == {"address": "wrong", "certificate": "unknown"}
    assert found.findings[0].text == "clinic.example has no address: Name or service not known"


async def test_an_invalid_host_name_is_an_error(ask: DoctorClient) -> None:
    found = await looked(f"https://{'x' * 64}.example", ask)
    assert found.findings[0].mark is Mark.WRONG


async def test_a_public_address_without_encryption_is_an_error(ask: DoctorClient) -> None:
    async with hostile(site({"/health": ALIVE})) as server:
        port = urlsplit(server.url).port
        found = await resolved(Names("127.0.0.1"), f"http://clinic.example:{port}", ask)
    marks = marks_of(found.findings)
    assert (marks["address"], marks["certificate"], marks["from outside"]) == ("warning", "wrong", "good")
    assert "plain http" not in marks


async def test_plain_http_is_good_only_if_it_redirects_to_https(ask: DoctorClient) -> None:
    async with hostile(answering(308, Location="https://clinic.example/")) as server:
        assert (await plain_http(f"{server.url}/", "clinic.example", ask)).mark is Mark.GOOD
    async with hostile(answering(200)) as server:
        assert (await plain_http(f"{server.url}/", "clinic.example", ask)).mark is Mark.WARNING
    with nobody_listens() as url:
        assert (await plain_http(f"{url}/", "clinic.example", ask)).mark is Mark.UNKNOWN
