"""The rules that decide what becomes of a reminder: the clinic's configuration as the core sees it."""

from datetime import timedelta
from zoneinfo import ZoneInfo

from attrs import field, frozen

from reminderd.core.answers import Capabilities
from reminderd.core.backoff import Backoff
from reminderd.core.limits import Limits
from reminderd.core.phone import ANY_NUMBER, Numbering
from reminderd.core.window import Window


@frozen(kw_only=True)
class Rules:
    """Everything a transition may depend on besides the reminder, its calls, the event and the time."""

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
    max_calls: int = 3
    redial_delays: tuple[timedelta, ...] = (timedelta(minutes=15),)
    """Before the second call, the third …; the last one holds for all that follow."""
    window: Window = field(factory=lambda: Window(ZoneInfo("UTC")))
    numbering: Numbering = ANY_NUMBER
    """Which numbers may be called."""
    limits: Limits = field(factory=Limits)
    group_within: timedelta = timedelta(0)
    """How far apart reminders for one number may lie that are said in one call; nothing: each has a call of its own."""
    max_lateness: timedelta = timedelta(minutes=240)
    voicemail_is_reached: bool = False
    """A voicemail counts as having reached the patient."""
    greeting_takes: timedelta = timedelta(0)
    """How long the greeting before a message takes to speak, where we are asked what to speak."""
    leave_voicemail: bool = True
    """Leave word on a machine instead of hanging up."""
    provider: str = "generic"
    """The name of the provider that is configured now."""
    account: str = ""
    """The account with that provider: calls of another are not asked about."""
    capabilities: Capabilities = field(factory=Capabilities)

    def redial_delay(self, calls: int) -> timedelta:
        """How long to wait after so many calls of a reminder, at least one."""
        return self.redial_delays[min(calls, len(self.redial_delays)) - 1]
