"""`reminderd check-config --online`: the provider is asked, by reading only, over real loopback sockets."""

from functools import partial

import pytest
import trio
from click.testing import Result

from tests.cli.conftest import Terminal
from tests.support.hostile_provider import Script, answering, hostile, nobody_listens
from tests.support.twilio_rest import error, says
from tests.support.twilio_sandbox import ACCOUNT, FROM, TOKEN

ACTIVE = says(200, {"status": "active"})
SUSPENDED = says(200, {"status": "suspended"})
BOUGHT = says(200, {"incoming_phone_numbers": [{"capabilities": {"voice": True}}]})
NONE_BOUGHT = says(200, {"incoming_phone_numbers": []})
NONE_VERIFIED = says(200, {"outgoing_caller_ids": []})

TWILIO = f"""
[web]
public_base_url = "https://clinic.example"
[provider]
kind = "twilio"
[provider.twilio]
account_sid = "{ACCOUNT}"
auth_token = "{TOKEN}"
from_number = "{FROM}"
api_url = """
GENERIC = """
[provider]
kind = "generic"
[provider.generic]
api_key = "key"
webhook_auth = "none"
api_url = """


async def checked(terminal: Terminal, config: str, *scripts: Script, code: int) -> Result:
    """Return the command's output with a provider that plays these answers."""
    async with hostile(*scripts) as server:
        result = await asked(terminal, f'{config}"{server.url}"\n', code=code)
    assert {request.method for request in server.requests} == {"GET"}
    return result


async def asked(terminal: Terminal, config: str, *, code: int) -> Result:
    (terminal.folder / "config.toml").write_text(config)
    return await trio.to_thread.run_sync(partial(terminal.type, "check-config", "--online", code=code))


def mistakes(result: Result) -> list[str]:
    return result.stderr.splitlines()


async def test_an_account_that_owns_the_calling_number_is_accepted(terminal: Terminal) -> None:
    result = await checked(terminal, TWILIO, ACTIVE, BOUGHT, code=0)
    assert result.stdout.splitlines()[-1] == "online: the provider accepts our account"
    assert mistakes(result) == []


async def test_every_mistake_has_a_line_of_its_own(terminal: Terminal) -> None:
    result = await checked(terminal, TWILIO, SUSPENDED, NONE_BOUGHT, NONE_VERIFIED, code=1)
    assert mistakes(result) == [
        "online: the account is suspended; expected active",
        "online: from_number is not this account's; expected one bought at Twilio, or verified there",
    ]
    assert "knows us" not in result.stdout


async def test_a_wrong_token_is_reported_in_twilios_words_without_showing_it(terminal: Terminal) -> None:
    result = await checked(terminal, TWILIO, error(401, 20003, "Authenticate"), code=1)
    assert mistakes(result) == ["online: the account can't be read: 401 Unauthorized: 20003; Authenticate"]
    assert TOKEN not in result.output


@pytest.mark.parametrize("config", [TWILIO, GENERIC])
async def test_an_unreachable_provider_is_reported(config: str, terminal: Terminal) -> None:
    with nobody_listens() as url:
        (mistake,) = mistakes(await asked(terminal, f'{config}"{url}"\n', code=1))
    assert mistake.startswith("online: ")
    assert "could not connect" in mistake


async def test_a_generic_provider_that_answers_accepts_our_key(terminal: Terminal) -> None:
    result = await checked(terminal, GENERIC, answering(404), code=0)
    assert result.stdout.splitlines()[-1] == "online: the provider accepts our account"


async def test_a_generic_provider_that_refuses_the_key_is_reported(terminal: Terminal) -> None:
    result = await checked(terminal, GENERIC, answering(401, b'{"error": "who are you?"}'), code=1)
    assert mistakes(result) == ["online: the provider refuses us: 401 Unauthorized: who are you?"]


async def test_the_provider_is_only_asked_with_online(terminal: Terminal) -> None:
    async with hostile(ACTIVE) as server:
        (terminal.folder / "config.toml").write_text(f'{TWILIO}"{server.url}"\n')
        result = await trio.to_thread.run_sync(partial(terminal.type, "check-config"))
    assert server.connections == 0
    assert "https://clinic.example/webhooks/twilio/" in result.stdout
    assert "online" not in result.stdout


def test_the_sandbox_is_not_checked_online(terminal: Terminal) -> None:
    said = terminal.type("check-config", "--online").stdout
    assert "all calls are simulated, and no phone rings" in said
    assert said.splitlines()[-1] == "online: not checked, as the sandbox runs inside the daemon"


def test_a_missing_country_gets_a_warning_about_mistyped_numbers(terminal: Terminal) -> None:
    place = '[clinic]\ncountry = "US"\n'
    (terminal.folder / "config.toml").write_text(f'{GENERIC}"https://voice.example"\n')
    warning = "warning: no country is set, so a mistyped number may reach a phone anywhere in the world"
    assert warning in terminal.type("check-config").stdout
    (terminal.folder / "config.toml").write_text(f'{place}{GENERIC}"https://voice.example"\n')
    assert warning not in terminal.type("check-config").stdout


def test_the_address_of_the_front_desks_pages_is_shown(terminal: Terminal) -> None:
    assert "pages" not in terminal.type("check-config").stdout
    with (terminal.folder / "config.toml").open("a") as file:
        file.write("[desk]\nport = 4080\n")
    assert "pages: http://127.0.0.1:4080, on this machine" in terminal.type("check-config").stdout
