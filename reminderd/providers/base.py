"""The seam between us and a voice provider: what each provider's class must be able to do."""

from collections.abc import Mapping
from typing import Protocol

from attrs import frozen

from reminderd.core.answers import Answer, Capabilities, Finding, Report
from reminderd.core.reminder import Call, Reminder


@frozen(kw_only=True)
class Placement:
    """All that a provider is told about a call it shall place."""

    call_id: str
    """Our own id: the idempotency key, and `attempt_id` in the metadata."""
    reminder_id: str
    phone_number: str
    """E.164, with `+`."""
    message: str


def placement_of(reminder: Reminder, call: Call) -> Placement:
    """What a provider is told about this call of this reminder."""
    return Placement(
        call_id=call.id, reminder_id=reminder.id, phone_number=reminder.phone_number, message=reminder.message
    )


class InvalidPayloadError(Exception):
    """A webhook's body is not what the contract says; `details` has a sentence for each mistake."""

    def __init__(self, details: list[str]) -> None:
        super().__init__("; ".join(details))
        self.details = details


class Provider(Protocol):
    """A voice provider. Its requests never raise for what a network or a provider can do: that is an answer."""

    @property
    def name(self) -> str:
        """What `call_logs.provider` says."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do for us when we are unsure."""

    async def place(self, placement: Placement) -> Answer:
        """Ask for one call. Ends within the provider's `timeout_seconds`, whatever the other side does."""

    async def fetch(self, external_call_id: str) -> Finding:
        """Ask how the call with the provider's own id stands. Only with `capabilities.look_up`."""

    async def find(self, placement: Placement) -> Finding:
        """Ask for the call that carries our `call_id`. Only with `capabilities.look_up`."""

    def verified(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether a webhook with these headers (names in lower case) and this raw body is the provider's own."""

    def parse(self, body: bytes) -> Report:
        """The report in a webhook's raw body.

        Raises:
            InvalidPayloadError: the body is not the contract's; every mistake is listed.
        """

    async def aclose(self) -> None:
        """Give back its connections."""
