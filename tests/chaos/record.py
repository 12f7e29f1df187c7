"""Keep a provider's own record: every request that arrived and every phone that rang, whatever was reported."""

from itertools import count

from attrs import define, field, frozen


@frozen(kw_only=True)
class Order:
    """One request to place a call, as it arrived."""

    key: str
    """The `Idempotency-Key` and the `attempt_id`: the id of our call."""
    reminder_id: str
    phone_number: str
    message: str | None
    """The message; None if the request does not contain it."""
    bundled: tuple[str, ...] = ()
    """The other reminders that its message contains."""
    committed: bool
    """Whether our database had the call when the request arrived, as another connection saw it."""


@define(kw_only=True)
class Ring:
    """A phone that rang. Moments are numbered through the whole record."""

    key: str
    reminder_id: str
    bundled: tuple[str, ...] = ()
    """The other reminders that were spoken, too; until somebody picks up, those that were to be spoken."""
    call_id: str
    """The provider's own id."""
    at: int
    end: str | None = None
    """How the call ended; None while it is not over."""
    transcript: str | None = None
    picked_up: bool = False
    heard: bool | None = True
    """Whether the message was spoken; None if it may have been."""
    answered_by_key: bool = False
    """Whether the person who answered has replied to the message with a key."""
    has_listened: bool = False
    """Whether a key was pressed, or a request sent that comes only after the message: that may be recorded."""
    answered_by: str | None = None
    """Who or what picked up, as far as the provider can detect."""
    disclosed_at: int | None = None
    """The first moment at which anybody could know its end: a webhook was sent, or a look-up was answered."""
    acknowledged_at: int | None = None
    """When a report of its end was answered with 200, which we send after the commit."""

    @property
    def by_machine(self) -> bool:
        return self.answered_by not in {None, "human"}

    def note_disclosure(self, moment: int) -> None:
        if self.disclosed_at is None:
            self.disclosed_at = moment

    def note_acknowledgment(self, moment: int) -> None:
        if self.acknowledged_at is None:
            self.acknowledged_at = moment


@define
class Record:
    """The requests and the phones that rang, each in their order."""

    orders: list[Order] = field(factory=list)
    rings: list[Ring] = field(factory=list)
    complaints: list[str] = field(factory=list)
    """The breaches of the contract by our program, as the provider saw them."""
    _moments: "count[int]" = field(factory=count)

    def moment(self) -> int:
        return next(self._moments)

    def rings_of(self, reminder_id: str) -> list[Ring]:
        """Return the phones that rang with this reminder's message, for whichever reminder the call was placed."""
        return [ring for ring in self.rings if reminder_id in {ring.reminder_id, *ring.bundled}]
