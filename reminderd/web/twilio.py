"""Twilio's webhooks: how a call goes, what is said when it is answered, and the keys that are pressed in it."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Protocol, TypeAlias

from loguru import logger
from quart import Response

from reminderd.core.answers import Report
from reminderd.core.lifecycle.keypress import NOT_NEEDED, Key
from reminderd.core.script.prompts import Reply
from reminderd.core.script.templates import Script
from reminderd.providers.base import Webhook
from reminderd.providers.twilio.client import PATH, TwilioProvider
from reminderd.providers.twilio.forms import read_key, unused_answer
from reminderd.providers.twilio.twiml import fallback, twiml
from reminderd.store.errors import StoreUnavailableError, UnknownReminderError
from reminderd.web.door import Door
from reminderd.web.webhooks import Record

_XML: Final = "text/xml; charset=utf-8"


class Spoken(Protocol):
    """What is said next in a call, and on record."""

    @property
    def reply(self) -> Reply:
        """What, without its words."""

    @property
    def message(self) -> str:
        """The reminder's own words."""


PickUp: TypeAlias = Callable[[Report], Awaitable[Spoken]]
"""Records that a call was answered, and decides what is said; raises what `Record` raises."""

Press: TypeAlias = Callable[[Report, Key], Awaitable[Spoken]]
"""Records what a key means, and decides what is said; raises what `Record` raises."""

Unused: TypeAlias = Callable[[str], Awaitable[None]]
"""Records that Twilio could not use our answer to the call with this id of ours."""


def twilio_door(
    provider: TwilioProvider, *, script: Script, record: Record, pick_up: PickUp, press: Press, unused: Unused
) -> Door:
    """The door of Twilio. All of it is signed, the fallback too."""
    speak = partial(_speaking, provider=provider, script=script)
    routes = [
        ("POST", f"{PATH}/status/<call_id>", partial(_status, provider=provider, record=record)),
        ("POST", f"{PATH}/answer/<call_id>", partial(_answer, provider=provider, pick_up=pick_up, speak=speak)),
        ("POST", f"{PATH}/keys/<call_id>", partial(_keys, provider=provider, press=press, speak=speak)),
        ("GET", f"{PATH}/fallback", partial(_fallback, script=script, unused=unused)),
    ]
    # 403 and not 401, as Twilio's own helper libraries answer.
    return Door(routes=routes, verified=provider.verified, forged=403)


async def _status(webhook: Webhook, *, provider: TwilioProvider, record: Record) -> Response:
    """Take a report of how a call goes; Twilio wants no words for it."""
    await record(provider.parse(webhook))
    return Response(b"", 204)


async def _answer(
    webhook: Webhook, *, provider: TwilioProvider, pick_up: PickUp, speak: Callable[[Report, Reply, str], Response]
) -> Response:
    """Say what there is to say to whoever picked up."""
    report = provider.parse(webhook)
    try:
        spoken = await pick_up(report)
    except UnknownReminderError:
        return _to_nobody(report, speak)
    return speak(report, spoken.reply, spoken.message)


async def _keys(
    webhook: Webhook, *, provider: TwilioProvider, press: Press, speak: Callable[[Report, Reply, str], Response]
) -> Response:
    """Do what a key means, then say so."""
    report, key = provider.parse(webhook), read_key(webhook)
    try:
        spoken = await press(report, key)
    except UnknownReminderError:
        return _to_nobody(report, speak)
    return speak(report, spoken.reply, spoken.message)


async def _fallback(webhook: Webhook, *, script: Script, unused: Unused) -> Response:
    """Say who called, and no more: Twilio asks for this when it could not use an answer of ours."""
    logger.warning("Twilio asked for the fallback: it could not use our answer to a call that was answered")
    call_id = unused_answer(webhook)
    if call_id is not None:
        try:
            await unused(call_id)
        except StoreUnavailableError as error:  # whoever listens hears who called all the same
            logger.warning(f"not recorded that our answer to the call {call_id} could not be used: {error}")
    return Response(fallback(script), 200, content_type=_XML)


def _speaking(report: Report, reply: Reply, message: str, *, provider: TwilioProvider, script: Script) -> Response:
    question = reply.question.value if reply.question is not None else ""
    keys_url = provider.keys_url(report.attempt_id or "", question=question, repeats=reply.repeats)
    body = twiml(reply, script=script, message=message, keys_url=keys_url)
    return Response(body, 200, content_type=_XML)


def _to_nobody(report: Report, speak: Callable[[Report, Reply, str], Response]) -> Response:
    """A human being is on the line, and we don't know why: be polite."""
    logger.warning(f"an unknown call was answered: {report.attempt_id}")
    return speak(report, NOT_NEEDED, "")
