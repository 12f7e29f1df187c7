"""Plays whoever answers: fetches what is to be said, listens, and presses the keys that the number stands for."""

import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final
from urllib.parse import urljoin

import trio
from attrs import field, frozen

from reminderd.core.speech import seconds
from reminderd.providers.http import Unheard
from reminderd.sandbox.twilio.call import TwilioCall, given_up, said, talked
from reminderd.sandbox.twilio.operator import Operator
from reminderd.sandbox.twilio.order import Webhook
from reminderd.sandbox.twilio.parameters import of_call, of_detection
from reminderd.sandbox.twilio.twiml import Document, Gather, Hangup, Pause, Redirect, Say, TwimlError, read_twiml

_RETRIEVAL_FAILURE: Final = 11200
_APPLICATION_ERROR_STEPS: Final = 5
"""How long it takes to say that an application error has occurred."""
_MOST_DOCUMENTS: Final = 50
"""Of one call; more are a circle."""
_ERROR_STEPS: Final = 5
"""How long whoever answers is told that there was an application error, if nobody is asked what to speak."""


@frozen
class _Ask:
    """The next document is to be had here, by telling this besides."""

    webhook: Webhook
    besides: Mapping[str, str] = field(factory=dict)


async def converse(call: TwilioCall, operator: Operator) -> None:
    """Talk until somebody hangs up, or nobody knows what to say: that is noted on the call."""
    if not call.behaviour.fetches:
        operator.note(call, partial(talked, steps=_ERROR_STEPS))
        return
    keys = iter(call.behaviour.keys)
    ask: _Ask | None = _Ask(call.order.answer, of_detection(call))
    for _ in range(_MOST_DOCUMENTS):
        if ask is None:
            return
        found = await _document(call, ask, operator)
        if found is None:
            operator.note(call, partial(given_up, error_code=_RETRIEVAL_FAILURE))
            await _passed(call, _APPLICATION_ERROR_STEPS, operator)
            return
        url, document = found
        ask = await _followed(call, url, document, keys, operator)
    operator.complain(call, f"12200: {_MOST_DOCUMENTS} documents and no end")


async def _document(call: TwilioCall, ask: _Ask, operator: Operator) -> tuple[str, Document] | None:
    """The document, and the URL that it came from; from the fallback where the first can't be had, or None."""
    try:
        return ask.webhook.url, await _fetched(call, ask, operator)
    except TwimlError as error:
        operator.complain(call, f"{error}")
        failure = {"ErrorCode": str(error.code), "ErrorUrl": ask.webhook.url}
    fallback = call.order.fallback
    if fallback is None:
        return None
    try:
        return fallback.url, await _fetched(call, _Ask(fallback, {**ask.besides, **failure}), operator)
    except TwimlError as error:
        operator.complain(call, f"{error}")
        return None


async def _fetched(call: TwilioCall, ask: _Ask, operator: Operator) -> Document:
    parameters = {**of_call(operator.account_sid, call), **ask.besides}
    outcome = await operator.wire.send(ask.webhook, parameters)
    if isinstance(outcome, Unheard):
        raise TwimlError(_RETRIEVAL_FAILURE, f"HTTP retrieval failure: {outcome.reason}")
    if not (200 <= outcome.status < 300 and outcome.complete):
        raise TwimlError(_RETRIEVAL_FAILURE, f"HTTP retrieval failure: answered {outcome.status}")
    document = read_twiml(outcome.headers.get("Content-Type", ""), outcome.body)
    for complaint in document.complaints:
        operator.complain(call, complaint)
    return document


async def _followed(
    call: TwilioCall, url: str, document: Document, keys: Iterator[str], operator: Operator
) -> _Ask | None:
    """Do what the document says; what to ask for next, or None where somebody hangs up."""
    for verb in document.verbs:
        match verb:
            case Say() | Pause():
                await _listened(call, verb, operator)
            case Gather():
                ask = await _pressed(call, url, verb, keys, operator)
                if ask is not None:
                    return ask
            case Redirect():
                return _Ask(Webhook(url=_address(url, verb.url), method=verb.method))
            case Hangup():
                return None
    return None


def _address(url: str, reference: str) -> str:
    """Where a document from this URL points."""
    try:
        return urljoin(url, reference)
    except ValueError:  # no URL at all; whoever sends there will find nobody
        return reference


async def _listened(call: TwilioCall, verb: Say | Pause, operator: Operator) -> None:
    if isinstance(verb, Pause):
        await _passed(call, verb.length, operator)
        return
    for _ in range(verb.loop):
        now = operator.note(call, lambda one: one)
        if now.behaviour.listens_to is not None and len(now.heard) >= now.behaviour.listens_to:
            operator.hang_up(call, "completed")
        await trio.lowlevel.checkpoint()
        operator.note(call, partial(said, text=verb.text))
        await _passed(call, math.ceil(seconds(verb.text)), operator)


async def _pressed(call: TwilioCall, url: str, gather: Gather, keys: Iterator[str], operator: Operator) -> _Ask | None:
    """Hear it out, then press the next key; None: nothing is pressed, and nobody wants to know."""
    for prompt in gather.prompts:
        await _listened(call, prompt, operator)
    key = next(keys, "")
    await _passed(call, 1 if key and gather.only_one else gather.timeout, operator)
    if not (key or gather.even_if_empty):
        return None
    action = Webhook(url=_address(url, gather.action), method=gather.method)
    return _Ask(action, {"Digits": key, "FinishedOnKey": "", "msg": "Gather End"})


async def _passed(call: TwilioCall, steps: int, operator: Operator) -> None:
    await operator.wait(steps)
    operator.note(call, partial(talked, steps=steps))
