"""What playing a call needs: where it is remembered, how its owner is reached, and how it is hung up from outside."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial

import trio
from attrs import field, frozen
from loguru import logger

from reminderd.clock import Clock
from reminderd.sandbox.ledger import Ledger
from reminderd.sandbox.twilio.call import ENDED, TwilioCall, complained, moved
from reminderd.sandbox.twilio.wire import Wire


@frozen(kw_only=True)
class Operator:
    """One for all calls of a sandbox that is being served."""

    account_sid: str
    ledger: Ledger[TwilioCall]
    wire: Wire
    pace: float
    clock: Clock
    _playing: dict[str, trio.CancelScope] = field(factory=dict, init=False)

    def now(self) -> datetime:
        """The wall clock, UTC."""
        return self.clock.now()

    def note(self, call: TwilioCall, change: Callable[[TwilioCall], TwilioCall]) -> TwilioCall:
        """The call as it is now, after the change; one that is forgotten goes on unremembered."""
        return self.ledger.change(call.id, change) or change(call)

    def complain(self, call: TwilioCall, complaint: str) -> None:
        """Keep a mistake of whoever placed the call, and tell whoever watches."""
        logger.warning("sandbox: about call {} Twilio would complain: {}", call.id, complaint)
        self.note(call, partial(complained, complaint=complaint))

    async def wait(self, steps: int) -> None:
        """Let so many steps pass."""
        await trio.sleep(steps * self.pace)

    @contextmanager
    def playing(self, call: TwilioCall) -> Iterator[None]:
        """What is inside is broken off when the call is hung up from outside, or was before it began."""
        with trio.CancelScope() as scope:
            if (self.ledger.call(call.id) or call).status in ENDED:
                scope.cancel()
            self._playing[call.id] = scope
            try:
                yield
            finally:
                del self._playing[call.id]

    def hang_up(self, call: TwilioCall, status: str) -> TwilioCall:
        """End a call at once, with this status."""
        if call.id in self._playing:
            self._playing[call.id].cancel()
        return self.note(call, partial(moved, status=status, now=self.now()))
