"""Twilio's own client library must accept every resource of the sandbox."""

from typing import Any

import pytest
import trio
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from reminderd.sandbox.behaviors import example_number
from tests.support.twilio_sandbox import ACCOUNT, FROM, TOKEN, ServedTwilioSandbox, a_twilio_sandbox


class Rerouted(TwilioHttpClient):  # type: ignore[misc]  # the library ships no types
    """Sends to the sandbox the requests that are meant for Twilio."""

    def __init__(self, url: str) -> None:
        super().__init__(pool_connections=False)
        self._url = url

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Response:
        return super().request(method, url.replace("https://api.twilio.com", self._url), *args, **kwargs)


def client_of(served: ServedTwilioSandbox) -> Any:
    return Client(ACCOUNT, TOKEN, http_client=Rerouted(str(served.client.base_url).rstrip("/")))


async def test_twilios_own_client_places_reads_lists_and_ends_a_call() -> None:
    async with a_twilio_sandbox(pace=1000) as served:
        client = client_of(served)

        def all_four() -> tuple[Any, Any, Any, Any]:
            placed = client.calls.create(
                to=example_number("confirms"),
                from_=FROM,
                url=f"{served.clinic.url}/answer",
                status_callback=f"{served.clinic.url}/status/call-1",
                status_callback_event=["initiated", "answered"],
                machine_detection="Enable",
                timeout=30,
                time_limit=120,
            )
            (listed,) = client.calls.list(to=example_number("confirms"), status="queued", page_size=1)
            return placed, client.calls(placed.sid).fetch(), listed, client.calls(placed.sid).update(status="canceled")

        placed, fetched, listed, ended = await trio.to_thread.run_sync(all_four)
        (call,) = served.sandbox.calls
    assert placed.sid == fetched.sid == listed.sid == call.id
    assert (placed.status, ended.status) == ("queued", "canceled")
    assert placed.date_created.tzinfo is not None
    assert (placed.start_time, ended.duration) == (None, None)
    assert call.request.events == {"initiated", "answered"}
    assert call.request.machine_detection == "Enable"


async def test_twilios_own_client_pages_through_a_list() -> None:
    async with a_twilio_sandbox(pace=1000) as served:
        for _ in range(5):
            await served.place()
        listed = await trio.to_thread.run_sync(lambda: client_of(served).calls.list(page_size=2))
    assert [each.sid for each in listed] == [call.id for call in reversed(served.sandbox.calls)]


async def test_twilios_own_client_reads_the_account_and_its_numbers() -> None:
    async with a_twilio_sandbox() as served:
        client = client_of(served)
        account = await trio.to_thread.run_sync(lambda: client.api.accounts(ACCOUNT).fetch())
        numbers = await trio.to_thread.run_sync(lambda: client.incoming_phone_numbers.list(phone_number=FROM))
    assert (account.status, account.type) == ("active", "Full")
    assert [number.capabilities["voice"] for number in numbers] == [True]


async def test_twilios_own_client_raises_the_sandboxs_errors() -> None:
    async with a_twilio_sandbox() as served:
        client = client_of(served)
        parameters = {"to": example_number("refused"), "from_": FROM, "url": f"{served.clinic.url}/answer"}
        with pytest.raises(TwilioRestException) as caught:
            await trio.to_thread.run_sync(lambda: client.calls.create(**parameters))
    assert (caught.value.status, caught.value.code) == (400, 21211)
