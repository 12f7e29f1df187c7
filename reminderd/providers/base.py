"""The seam between us and a voice provider: what each provider's class must be able to do."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from attrs import frozen

from reminderd.core.answers import Answer, Candidates, Capabilities, Finding, Report
from reminderd.core.lifecycle.transition import Action


@frozen(kw_only=True)
class Placement:
    """All that a provider is told about a call it shall place."""

    call_id: str
    """Our own id: the idempotency key, and `attempt_id` in the metadata."""
    reminder_id: str
    phone_number: str
    """E.164, with `+`."""
    message: str
    asked_from: datetime
    """No request for this call went out before."""


def placement_of(action: Action) -> Placement:
    """Return what a provider is told about a claimed call."""
    return Placement(
        call_id=action.call.id,
        reminder_id=action.call.reminder_id,
        phone_number=action.call.phone_number,
        message=action.message,
        asked_from=action.call.created_at,
    )


@frozen(kw_only=True)
class Webhook:
    """A request at the provider's door, as it came."""

    target: str
    """The raw path and query that were asked for."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


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
    def account(self) -> str:
        """What `call_logs.account` says: its calls are not asked about under another account."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do for us when we are unsure."""

    async def place(self, placement: Placement) -> Answer:
        """Ask for one call. Ends within the provider's `timeout_seconds`, whatever the other side does."""

    async def fetch(self, external_call_id: str) -> Finding:
        """Ask how the call with the provider's own id stands. Only with `capabilities.look_up`."""

    async def find(self, placement: Placement) -> Finding | Candidates:
        """Ask for the call that carries our `call_id`. Only with `capabilities.look_up`."""

    async def drop(self, external_call_id: str) -> Finding:
        """Ask to drop a call that nobody has answered, and how it stands then. Only with `capabilities.drop`."""

    def verified(self, webhook: Webhook) -> bool:
        """Whether a webhook is the provider's own."""

    def parse(self, webhook: Webhook) -> Report:
        """The report in a webhook.

        Raises:
            InvalidPayloadError: it is not the contract's; every mistake is listed.
        """

    async def aclose(self) -> None:
        """Give back its connections."""
