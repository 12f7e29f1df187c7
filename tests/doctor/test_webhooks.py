import pytest
import trustme
from attrs import evolve
from twilio.request_validator import RequestValidator

from reminderd.clock import SystemClock
from reminderd.config import Config, with_provider
from reminderd.config.installation import WebConfig
from reminderd.core.diagnosis import Finding, Mark
from reminderd.daemon.setup import provider_client
from reminderd.doctor.connections import DoctorClient, check_webhooks
from reminderd.providers.twilio.settings import TwilioSettings
from tests.doctor.conftest import generic, says
from tests.support.hostile_provider import Line, ReceivedRequest, Script, answering, hear, hostile, nobody_listens
from tests.support.tls import encrypted
from tests.support.twilio_sandbox import ACCOUNT, FROM, TOKEN, fields

PUBLIC = "https://clinic.example/reminders"
TOKEN_OF_PROVIDER = "a-token-of-the-provider"


def twilio() -> Config:
    section = TwilioSettings(account_sid=ACCOUNT, auth_token=TOKEN, from_number=FROM)
    web = WebConfig(public_base_url=PUBLIC)
    return with_provider(Config(web=web), section)


def a_daemon_with(config: Config) -> Script:
    """Answers as the daemon does that has this configuration, and no reminder."""
    provider = provider_client(config, own_url="")
    forged = 403 if config.provider.kind == "twilio" else 401

    async def judge(line: Line) -> None:
        if provider.verified(line.server.requests[-1].webhook):
            provider.parse(line.server.requests[-1].webhook)
            await line.stream.send_all(says(404, {"error": "Unknown reminder"}))
        else:
            await line.stream.send_all(says(forged, {"error": "Invalid signature"}))

    return hear, judge


async def looked(config: Config, ask: DoctorClient, *, public: str | None = None, local: str | None = None) -> Finding:
    return await check_webhooks(config, ask, public=public, local=local, now=SystemClock().now())


BEARER = generic(webhook_auth="bearer", webhook_secret=TOKEN_OF_PROVIDER)


@pytest.mark.parametrize("config", [generic(), BEARER, twilio()], ids=["standard webhooks", "bearer", "twilio"])
async def test_a_daemon_with_the_configured_secret_is_good(config: Config, ask: DoctorClient) -> None:
    async with hostile(a_daemon_with(config)) as server:
        found = await looked(config, ask, local=server.url)
    assert found.mark is Mark.GOOD
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("config", "of_daemon"),
    [
        (generic(), generic(webhook_secret="whsec_" + "QUJD" * 8)),
        (BEARER, generic(webhook_auth="bearer", webhook_secret="another-token-of-theirs")),
        (twilio(), evolve(twilio(), web=WebConfig(public_base_url="https://elsewhere.example"))),
    ],
    ids=["another secret", "another token", "another address"],
)
async def test_a_daemon_with_another_secret_or_address_is_an_error(
    config: Config, of_daemon: Config, ask: DoctorClient
) -> None:
    async with hostile(a_daemon_with(of_daemon)) as server:
        found = await looked(config, ask, local=server.url)
    assert found.mark is Mark.WRONG
    assert "is refused" in found.text


async def test_a_daemon_that_accepts_forged_webhooks_is_an_error(ask: DoctorClient) -> None:
    async with hostile(a_daemon_with(generic(webhook_auth="none", webhook_secret=""))) as server:
        found = await looked(generic(), ask, local=server.url)
    assert found.mark is Mark.WRONG
    assert "a forged one is not refused" in found.text


async def test_twilios_own_library_accepts_only_the_signed_probe(ask: DoctorClient) -> None:
    async with hostile(a_daemon_with(twilio())) as server:
        await looked(twilio(), ask, local=server.url)
    validator = RequestValidator(TOKEN)

    def is_believed(request: ReceivedRequest) -> bool:
        url = PUBLIC + request.target
        return bool(validator.validate(url, fields(request), request.headers["x-twilio-signature"]))

    assert [is_believed(request) for request in server.requests] == [False, True]


@pytest.mark.parametrize("config", [generic(), BEARER, twilio()], ids=["standard webhooks", "bearer", "twilio"])
async def test_a_probe_names_no_real_reminder_and_ends_no_call(config: Config, ask: DoctorClient) -> None:
    provider = provider_client(config, own_url="")
    async with hostile(a_daemon_with(config)) as server:
        await looked(config, ask, local=server.url)
        await looked(config, ask, local=server.url)
    reports = [provider.parse(request.webhook) for request in server.requests]
    names = {report.reminder_id or report.attempt_id or "" for report in reports}
    assert len(names) == 2
    assert all(name.startswith("doctor-") and len(name) > 40 for name in names)
    assert {report.status for report in reports} == {"queued"}


async def test_the_public_address_is_asked_first(ask: DoctorClient, authority: trustme.CA) -> None:
    with nobody_listens() as nobody:
        async with hostile(a_daemon_with(generic())) as server, encrypted(server.url, authority) as url:
            found = await looked(generic(), ask, public=url, local=nobody)
    assert found.mark is Mark.GOOD
    assert url in found.text


async def test_a_token_is_only_sent_over_tls_or_on_this_machine(ask: DoctorClient, authority: trustme.CA) -> None:
    async with hostile(a_daemon_with(BEARER)) as server:
        assert (await looked(BEARER, ask, public=server.url)).mark is Mark.UNKNOWN
        assert server.requests == []
        assert (await looked(BEARER, ask, public="http://clinic.example", local=server.url)).mark is Mark.GOOD
        async with encrypted(server.url, authority) as url:
            assert (await looked(BEARER, ask, public=url)).mark is Mark.GOOD


@pytest.mark.parametrize(
    ("config", "mark"),
    [
        (Config(), Mark.UNKNOWN),
        (generic(webhook_auth="none", webhook_secret=""), Mark.WARNING),
        (generic(), Mark.UNKNOWN),
        (twilio(), Mark.UNKNOWN),
    ],
    ids=["sandbox", "unsigned", "generic", "twilio"],
)
async def test_without_a_daemon_to_ask_nothing_is_called_good(config: Config, mark: Mark, ask: DoctorClient) -> None:
    assert (await looked(config, ask)).mark is mark


async def test_a_daemon_that_does_not_answer_is_reported(ask: DoctorClient) -> None:
    with nobody_listens() as nobody:
        assert (await looked(generic(), ask, local=nobody)).mark is Mark.UNKNOWN


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"error": 5}', b'{"error": ""}'])
async def test_an_answer_of_another_program_is_an_error(body: bytes, ask: DoctorClient) -> None:
    async with hostile(answering(401, body)) as server:
        found = await looked(generic(), ask, local=server.url)
    assert found.mark is Mark.WRONG
    assert "it is not the daemon that answers" in found.text
