"""The clinic's configuration as the core uses it: the rules about reminders, and when files are expected."""

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
from reminderd.core.script.scripts import Scripts, spoken_text
from reminderd.core.script.templates import NO_TEMPLATES, Templates

WEEK: Final = timedelta(days=7)

_DAY: Final = timedelta(days=1)
MANY: Final = 1_000_000
"""How many requests may be sent at once if there is no limit."""
_LATE: Final = timedelta(hours=6)
"""A file that is at most this late is the expected file, and not the next one."""
_LOOK_BACK_DAYS: Final = 31


@frozen(kw_only=True)
class Limits:
    """How many calls may reach each number; 0 sets no limit."""

    per_day: int = 0
    """The limit for one date."""
    per_week: int = 0
    """The limit for a date and the six days before it."""

    @property
    def is_set(self) -> bool:
        """Return whether there is a limit at all."""
        return bool(self.per_day or self.per_week)

    def free_from(self, reached: Iterable[datetime], now: datetime, zone: ZoneInfo) -> datetime | None:
        """Return when the number may be called again; None if it may be called now.

        `reached` has the times at which it was reached, in the last eight days. If a clock was set back, some are after
        `now`.
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
    """Return the first moment of a local date, even if the clock skips midnight on that date."""
    midnight = datetime.combine(day, time.min, tzinfo=zone)
    # A skipped midnight is read with the offset from before the skip; the round trip moves it past the skip.
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
        """Return the longest pause after this many failures in a row (1 for the first)."""
        doublings = min(max(failures - 1, 0), 32)  # 2**32 seconds is past any maximum; keeps the product finite
        return min(self.maximum, self.first * (1 << doublings))

    def full_jitter(self, failures: int, draw: float) -> timedelta:
        """Return a pause between zero and the ceiling; `draw` is a random number in [0, 1)."""
        return self.ceiling(failures) * draw

    def half_jitter(self, failures: int, draw: float) -> timedelta:
        """Return a pause between half the ceiling and all of it, for a wait that must not be zero."""
        return self.ceiling(failures) * (0.5 + draw / 2)


@frozen
class Pace:
    """Evenly spaces the requests to place a call, of all daemons on one database together.

    Time in which nothing was sent is not saved up, so there are no bursts.
    """

    spacing: timedelta
    """The time from one request to the next; zero if there is no limit."""
    sent_at: datetime | None = None
    """When the last request was sent; None before the first one."""

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
    """When they are wanted, in the clinic's order; empty if no calls are planned."""
    template: str = ""
    """The name of the template for their messages; empty if each appointment must name its own."""


@frozen(kw_only=True)
class Planning:
    """How the calls of appointments are planned."""

    default: CallPlan = field(factory=CallPlan)
    by_type: Mapping[str, CallPlan] = field(factory=dict, hash=False)
    """The plans of types that have their own, by `type_key`."""
    templates: Templates = NO_TEMPLATES

    @property
    def is_used(self) -> bool:
        """Return whether any calls are planned."""
        return bool(self.default.before or any(plan.before for plan in self.by_type.values()))

    def of(self, kind: str | None) -> CallPlan:
        """Return the plan for appointments of a type; None for appointments without a type."""
        return self.default if kind is None else self.by_type.get(type_key(kind), self.default)


NO_PLANNING: Final = Planning()


def type_key(kind: str) -> str:
    """Return the type of an appointment in small letters and without spaces, which make no difference."""
    return "".join(kind.split()).casefold()


class PlanningRules(Protocol):
    """The rules that plans depend on: if one of them changes, all future appointments are planned again.

    Code that plans gets no other rules, so that every rule it uses is in `planning_digest`.
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
    """Return everything in a value, in a fixed order, so that the result is the same in every process."""
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
    """How long a claim leases a row."""
    outcome_timeout: timedelta = timedelta(seconds=900)
    """How long after its last sign of life a call is checked."""
    confirm_after: timedelta = timedelta(seconds=120)
    """How long an unconfirmed call waits for a webhook, and between two look-ups."""
    call_again_when_unsure: bool = False
    """Whether to call once more if the outcome of a call stays unknown, instead of asking staff."""
    backoff: Backoff = field(factory=lambda: Backoff(timedelta(seconds=1), timedelta(seconds=300)))
    max_tries: int = 20
    """The most requests in a row that place no call; after that, the reminder fails."""
    request_spacing: timedelta = timedelta(0)
    """The time from one request to the next, of all daemons together; zero sets no limit."""
    max_calls: int = 3
    redial_delays: tuple[timedelta, ...] = (timedelta(minutes=15),)
    """The delays before the second call, the third …; the last delay applies to all further calls."""
    calling_hours: CallingHours = field(factory=lambda: CallingHours(ZoneInfo("UTC")))
    numbering: Numbering = ANY_NUMBER
    """Which numbers may be called."""
    limits: Limits = field(factory=Limits)
    group_within: timedelta = timedelta(0)
    """How far apart the times of bundled reminders may be; zero if nothing is bundled."""
    max_lateness: timedelta = timedelta(minutes=240)
    planning: Planning = NO_PLANNING
    """Which calls are planned for appointments."""
    voicemail_is_reached: bool = False
    """Whether a voicemail counts as reaching the patient."""
    scripts: Scripts = field(factory=Scripts)
    """What is spoken in a call, by language."""
    leave_voicemail: bool = True
    """Whether to speak the voicemail text to a machine, instead of hanging up."""
    provider: str = "generic"
    """The name of the provider that is configured now."""
    account: str = ""
    """The account with that provider; calls of other accounts are not looked up."""
    capabilities: Capabilities = field(factory=Capabilities)

    @property
    def digest(self) -> str:
        """Return a hash that distinguishes these rules from any others, and reveals none of them."""
        return sha256(repr(_content(self)).encode()).hexdigest()

    @property
    def planning_digest(self) -> str:
        """Return a hash that distinguishes the rules for planning from any others."""
        parts = [(name, _content(getattr(self, name))) for name in PLANNED_BY]
        return sha256(repr(parts).encode()).hexdigest()

    def greeting_takes(self, language: str | None) -> timedelta:
        """Return how long it takes to speak the greeting in a language; None for the clinic's own."""
        return timedelta(seconds=seconds(spoken_text(Prompt.GREETING, self.scripts.of(language), "")))

    def redial_delay(self, calls: int) -> timedelta:
        """Return how long to wait after this many calls of a reminder, at least one."""
        return self.redial_delays[min(calls, len(self.redial_delays)) - 1]


@frozen(kw_only=True)
class ExpectedFile:
    """The time by which a file is expected in the folder, on each day with calling hours."""

    by: Daily
    hours: CallingHours
    profile: str | None = None
    """The profile whose files are expected; None for a file of any profile."""

    def missing(self, last: datetime | None, now: datetime) -> datetime | None:
        """Return the moment by which a file should have come; None if no file is missing.

        If nobody is called on the weekend, a file that comes on Friday night is the file for Monday.
        `last` is when the last file came; None if no file ever came.
        """
        today = now.astimezone(self.by.zone).date()
        days = (today - back * _DAY for back in range(_LOOK_BACK_DAYS))
        moments = [self.by.on(day) for day in days if self.hours.opens_on(day)]
        past = [moment for moment in moments if moment <= now]
        if not past:
            return None
        before = past[1] if len(past) > 1 else past[0] - _DAY
        return past[0] if last is None or last < min(before + _LATE, past[0]) else None
