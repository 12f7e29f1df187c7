"""The generic contract over real HTTP, as a client uses it."""

import socket
from functools import partial
from uuid import UUID

import httpx
import pytest
import trio

from reminderd.providers.base import json_object
from reminderd.providers.generic.webhooks import read_report, standard_webhooks
from reminderd.sandbox.behaviors import example_number
from reminderd.sandbox.generic import PAUSES, Sandbox
from reminderd.sandbox.switchboard import serve_sandbox
from tests.support.generic_sandbox import ACCEPTED, SECRET, a_generic_sandbox, status_of
from tests.support.hostile_provider import answering, cut, hear
from tests.support.waiting import PATIENCE, until

ANSWERED = ["completed", "in-progress", "initiated", "ringing"]


async def test_a_call_is_placed_rings_and_is_answered() -> None:
    async with a_generic_sandbox() as served:
        answer = await served.place("answered", key="k-1")
        assert answer.status_code == 201
        call_id = answer.json()["call_id"]
        assert str(UUID(call_id)) == call_id
        assert await served.statuses(4) == ANSWERED
        report = read_report(json_object((await served.webhook("completed")).body))
        assert (report.external_call_id, report.reminder_id, report.attempt_id) == (call_id, "r-1", "k-1")
        assert report.transcript
        assert report.duration_seconds


async def test_webhooks_are_signed_and_each_has_an_id_of_its_own() -> None:
    async with a_generic_sandbox() as served:
        await served.place("answered")
        webhooks = await served.inbox.heard(4)
    assert all(standard_webhooks(SECRET)(webhook.headers, webhook.body) for webhook in webhooks)
    assert len({webhook.headers["webhook-id"] for webhook in webhooks}) == 4


@pytest.mark.parametrize(
    ("behavior", "statuses"),
    [
        ("busy", ["busy", "initiated"]),
        ("no answer", ["initiated", "no-answer", "ringing"]),
        ("failed", ["failed", "initiated"]),
        ("unknown status", ["completed", "dispatched", "in-progress", "initiated", "ringing"]),
        ("slow", ANSWERED),
        ("error, placed", ANSWERED),
        ("late webhook", ANSWERED),
        ("repeated webhook", ["completed", "completed", *ANSWERED]),
    ],
)
async def test_each_number_has_its_own_webhooks(behavior: str, statuses: list[str]) -> None:
    async with a_generic_sandbox() as served:
        await served.place(behavior)
        assert await served.statuses(len(statuses)) == statuses


async def test_a_voicemail_is_completed_by_a_machine_without_a_transcript() -> None:
    async with a_generic_sandbox() as served:
        await served.place("voicemail")
        report = read_report(json_object((await served.webhook("completed")).body))
    assert (report.answered_by, report.transcript) == ("machine", None)


async def test_a_repeated_webhook_keeps_its_id() -> None:
    async with a_generic_sandbox() as served:
        await served.place("repeated webhook")
        webhooks = await served.inbox.heard(6)
    assert len({webhook.headers["webhook-id"] for webhook in webhooks if status_of(webhook) == "completed"}) == 1


async def test_an_early_webhook_comes_before_the_answer() -> None:
    async with a_generic_sandbox(pace=0.2) as served:  # the answer waits for 20 steps at most
        answer = await served.place("early webhook")
        assert answer.status_code == 201
        assert "completed" in [status_of(webhook) for webhook in served.inbox.requests]


async def test_an_answer_does_not_wait_forever_for_an_early_webhook() -> None:
    async with a_generic_sandbox(answering(500), pace=0.001) as served:
        with trio.fail_after(PATIENCE):
            assert (await served.place("early webhook")).status_code == 201


async def test_without_webhooks_a_look_up_shows_the_end() -> None:
    async with a_generic_sandbox() as served:
        call_id = (await served.place("no webhook")).json()["call_id"]

        async def has_ended() -> bool:
            return bool((await served.client.get(f"/calls/{call_id}")).json()["status"] == "completed")

        await until(has_ended)
        assert served.inbox.connections == 0


async def test_a_lost_answer_is_cut_and_the_call_is_placed() -> None:
    async with a_generic_sandbox() as served:
        with pytest.raises(httpx.RemoteProtocolError):
            await served.place("lost answer")
        assert len(served.sandbox.calls) == 1
        assert await served.statuses(4) == ANSWERED


async def test_a_repeated_request_after_a_lost_answer_returns_the_same_call() -> None:
    async with a_generic_sandbox() as served:
        with pytest.raises(httpx.RemoteProtocolError):
            await served.place("lost answer", key="k")
        again = await served.place("lost answer", key="k")
        assert (again.status_code, again.json()["call_id"]) == (200, served.sandbox.calls[0].id)
        assert len(served.sandbox.calls) == 1


async def test_an_unavailable_provider_says_when_to_retry() -> None:
    async with a_generic_sandbox() as served:
        answers = [await served.place("down then up", key="k") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 201]
    assert [answer.headers.get("Retry-After") for answer in answers] == ["0", "0", None]


async def test_the_same_key_for_a_different_request_is_a_conflict() -> None:
    async with a_generic_sandbox() as served:
        await served.place("answered", key="k")
        assert (await served.place("busy", key="k")).status_code == 409
        assert len(served.sandbox.calls) == 1


async def test_a_webhook_is_sent_again_under_the_same_id_until_it_is_accepted() -> None:
    refusals = [(hear, cut), answering(500), answering(503), answering(302, Location="/"), ACCEPTED]
    async with a_generic_sandbox(*refusals) as served:
        await served.place("busy")
        webhooks = await served.inbox.heard(6)  # two are accepted, after four failed tries
    by_status = {
        status: {w.headers["webhook-id"] for w in webhooks if status_of(w) == status}
        for status in ("initiated", "busy")
    }
    assert [len(ids) for ids in by_status.values()] == [1, 1]


async def test_a_webhook_that_is_never_accepted_is_given_up_and_others_are_still_sent() -> None:
    failed_tries = 1 + len(PAUSES)
    async with a_generic_sandbox(*[answering(500)] * (2 * failed_tries), ACCEPTED, pace=0.001) as served:
        await served.place("busy")
        await served.inbox.heard(2 * failed_tries)
        await served.place("no answer", reminder_id="r-2")
        await served.webhook("no-answer")
        await served.inbox.heard(2 * failed_tries + 3)
    assert len(served.inbox.requests) == 2 * failed_tries + 3


async def test_a_webhook_answered_with_410_is_not_sent_again() -> None:
    async with a_generic_sandbox(answering(410), answering(410), ACCEPTED) as served:
        await served.place("busy")
        await served.inbox.heard(2)
        await served.place("failed", reminder_id="r-2")
        assert (await served.statuses(4))[-1] == "initiated"
    assert len(served.inbox.requests) == 4


async def test_a_call_can_be_looked_up_by_either_id() -> None:
    async with a_generic_sandbox() as served:
        call_id = (await served.place("no webhook", key="k-1")).json()["call_id"]
        await served.place("no webhook", key="k-2")
        one = (await served.client.get(f"/calls/{call_id}")).json()
        (listed,) = (await served.client.get("/calls", params={"attempt_id": "k-1"})).json()["calls"]
        everything = (await served.client.get("/calls")).json()["calls"]
    assert one["call_id"] == listed["call_id"] == call_id
    assert listed["metadata"] == {"reminder_id": "r-1", "attempt_id": "k-1"}
    assert listed["phone_number"] == example_number("no webhook")
    assert len(everything) == 2


async def test_an_unknown_resource_is_404() -> None:
    async with a_generic_sandbox() as served:
        assert (await served.client.get("/calls/no-such-call")).status_code == 404
        assert (await served.client.get("/elsewhere")).json() == {"error": "Not Found"}
        assert (await served.client.get("/calls", params={"attempt_id": "k"})).json() == {"calls": []}
        assert (await served.client.delete("/calls")).status_code == 405


@pytest.mark.parametrize("authorization", ["", "Bearer other", "Bearer", "key", "Basic key"])
async def test_a_wrong_key_is_401_and_places_nothing(authorization: str) -> None:
    async with a_generic_sandbox() as served:
        served.client.headers["Authorization"] = authorization
        assert (await served.place("answered")).status_code == 401
        assert served.sandbox.calls == ()


@pytest.mark.parametrize(
    ("body", "mistakes"),
    [
        pytest.param(b"", 1, id="nothing"),
        pytest.param(b"[" * 50_000, 1, id="deep brackets"),
        pytest.param(b"{}", 2, id="nothing in it"),
        pytest.param(b'{"phone_number": 1, "message": "x", "metadata": []}', 2, id="wrong types"),
    ],
)
async def test_an_invalid_request_is_400_with_every_mistake(body: bytes, mistakes: int) -> None:
    async with a_generic_sandbox() as served:
        answer = await served.client.post("/calls", content=body)
        assert answer.status_code == 400
        assert len(answer.json()["details"]) == mistakes


async def test_a_request_that_is_too_long_is_413() -> None:
    async with a_generic_sandbox() as served:
        assert (await served.client.post("/calls", content=b"x" * 100_000)).status_code == 413


async def test_a_call_has_its_number_its_time_and_its_key() -> None:
    async with a_generic_sandbox() as served:
        await served.place("no webhook", key="k-1")
        (call,) = served.sandbox.calls
    assert (call.phone_number, call.key) == (example_number("no webhook"), "k-1")
    assert call.placed_at.tzinfo is not None


async def test_the_sandbox_stops_even_with_calls_in_progress() -> None:
    stopping = trio.Event()
    async with a_generic_sandbox() as served, trio.open_nursery() as nursery:
        sandbox = Sandbox(served.inbox.url, SECRET, "key", pace=1000)
        served.client.base_url = httpx.URL(
            await nursery.start(partial(serve_sandbox, sandbox, shutdown_trigger=stopping.wait))
        )
        await served.place("answered")
        stopping.set()
        nursery.cancel_scope.deadline = trio.current_time() + 10
    assert not nursery.cancel_scope.cancelled_caught


async def test_a_port_in_use_is_an_os_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            await serve_sandbox(Sandbox("", SECRET, "key"), port=taken.getsockname()[1])


def test_a_secret_that_cannot_sign_is_an_error_at_once() -> None:
    with pytest.raises(ValueError, match="base64"):
        Sandbox("http://127.0.0.1", "no secret!", "key")
