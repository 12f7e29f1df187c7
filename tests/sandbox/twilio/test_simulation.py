"""How often a webhook is sent: once, and again only where no connection could be made."""

from collections.abc import Mapping
from datetime import timedelta

from attrs import define

from reminderd.providers.http import HttpAnswer, HttpClient, HttpFailure, HttpResult
from reminderd.sandbox.twilio.call import WebhookTarget
from reminderd.sandbox.twilio.simulation import TwilioWebhookSender
from tests.support.hostile_provider import cut, hear, hostile, nobody_listens


@define
class CountingClient(HttpClient):
    """Sends real requests and counts them."""

    asked: int = 0

    def __attrs_post_init__(self) -> None:
        super().__init__(timeout=timedelta(seconds=5), max_connections=1)

    async def ask(
        self, method: str, url: str, *, headers: Mapping[str, str], content: bytes | None = None
    ) -> HttpResult:
        self.asked += 1
        return await super().ask(method, url, headers=headers, content=content)


async def sent_to(url: str) -> tuple[int, HttpResult]:
    http = CountingClient()
    outcome = await TwilioWebhookSender(http=http, auth_token="12345").send(
        WebhookTarget(url=url, method="POST"), {"CallSid": "CA1"}
    )
    await http.aclose()
    return http.asked, outcome


async def test_a_refused_connection_is_tried_once_more() -> None:
    with nobody_listens() as url:
        times, outcome = await sent_to(url)
    assert times == 2
    assert isinstance(outcome, HttpFailure)


async def test_a_connection_that_is_cut_after_sending_is_not_tried_again() -> None:
    async with hostile((hear, cut)) as server:
        times, outcome = await sent_to(server.url)
        assert (times, len(server.requests)) == (1, 1)
    assert isinstance(outcome, HttpFailure)


async def test_a_request_to_an_invalid_url_is_not_tried_again() -> None:
    times, outcome = await sent_to("http://clinic:port/")
    assert times == 1
    assert not isinstance(outcome, HttpAnswer)
