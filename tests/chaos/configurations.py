"""Describe what a clinic may configure in whole-program histories."""

from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

from attrs import evolve, frozen

from reminderd.core.answers import Capabilities
from reminderd.core.rules import CallPlan, Limits, Planning, Rules
from reminderd.core.schedule.cadence import read_cadence
from reminderd.core.schedule.calling_hours import CallingHours
from reminderd.core.script.templates import Templates
from tests.chaos.endings import GREETING
from tests.support.builders import HOUR, MINUTE, RULES, hours

TWILIO: Final = Capabilities(look_up=True, drop=True, asks_what_to_say=True)

ALL_DAY: Final = RULES.calling_hours
OFFICE_HOURS: Final = hours(8 * HOUR, 18 * HOUR)
WEEKDAY_MORNINGS: Final = hours(9 * HOUR, 12 * HOUR, days=range(5))

ZONE: Final = ZoneInfo("UTC")
TEMPLATES: Final = Templates(by_name={"visit": "Visit {name} on {date} at {time}."}, zone=ZONE)
CADENCES: Final = (("1 day",), ("2 days", "1 day at 10:00", "3 hours"), ("1 day", "20 hours"), ("30 hours", "3 hours"))


def planning(*before: str) -> Planning:
    """Return the plan of a clinic that calls at these times before each appointment."""
    return Planning(default=CallPlan(before=tuple(map(read_cadence, before)), template="visit"), templates=TEMPLATES)


@frozen(kw_only=True)
class Account:
    """The account that is configured for placing calls."""

    provider: str
    account: str
    capabilities: Capabilities
    echoes_attempt_id: bool = True

    def takes_webhooks_of(self, other: "Account") -> bool:
        """Return whether a process that is configured for this account accepts a webhook of the other account."""
        return self.provider == other.provider and (self.provider == "generic" or self.account == other.account)


@frozen(kw_only=True)
class Configuration:
    """The part of the clinic's configuration that may change."""

    account: Account
    calling_hours: CallingHours = ALL_DAY
    max_lateness: timedelta = 4 * HOUR
    max_calls: int = 3
    max_tries: int = 3
    per_day: int = 0
    group_within: timedelta = timedelta(0)
    redial_delay: timedelta = 15 * MINUTE
    ring_again: bool = False
    voicemail_is_reached: bool = True
    leave_voicemail: bool = True
    before: tuple[str, ...] = CADENCES[0]
    """The times before an appointment at which patients are called."""

    @property
    def rules(self) -> Rules:
        return evolve(
            RULES,
            calling_hours=self.calling_hours,
            max_lateness=self.max_lateness,
            max_calls=self.max_calls,
            max_tries=self.max_tries,
            limits=Limits(per_day=self.per_day),
            group_within=self.group_within,
            redial_delays=(self.redial_delay,),
            call_again_when_unsure=self.ring_again,
            voicemail_is_reached=self.voicemail_is_reached,
            leave_voicemail=self.leave_voicemail,
            scripts=GREETING,
            planning=planning(*self.before),
            provider=self.account.provider,
            account=self.account.account,
            capabilities=self.account.capabilities,
        )
