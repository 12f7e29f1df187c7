"""The provider's own record for histories of the whole program: whom each call was to speak of, and what was heard."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Final

from attrs import define, evolve, field, frozen

from reminderd.core.answers import Answer, Finding, Found, NoAnswer, NotFound, Report
from reminderd.providers.base import Placement
from tests.chaos.configurations import Account
from tests.chaos.record import Ring
from tests.chaos.simulated import ANSWER_LOST, MISREPORTED, PLACED, SimulatedProvider
from tests.support.nouns import NOW, SECOND

_NAMES: Final = re.compile(r"This is ([\w-]+)\.")


def message_for(name: str, version: int = 0) -> str:
    """Return a message that tells whose it is."""
    return f"This is {name}. Version {version}."


def names_in(message: str) -> list[str]:
    """Return whose messages are in this text."""
    return _NAMES.findall(message)


@frozen
class Subject:
    """What a call speaks: a reminder at one time. One that is deleted and added again has another life."""

    name: str
    life: int
    scheduled_at: datetime


@define(kw_only=True)
class CarrierCall(Ring):
    """A call as the provider sees it. Its seconds are true ones, whatever the program's clock says."""

    phone_number: str
    account: Account
    subjects: tuple[Subject, ...]
    """What it was asked to speak."""
    spoken: tuple[Subject, ...]
    """What whoever answers hears."""
    began: float
    sign_at: float
    """When the program last asked for it, or last took a sign of life."""
    has_shown_life: bool = False
    """The program has taken a sign of life."""
    is_reported: bool = False
    """The program has taken its end."""
    is_misreported: bool = False
    """It was placed, and the answer said that it was not."""
    heard_of: set[Subject] = field(factory=set)
    """What was heard in it."""
    known_heard: set[Subject] = field(factory=set)
    """What was heard, and the program has taken it."""
    reached_at: datetime | None = None
    """When that was, by the program's clock."""

    @property
    def is_live(self) -> bool:
        return self.end is None

    def has_pressed_a_key(self, now: datetime) -> None:
        self.heard_of.update(self.spoken)
        self._is_known_to_be_heard(now)

    def has_reported(self, now: datetime) -> None:
        """Note that the program has taken its end."""
        if not self.is_reported:
            self.is_reported = True
            self._is_known_to_be_heard(now)

    def _is_known_to_be_heard(self, now: datetime) -> None:
        self.known_heard.update(self.heard_of)
        self.reached_at = now if self.heard_of else None


@define(kw_only=True)
class Carrier(SimulatedProvider):
    """One account with a provider. The calls of all accounts are in one list."""

    account: Account
    calls: list[CarrierCall]
    subjects_of: Callable[[str], tuple[Subject, ...]]
    """Gives what a message speaks of, as the clinic has written it."""
    voicemail_is_reached: bool

    def asked(self, placement: Placement, mood: str, seconds: float) -> tuple[Answer, CarrierCall | None]:
        """Answer a request; return the call, too, if one begins."""
        before = len(self.calls)
        answer = self.place(placement, mood, self.time(seconds), committed=True)
        begun = self.calls[-1] if len(self.calls) > before else None
        if begun is not None:
            begun.is_misreported = mood == MISREPORTED
        for call in self.calls:
            if call.key == placement.call_id:
                call.sign_at = seconds
        return answer, begun

    def fetch(self, external_call_id: str, mood: str) -> Finding:
        """Return how the call with the provider's own id stands."""
        if mood not in {PLACED, ANSWER_LOST}:
            return NoAnswer("not now")
        found = [ring for ring in self.record.rings if ring.call_id == external_call_id]
        return Found(self.tells(found[0])) if found else NotFound()

    def tells(self, ring: Ring) -> Report:
        report = super().tells(ring)
        if self.capabilities.asks_what_to_say:  # our id is in the address
            return evolve(report, reminder_id=None, attempt_id=ring.key)
        return report

    def ends(self, ring: Ring, word: str) -> None:
        super().ends(ring, word)
        is_by_person = self.voicemail_is_reached or not ring.by_machine
        if word == "completed" and is_by_person and isinstance(ring, CarrierCall):
            ring.heard_of.update(ring.spoken)

    def time(self, seconds: float) -> datetime:
        """Return what the provider's clock shows, which nobody sets."""
        return NOW + seconds * SECOND

    def _rings(self, placement: Placement, riders: tuple[str, ...], now: datetime) -> Ring:
        subjects = self.subjects_of(placement.message)
        seconds = (now - NOW).total_seconds()
        asks = self.capabilities.asks_what_to_say
        call = CarrierCall(
            key=placement.call_id,
            reminder_id=placement.reminder_id,
            riders=riders,
            call_id=f"ext-{len(self.calls)}",
            at=self.record.moment(),
            phone_number=placement.phone_number,
            account=self.account,
            subjects=subjects,
            spoken=() if asks else subjects,
            began=seconds,
            sign_at=seconds,
        )
        self._began[call.call_id] = now
        self.record.rings.append(call)
        self.calls.append(call)
        return call
