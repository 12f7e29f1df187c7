"""The clinic's configuration as the core sees it: the rules about reminders, and by when files are expected."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from hashlib import sha256
from itertools import count
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

from attrs import field, fields, frozen, has

from reminderd.core.answers import Capabilities
from reminderd.core.phone import ANY_NUMBER, Numbering
from reminderd.core.schedule.cadence import Cadence
from reminderd.core.schedule.calling_hours import CallingHours
from reminderd.core.schedule.time_zones import Daily
from reminderd.core.script.prompts import Prompt, seconds
from reminderd.core.script.scripts import Scripts, spoken
from reminderd.core.script.templates import NO_TEMPLATES, Templates

WEEK: Final = timedelta(days=7)

_DAY: Final = timedelta(days=1)
MANY: Final = 1_000_000
"""How many requests may be sent at once if there is no limit."""
_LATE: Final = timedelta(hours=6)
"""A file that comes so late is still the one that was expected, and not the next."""
_LOOK_BACK_DAYS: Final = 31


@frozen(kw_only=True)
class Limits:
    """Calls that reach somebody, for each number; 0 sets no limit."""

    per_day: int = 0
    """On one date."""
    per_week: int = 0
    """On a date and the six before it."""

    @property
    def any(self) -> bool:
        """Return whether there is a limit at all."""
        return bool(self.per_day or self.per_week)

    def free_from(self, reached: Iterable[datetime], now: datetime, zone: ZoneInfo) -> datetime | None:
        """Return when the number may be called again; None if it may be called now.

        `reached` has when it was reached, as far back as a week and a day; after `now`, too, if a clock was put back.
        """
        on = Counter(moment.astimezone(zone).date() for moment in reached)
        today = now.astimezone(zone).date()
        if self._allows(on, today):
            return None
        later = (today + days * _DAY for days in count(1))
        return _begins(next(day for day in later if self._allows(on, day)), zone)

    def _allows(self, on: Counter[date], day: date) -> bool:
        in_week = sum(on[day - days * _DAY] for days in range(WEEK.days))
        return not (0 < self.per_day <= on[day] or 0 < self.per_week <= in_week)


def _begins(day: date, zone: ZoneInfo) -> datetime:
    """Return the first moment of a local date, also where midnight does not exist."""
    midnight = datetime.combine(day, time.min, tzinfo=zone)
    # A midnight that is jumped over is read with the offset from before: back and forth it lands past the jump.
    return datetime.fromtimestamp(midnight.timestamp(), zone)


@frozen
class Backoff:
    """How long to wait before the next try: pauses that double from `first` up to `maximum`.

    Jitter keeps many waiters from coming back together. Source: "Timeouts, retries and backoff with jitter", the Amazon
    Builders' Library.
    """

    first: timedelta
    maximum: timedelta

    def ceiling(self, failures: int) -> timedelta:
        """Return the longest pause after so many failures in a row (1 for the first)."""
        doublings = min(max(failures - 1, 0), 32)  # 2**32 seconds is past any maximum; keeps the product finite
        return min(self.maximum, self.first * (1 << doublings))

    def full_jitter(self, failures: int, draw: float) -> timedelta:
        """Return a pause between nothing and the ceiling; `draw` is a random number in [0, 1)."""
        return self.ceiling(failures) * draw

    def half_jitter(self, failures: int, draw: float) -> timedelta:
        """Return a pause between half the ceiling and all of it, for a wait that must not be zero."""
        return self.ceiling(failures) * (0.5 + draw / 2)


@frozen
class Pace:
    """Spaces the requests to place a call evenly, of all daemons on one database together.

    Time in which nothing was sent is not saved up, so there are no bursts.
    """

    spacing: timedelta
    """The time from one request to the next; zero: there is no limit."""
    sent_at: datetime | None = None
    """When the last request was sent; None: none was sent yet."""

    def ready_at(self, now: datetime) -> datetime:
        """Return the moment, now or later, from which a request may be sent.

        A request that was sent while the clock was ahead delays nothing: it could delay the next one for hours.
        """
        if not self.spacing or self.sent_at is None or self.sent_at > now + self.spacing:
            return now
        return max(now, self.sent_at + self.spacing)

    def available(self, now: datetime) -> int:
        """Return how many requests may be sent at this moment."""
        if not self.spacing:
            return MANY
        return 1 if self.ready_at(now) <= now else 0


@frozen(kw_only=True)
class CallPlan:
    """Which calls are planned for an appointment."""

    before: tuple[Cadence, ...] = ()
    """When, in the clinic's order; empty: none."""
    template: str = ""
    """The name of the template that their messages are made from; empty: each appointment must name its own."""


@frozen(kw_only=True)
class Planning:
    """How the calls of appointments are planned."""

    default: CallPlan = field(factory=CallPlan)
    by_type: Mapping[str, CallPlan] = field(factory=dict, hash=False)
    """For types with a plan of their own, each by its `type_key`."""
    templates: Templates = NO_TEMPLATES

    @property
    def is_used(self) -> bool:
        """Return whether any calls are planned."""
        return bool(self.default.before or any(plan.before for plan in self.by_type.values()))

    def of(self, kind: str | None) -> CallPlan:
        """Return the plan for appointments of a type; None: of no type."""
        return self.default if kind is None else self.by_type.get(type_key(kind), self.default)


NO_PLANNING: Final = Planning()


def type_key(kind: str) -> str:
    """Return the type of an appointment without what makes no difference: spaces, and small or capital letters."""
    return "".join(kind.split()).casefold()


class PlanningRules(Protocol):
    """The rules that plans depend on: with another of them, all appointments to come are planned anew.

    What plans is handed no others, so that none of them can be left out of `planning_digest`.
    """

    @property
    def planning(self) -> Planning:
        """Return which calls are planned for appointments."""

    @property
    def calling_hours(self) -> CallingHours:
        """Return when patients may be called."""

    @property
    def max_lateness(self) -> timedelta:
        """Return how late a call may be."""

    @property
    def numbering(self) -> Numbering:
        """Return which numbers may be called."""


PLANNED_BY: Final = tuple(name for name, member in vars(PlanningRules).items() if isinstance(member, property))
"""The names of these rules."""


def _content(value: Any) -> Any:  # noqa: ANN401 - a rule is of any type
    """Return all that a value consists of, in an order of its own, so that it looks alike in every process."""
    if has(type(value)):
        return type(value).__name__, [(one.name, _content(getattr(value, one.name))) for one in fields(type(value))]
    if isinstance(value, Mapping):
        return sorted((repr(key), repr(_content(each))) for key, each in value.items())
    if isinstance(value, frozenset):
        return sorted(map(repr, value))
    return list(map(_content, value)) if isinstance(value, tuple) else value


@frozen(kw_only=True)
class Rules:
    """Everything a transition may depend on, apart from the reminder, its calls, the event and the time."""

    lease: timedelta = timedelta(seconds=60)
    """How long a claim holds a row."""
    outcome_timeout: timedelta = timedelta(seconds=900)
    """How long after its acceptance or last news a call is checked."""
    confirm_after: timedelta = timedelta(seconds=120)
    """How long an unconfirmed call waits for a webhook, and between look-ups."""
    call_again_when_unsure: bool = False
    """Call once more when the outcome of a call stays unknown, instead of asking staff."""
    backoff: Backoff = field(factory=lambda: Backoff(timedelta(seconds=1), timedelta(seconds=300)))
    max_tries: int = 20
    """Requests for one call before it counts as not to be placed."""
    request_spacing: timedelta = timedelta(0)
    """From one request to the next, of all daemons together; zero sets no limit."""
    max_calls: int = 3
    redial_delays: tuple[timedelta, ...] = (timedelta(minutes=15),)
    """Before the second call, the third …; the last one holds for all that follow."""
    calling_hours: CallingHours = field(factory=lambda: CallingHours(ZoneInfo("UTC")))
    numbering: Numbering = ANY_NUMBER
    """Which numbers may be called."""
    limits: Limits = field(factory=Limits)
    group_within: timedelta = timedelta(0)
    """How far apart reminders for one number may be that are bundled in one call; zero: each has a call of its own."""
    max_lateness: timedelta = timedelta(minutes=240)
    planning: Planning = NO_PLANNING
    """Which calls are planned for appointments."""
    voicemail_is_reached: bool = False
    """A voicemail counts as having reached the patient."""
    scripts: Scripts = field(factory=Scripts)
    """What is spoken in a call, by language."""
    leave_voicemail: bool = True
    """Leave word on a machine instead of hanging up."""
    provider: str = "generic"
    """The name of the provider that is configured now."""
    account: str = ""
    """The account with that provider: calls of another are not asked about."""
    capabilities: Capabilities = field(factory=Capabilities)

    @property
    def digest(self) -> str:
        """Return what distinguishes these rules from any others; nothing can be read from it."""
        return sha256(repr(_content(self)).encode()).hexdigest()

    @property
    def planning_digest(self) -> str:
        """Return what distinguishes the rules by which calls of appointments are planned from any others."""
        parts = [(name, _content(getattr(self, name))) for name in PLANNED_BY]
        return sha256(repr(parts).encode()).hexdigest()

    def greeting_takes(self, language: str | None) -> timedelta:
        """Return how long the greeting before a message takes to speak, in a language (None: the clinic's own)."""
        return timedelta(seconds=seconds(spoken(Prompt.GREETING, self.scripts.of(language), "")))

    def redial_delay(self, calls: int) -> timedelta:
        """Return how long to wait after so many calls of a reminder, at least one."""
        return self.redial_delays[min(calls, len(self.redial_delays)) - 1]


@frozen(kw_only=True)
class Expected:
    """By when a file is expected in the folder, on each day with calling hours."""

    by: Daily
    hours: CallingHours
    profile: str | None = None
    """Whose files are expected; None: a file of any."""

    def missing(self, last: datetime | None, now: datetime) -> datetime | None:
        """Return the moment by which a file should have come, if it has not; None: nothing is missing.

        A file of Friday night is the one for Monday, if nobody is called in between.
        `last` is when the last one has come; None: there was none.
        """
        today = now.astimezone(self.by.zone).date()
        days = (today - back * _DAY for back in range(_LOOK_BACK_DAYS))
        moments = [self.by.on(day) for day in days if self.hours.opens_on(day)]
        past = [moment for moment in moments if moment <= now]
        if not past:
            return None
        before = past[1] if len(past) > 1 else past[0] - _DAY
        return past[0] if last is None or last < min(before + _LATE, past[0]) else None
