"""How often a webhook is sent: once, unless there was nobody to send it to."""

from collections.abc import Mapping
from datetime import timedelta

from attrs import define

from reminderd.providers.http import Exchange, Heard, Outcome, Unheard
from reminderd.sandbox.twilio.order import Webhook
from reminderd.sandbox.twilio.wire import Wire
from tests.support.hostile_provider import cut, hear, hostile, nobody_listens


@define
class CountingExchange(Exchange):
    """The real one; it counts what it is asked."""

    asked: int = 0

    def __attrs_post_init__(self) -> None:
        super().__init__(timeout=timedelta(seconds=5), max_connections=1)

    async def ask(self, method: str, url: str, *, headers: Mapping[str, str], content: bytes | None = None) -> Outcome:
        self.asked += 1
        return await super().ask(method, url, headers=headers, content=content)


async def sent_to(url: str) -> tuple[int, Outcome]:
    exchange = CountingExchange()
    outcome = await Wire(exchange=exchange, auth_token="12345").send(
        Webhook(url=url, method="POST"), {"CallSid": "CA1"}
    )
    await exchange.aclose()
    return exchange.asked, outcome


async def test_where_nobody_listens_it_is_tried_once_more() -> None:
    with nobody_listens() as url:
        times, outcome = await sent_to(url)
    assert times == 2
    assert isinstance(outcome, Unheard)


async def test_a_line_that_is_cut_after_sending_is_not_tried_again() -> None:
    async with hostile((hear, cut)) as server:
        times, outcome = await sent_to(server.url)
        assert (times, len(server.requests)) == (1, 1)
    assert isinstance(outcome, Unheard)


async def test_a_url_that_is_none_is_nobody() -> None:
    times, outcome = await sent_to("http://clinic:door/")
    assert times == 1
    assert not isinstance(outcome, Heard)
