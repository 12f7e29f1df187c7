"""The data classes of the model: the database's rows, a process's tasks, and the provider's own record."""

from typing import Final

from attrs import define, field, frozen

# Time is counted in steps; a day has 40 of them.
LEASE, CONFIRM_AFTER, OUTCOME_TIMEOUT, REDIAL_DELAY, BACKOFF, BUSY_HOLD = 3, 2, 6, 2, 1, 1
DAY, OPENS, CLOSES = 40, 3, 33
MAX_LATENESS, KEY_LIFETIME, GROUP_WITHIN = 26, 24, 4
MESSAGE_TAKES = 1
"""How long one message takes to speak."""
MAX_CALLS, MAX_TRIES, MAX_CHECKS, MAX_BUNDLE, REACHED_PER_DAY = 2, 3, 4, 3, 2

NUMBERS: Final = ("p", "q")
PROCESSES: Final = ("A", "B")
ACCOUNTS: Final = ("first", "second")

FINAL: Final = frozenset({"called", "failed", "expired", "cancelled"})
IN_CALL: Final = frozenset({"dialing", "processing"})
OPEN: Final = frozenset({"dialing", "unconfirmed", "placed"})
ALIVE: Final = OPEN | {"stray"}
MAYBE_PLACED: Final = frozenset({"dialing", "unconfirmed"})

Asked = tuple[str, int, int]
"""What a call was asked to speak: a reminder, which row of that id it was, and its scheduled_at."""


class BrokenPromiseError(Exception):
    """A promise is broken; the message names it."""


@frozen(kw_only=True)
class Setting:
    """The setting of one history."""

    honors_keys: bool = False
    looks_up: bool = False
    look_ups_lag: bool = False
    """A look-up may miss a call that exists."""
    drops: bool = False
    repeats_attempt_id: bool = True
    asks_what_to_say: bool = False
    reuses_ids: bool = False
    """The provider gives the same ids again after a while."""
    rings_again: bool = False
    """`when_unsure = "call_again"`."""
    places_after_503: bool = False
    """The answer may be a 503 although the call was placed."""
    bundles: bool = False
    acts: frozenset[str] = frozenset()
    """What staff and other programs do."""
    rows: tuple[tuple[str, int, int | None], ...] = (("p", OPENS, None),)
    """The first reminders: phone_number, scheduled_at, expires_at."""


@define
class Reminder:
    """A row of `reminders`. A message is the number of its version."""

    id: str
    row: int
    """How many rows have had this id: a row that is deleted and added again is another reminder."""
    phone_number: str
    scheduled_at: int
    expires_at: int | None
    wake_at: int | None
    message: int = 0
    status: str = "scheduled"
    retry_at: int | None = None
    attempts: int = 0
    tries: int = 0
    again_until: int | None = None
    again_seq: int = 0
    hold_code: str | None = None
    end_code: str | None = None
    ended_at: int | None = None

    @property
    def asked(self) -> Asked:
        return (self.id, self.row, self.scheduled_at)


@define
class Call:
    """A row of `call_logs`."""

    id: str
    seq: int
    reminder_id: str
    phone_number: str
    account: str
    created_at: int
    last_sign_at: int
    wake_at: int | None
    state: str
    status: str | None = None
    requests: int = 0
    """Requests that may have been sent."""
    checks: int = 0
    lease_token: str | None = None
    leased_until: int = 0
    evidence: bool = False
    """The provider has shown that it knows the call."""
    adopted: bool = False
    """We did not know the call, and recorded it because of a report."""
    external_call_id: str | None = None
    received_at: int | None = None
    outcome: str | None = None
    fetched_at: int | None = None
    """When the provider first asked what to speak."""
    hung_up_at: int | None = None
    """When the line ended, at the latest, if the patient hung up."""


@define
class Member:
    """A row of `call_reminders`."""

    call_id: str
    reminder_id: str
    scheduled_at: int
    message: int
    spoken: bool = False
    spoken_by: int | None = None
    """When its message has been spoken to its end, if the line stays open."""
    deleted: bool = False
    """Its reminder was deleted."""


@define
class Database:
    """Everything that survives a crash."""

    reminders: dict[str, Reminder] = field(factory=dict)
    calls: dict[str, Call] = field(factory=dict)
    members: dict[tuple[str, str], Member] = field(factory=dict)
    opted_out: set[str] = field(factory=set)
    receipts: dict[str, str] = field(factory=dict)
    """The provider's ids of calls whose end was reported, each with the reminder that the report named."""
    newest_seq: int = 0
    paused: bool = False
    restored_at: int | None = None
    restored_seq: int = 0


@define
class Process:
    """What a process has in memory, until it ends."""

    account: str = ACCOUNTS[0]
    signs: dict[str, tuple[int, int]] = field(factory=dict)
    """The last sign of life of each alive call, and when this process first saw it, by its monotonic clock."""
    first_seen: dict[str, int] = field(factory=dict)
    """When this process first saw each call."""
    quiet_until: int | None = None
    """When the quiet time after a restore ends, by its monotonic clock; None: it has not checked yet."""


@define
class Task:
    """Something that a process does outside the database, under the lease of a call."""

    process: str
    kind: str
    """place, resend, look_up or drop."""
    call_id: str
    token: str
    deadline: int
    """When the lease ends, by the monotonic clock."""
    claimed_at: int
    account: str
    speaks: list[tuple[Asked, int]] = field(factory=list)
    """What the request asks to speak, as it was at the claim, each with its message."""
    is_sent: bool = False
    answer: str = ""
    found: "ProviderCall | None" = None

    @property
    def is_request(self) -> bool:
        return self.kind in {"place", "resend"}


@define
class ProviderCall:
    """A call in the provider's own record: a phone that rang."""

    place: int
    external_call_id: str
    call_id: str
    """Our id, which was the key of the request."""
    reminder_id: str
    phone_number: str
    account: str
    asked: list[Asked]
    messages: list[int]
    placed_at: int
    denied: bool
    """It was placed, though the answer was a 503."""
    restores: int
    """How many restores of our database came before it."""
    is_active: bool = True
    answered_at: int | None = None
    ended_at: int = 0
    has_hung_up: bool = False
    """The patient ended it, perhaps during the message."""
    spoken: list[Asked] = field(factory=list)
    """What the person who answers hears."""
    heard: set[Asked] = field(factory=set)
    end: str | None = None
    signs: int = 0
    """How many reports of progress it has sent."""
    known_at: int | None = None
    """When the program last learned something about it."""
    reported_at: int | None = None
    """When the program first learned its end."""
    reported_on: int = 0
    """The day on which it learned that, by the wall clock."""


@define
class Report:
    """A webhook in flight, perhaps more than once."""

    call: ProviderCall
    end: str | None
    """None: progress."""
    times: int = 0
