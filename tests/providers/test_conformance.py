"""What the rest of the program relies on from every provider.

A provider joins by a function like `generic` below and a name in `RIGS`. Where providers differ, the provider's
capabilities or the rig say so.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from functools import partial
from uuid import uuid4

import pytest
import trio
from attrs import evolve, frozen

from reminderd.clock import SystemClock
from reminderd.core.answers import (
    Accepted,
    Candidates,
    Found,
    NoAnswer,
    NotFound,
    NotPlaced,
    Refused,
    Report,
    Unclear,
)
from reminderd.core.model import TERMINAL
from reminderd.providers.base import InvalidPayloadError, Placement, ProviderClient, Webhook
from reminderd.providers.base_settings import ClientOptions
from reminderd.providers.generic.settings import GenericSettings
from reminderd.providers.twilio.settings import TwilioSettings
from reminderd.providers.twilio.webhooks import PATH
from reminderd.sandbox.behaviors import example_number
from reminderd.sandbox.generic import Sandbox
from reminderd.sandbox.switchboard import serve_sandbox
from reminderd.sandbox.twilio.rest_api import TwilioSandbox
from tests.support.hostile_provider import HostileProvider, Line, answering, hear, hostile
from tests.support.twilio_sandbox import ACCEPTED, ACCOUNT, FROM, HELLO, TOKEN

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PACE = 0.005


@frozen
class Rig:
    """A provider, and a simulation of its other side."""

    provider: ProviderClient
    number: Callable[[str], str]
    """A phone number that behaves as named, in the words of the sandbox's table."""
    calls_placed: Callable[[], int]
    inbox: HostileProvider
    """Where its webhooks arrive."""
    names_reminder: bool
    """Whether a report repeats the reminder's id, and not only the call's."""
    transcribes: bool
    """Whether a report has the words that were spoken."""

    async def reports(self, count: int) -> list[Report]:
        """Return the first `count` webhooks, verified and parsed."""
        webhooks = await self.inbox.heard(count)
        assert all(self.provider.verified(webhook.webhook) for webhook in webhooks)
        return [self.provider.parse(webhook.webhook) for webhook in webhooks]

    async def end_of_call(self) -> Report:
        """Return the first terminal report."""
        count = 1
        while True:
            for report in await self.reports(count):
                if report.status in TERMINAL:
                    return report
            count += 1

    async def among_those_found(self, order: Placement) -> list[Report]:
        """Return the calls that may be the requested one: one if our id is known, else perhaps several."""
        match await self.provider.find(order):
            case Found(report):
                return [report]
            case Candidates(reports):
                return list(reports)
            case _:
                return []


def options(public_base_url: str) -> ClientOptions:
    return ClientOptions(public_base_urls=(public_base_url,), timeout=timedelta(seconds=10), max_connections=4)


@asynccontextmanager
async def generic(pace: float = PACE) -> AsyncIterator[Rig]:
    async with hostile(answering(204)) as inbox, trio.open_nursery() as nursery:
        sandbox = Sandbox(inbox.url, SECRET, "key", pace=pace)
        settings = GenericSettings(
            api_url=await nursery.start(partial(serve_sandbox, sandbox)),
            api_key="key",
            webhook_secret=SECRET,
            honors_idempotency_key=True,
            look_up=True,
        )
        provider = settings.client(options(inbox.url))
        yield Rig(provider, example_number, lambda: len(sandbox.calls), inbox, names_reminder=True, transcribes=True)
        await provider.aclose()
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def twilio(pace: float = PACE) -> AsyncIterator[Rig]:
    async def take(line: Line) -> None:
        """Answer like a clinic: a few words for the person who answers, nothing for a report."""
        asks = line.server.requests[-1].target.startswith(f"{PATH}/answer/")
        await line.stream.send_all(HELLO if asks else ACCEPTED)

    async with hostile((hear, take)) as inbox, trio.open_nursery() as nursery:
        sandbox = TwilioSandbox(ACCOUNT, TOKEN, pace=pace)
        settings = TwilioSettings(
            account_sid=ACCOUNT,
            auth_token=TOKEN,
            from_number=FROM,
            api_url=await nursery.start(partial(serve_sandbox, sandbox)),
            machine_detection="off",
        )
        provider = settings.client(options(inbox.url))
        yield Rig(provider, example_number, lambda: len(sandbox.calls), inbox, names_reminder=False, transcribes=False)
        await provider.aclose()
        nursery.cancel_scope.cancel()


RIGS: dict[str, Callable[..., AbstractAsyncContextManager[Rig]]] = {"generic": generic, "twilio": twilio}


@pytest.fixture(params=RIGS)
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with RIGS[request.param]() as made:
        yield made


@pytest.fixture(params=RIGS)
async def slow_rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """Return a rig whose calls make no progress by themselves."""
    async with RIGS[request.param](pace=60) as made:
        yield made


def placement(phone_number: str) -> Placement:
    return Placement(
        call_id=str(uuid4()),
        reminder_id=str(uuid4()),
        phone_number=phone_number,
        message="Your appointment is at nine.",
        asked_from=SystemClock().now(),
    )


async def test_a_call_is_accepted_with_the_providers_id_and_reported_with_ours(rig: Rig) -> None:
    order = placement(rig.number("answered"))
    answer = await rig.provider.place(order)
    assert isinstance(answer, Accepted)
    end = await rig.end_of_call()
    assert (end.external_call_id, end.status) == (answer.external_call_id, "completed")
    assert end.attempt_id == order.call_id
    assert end.reminder_id == (order.reminder_id if rig.names_reminder else None)
    assert bool(end.transcript) is rig.transcribes
    assert end.duration_seconds


@pytest.mark.parametrize(("behavior", "status"), [("busy", "busy"), ("no answer", "no-answer"), ("failed", "failed")])
async def test_each_end_of_a_call_is_reported_with_our_status(behavior: str, status: str, rig: Rig) -> None:
    await rig.provider.place(placement(rig.number(behavior)))
    assert (await rig.end_of_call()).status == status


async def test_simultaneous_calls_each_get_their_own_id(rig: Rig) -> None:
    answers: list[object] = []

    async def place() -> None:
        answers.append(await rig.provider.place(placement(rig.number("answered"))))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(place)
    assert len({answer.external_call_id for answer in answers if isinstance(answer, Accepted)}) == 20


async def test_a_number_that_cannot_be_called_is_refused_with_a_reason(rig: Rig) -> None:
    answer = await rig.provider.place(placement(rig.number("refused")))
    assert isinstance(answer, Refused)
    assert answer.reason
    assert rig.calls_placed() == 0


async def test_a_provider_that_is_down_for_a_moment_has_placed_nothing(rig: Rig) -> None:
    order = placement(rig.number("down then up"))
    answer = await rig.provider.place(order)
    while isinstance(answer, NotPlaced):
        assert rig.calls_placed() == 0
        assert answer.retry_after is not None
        answer = await rig.provider.place(order)
    assert isinstance(answer, Accepted)
    assert rig.calls_placed() == 1


async def test_too_many_requests_ask_for_a_pause_of_everything(rig: Rig) -> None:
    answer = await rig.provider.place(placement(rig.number("too many requests")))
    assert isinstance(answer, NotPlaced)
    assert answer.rate_limited


@pytest.mark.parametrize("behavior", ["lost answer", "error, placed"])
async def test_a_call_whose_answer_is_lost_is_unclear_and_can_be_found(behavior: str, rig: Rig) -> None:
    order = placement(rig.number(behavior))
    assert isinstance(await rig.provider.place(order), Unclear)
    assert rig.calls_placed() == 1
    end = await rig.end_of_call()
    assert end.attempt_id == order.call_id
    if rig.provider.capabilities.look_up:
        assert [found.external_call_id for found in await rig.among_those_found(order)] == [end.external_call_id]


async def test_a_repeat_with_the_same_key_places_no_second_call(rig: Rig) -> None:
    if not rig.provider.capabilities.honors_key:
        pytest.skip("this provider knows no keys")
    order = placement(rig.number("lost answer"))
    assert isinstance(await rig.provider.place(order), Unclear)
    again = await rig.provider.place(order)
    assert isinstance(again, Accepted)
    assert again.external_call_id == (await rig.end_of_call()).external_call_id
    assert rig.calls_placed() == 1


async def test_a_call_that_was_never_placed_is_not_found(rig: Rig) -> None:
    if not rig.provider.capabilities.look_up:
        pytest.skip("this provider has no look-up")
    order = placement(rig.number("error, not placed"))
    assert isinstance(await rig.provider.place(order), Unclear)
    assert await rig.among_those_found(order) == []
    assert isinstance(await rig.provider.fetch("no-such-call"), NotFound | NoAnswer)


async def test_a_look_up_and_a_webhook_give_the_same_report(rig: Rig) -> None:
    if not rig.provider.capabilities.look_up:
        pytest.skip("this provider has no look-up")
    answer = await rig.provider.place(placement(rig.number("answered")))
    assert isinstance(answer, Accepted)
    end = await rig.end_of_call()
    finding = await rig.provider.fetch(answer.external_call_id)
    assert isinstance(finding, Found)
    assert (finding.report.status, finding.report.transcript) == (end.status, end.transcript)


async def test_a_changed_or_unsigned_webhook_is_not_verified(rig: Rig) -> None:
    await rig.provider.place(placement(rig.number("answered")))
    webhook = (await rig.inbox.heard(1))[0].webhook
    assert rig.provider.verified(webhook)
    assert not rig.provider.verified(evolve(webhook, body=webhook.body + b" "))
    assert not rig.provider.verified(evolve(webhook, headers={}))


async def test_a_call_that_nobody_has_answered_can_be_dropped(slow_rig: Rig) -> None:
    if not slow_rig.provider.capabilities.drop:
        pytest.skip("this provider drops no calls")
    answer = await slow_rig.provider.place(placement(slow_rig.number("no answer")))
    assert isinstance(answer, Accepted)
    finding = await slow_rig.provider.drop(answer.external_call_id)
    assert isinstance(finding, Found)
    assert (finding.report.external_call_id, finding.report.status) == (answer.external_call_id, "canceled")
    assert (await slow_rig.end_of_call()).status == "canceled"


async def test_an_ended_call_cannot_be_dropped(rig: Rig) -> None:
    if not rig.provider.capabilities.drop:
        pytest.skip("this provider drops no calls")
    answer = await rig.provider.place(placement(rig.number("busy")))
    assert isinstance(answer, Accepted)
    await rig.end_of_call()
    finding = await rig.provider.drop(answer.external_call_id)
    assert isinstance(finding, Found)
    assert finding.report.status == "busy"


@pytest.mark.parametrize("body", [b"", b"\xff\x00", b"{}", b"[]", b"call_id=1"])
async def test_a_malformed_webhook_is_an_invalid_payload(body: bytes, rig: Rig) -> None:
    with pytest.raises(InvalidPayloadError) as caught:
        rig.provider.parse(Webhook(target="/", headers={}, body=body))
    assert caught.value.details
