"""Plays one call from the queue to its end, with the status callbacks on the way."""

from functools import partial
from itertools import count
from typing import Final

import trio
from attrs import field, frozen

from reminderd.providers.http import Heard, Unheard
from reminderd.sandbox.behaviours import COPIES, LATE_STEPS, PROGRESS_BEFORE
from reminderd.sandbox.twilio.call import ENDED, TwilioCall, answered, dialled, moved, talked
from reminderd.sandbox.twilio.conversation import converse
from reminderd.sandbox.twilio.operator import Operator
from reminderd.sandbox.twilio.order import Webhook
from reminderd.sandbox.twilio.parameters import of_progress
from reminderd.sandbox.twilio.twiml import TwimlError, read_twiml

_EVENT_OF: Final = {"initiated": "initiated", "ringing": "ringing", "in-progress": "answered"} | dict.fromkeys(
    ENDED, "completed"
)
"""By the word that its callback says."""


async def ring(call: TwilioCall, over: trio.Event, *, operator: Operator) -> None:
    """Let the phone ring, talk if somebody answers, and tell of it all as the order wants it.

    Returns when every status callback is delivered or given up; `over` is set as soon as that holds for the last one.
    """
    async with trio.open_nursery() as deliveries:
        teller = _Teller(operator=operator, deliveries=deliveries, over=over)
        with operator.playing(call):
            await _played(call, teller, operator)
        teller.tell(operator.note(call, partial(moved, status=call.end, now=operator.now())))


async def _played(call: TwilioCall, teller: "_Teller", operator: Operator) -> None:
    """Everything before the end."""
    if call.behaviour.first_word is not None:
        await operator.wait(1)
        teller.tell(call, call.behaviour.first_word)
    for word in PROGRESS_BEFORE[call.end]:
        await operator.wait(1)
        now = operator.now()
        match word:
            case "initiated":
                teller.tell(operator.note(call, partial(dialled, now=now)), word)
            case "in-progress":
                taken = operator.note(call, partial(answered, now=now))
                teller.tell(taken)
                await converse(taken, operator)
                operator.note(call, partial(talked, steps=1))
            case _:
                teller.tell(operator.note(call, partial(moved, status=word, now=now)))
    await operator.wait(1)


@frozen(kw_only=True)
class _Teller:
    """The status callbacks of one call, numbered as they happen; each travels on its own."""

    operator: Operator
    deliveries: trio.Nursery
    over: trio.Event
    _numbers: "count[int]" = field(factory=count, init=False)

    def tell(self, call: TwilioCall, word: str | None = None) -> None:
        """Tell that the call is where it is, or of this word, if the order wants to know."""
        word = word or call.status
        webhook = call.order.status_callback
        # A word of no contract is told in any case: it is what such a number is for.
        wanted = word not in _EVENT_OF or _EVENT_OF[word] in call.order.events
        if webhook is not None and wanted and call.behaviour.webhooks != "none":
            told = of_progress(
                self.operator.account_sid, call, word=word, sequence=next(self._numbers), now=self.operator.now()
            )
            self.deliveries.start_soon(self._deliver, call, webhook, told)
        elif call.status in ENDED:
            self.over.set()

    async def _deliver(self, call: TwilioCall, webhook: Webhook, told: dict[str, str]) -> None:
        ended = call.status in ENDED
        if call.behaviour.webhooks == "late":
            await self.operator.wait(LATE_STEPS)
        copies = COPIES if ended and call.behaviour.webhooks == "repeated" else 1
        complaint = _complaint(await self.operator.wire.send(webhook, told, copies=copies))
        if complaint:
            self.operator.complain(call, complaint)
        if ended:
            self.over.set()


def _complaint(outcome: Heard | Unheard) -> str:
    """What Twilio has against the answer to a status callback: it wants a 2xx with nothing in it, or with TwiML."""
    if isinstance(outcome, Unheard):
        return f"15003: status callback: {outcome.reason}"
    if not 200 <= outcome.status < 300:
        return f"15003: status callback: answered {outcome.status}"
    if not outcome.body:
        return ""
    try:
        return "".join(read_twiml(outcome.headers.get("Content-Type", ""), outcome.body).complaints[:1])
    except TwimlError as error:
        return f"{error}"
