"""Keep a provider's own record: every request it got and every phone that rang, whatever it reported about them."""

from itertools import count

from attrs import define, field, frozen


@frozen(kw_only=True)
class Order:
    """One request to place a call, as it arrived."""

    key: str
    """Idempotency key and `attempt_id`: the id of our call."""
    reminder_id: str
    phone_number: str
    message: str | None
    """None if the request does not contain it."""
    bundled: tuple[str, ...] = ()
    """The other reminders that it says, too."""
    committed: bool
    """Whether our database had the call when the request arrived, as another connection saw it."""


@define(kw_only=True)
class Ring:
    """One phone that rang. Moments count up through the whole record."""

    key: str
    reminder_id: str
    bundled: tuple[str, ...] = ()
    """The other reminders that were said, too, or were to be, as long as nobody has picked up."""
    call_id: str
    """The provider's own id."""
    at: int
    end: str | None = None
    """How the call ended; None while it goes on."""
    transcript: str | None = None
    picked_up: bool = False
    heard: bool | None = True
    """Whether the message was spoken; None if it may have been."""
    answered_by_key: bool = False
    """The person who answered has replied to the message."""
    has_listened: bool = False
    """A request was sent that comes only when the message is over, or a key was pressed: that may be on record."""
    answered_by: str | None = None
    """Who or what picked up, as far as the provider can tell."""
    disclosed_at: int | None = None
    """The first moment at which anybody could know of its end: a webhook went out, or a look-up was answered."""
    acknowledged_at: int | None = None
    """When a report of its end got its 200, which we give after the commit."""

    @property
    def by_machine(self) -> bool:
        return self.answered_by not in {None, "human"}

    def discloses(self, moment: int) -> None:
        if self.disclosed_at is None:
            self.disclosed_at = moment

    def is_acknowledged(self, moment: int) -> None:
        if self.acknowledged_at is None:
            self.acknowledged_at = moment


@define
class Record:
    """In the order in which it happened."""

    orders: list[Order] = field(factory=list)
    rings: list[Ring] = field(factory=list)
    complaints: list[str] = field(factory=list)
    """What the provider saw of us that is against the contract."""
    _moments: "count[int]" = field(factory=count)

    def moment(self) -> int:
        return next(self._moments)

    def rings_of(self, reminder_id: str) -> list[Ring]:
        """Those in which it was said, for whichever reminder they were placed."""
        return [ring for ring in self.rings if reminder_id in {ring.reminder_id, *ring.bundled}]
