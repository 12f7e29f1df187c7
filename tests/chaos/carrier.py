"""Keep the provider's own record for whole-program histories: whose reminders each call was for, and what was heard."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Final

from attrs import define, field, frozen

from reminderd.core.answers import Found, LookUpAnswer, NoAnswer, NotFound, PlacingAnswer, Report
from reminderd.core.script.prompts import Prompt, Question, SpokenReply
from reminderd.providers.base import Placement
from tests.chaos.configurations import Account
from tests.chaos.endings import ANSWERERS, Ending, Who, heard_by_report, reported_by_gateway, reported_by_twilio, takes
from tests.chaos.record import Ring
from tests.chaos.simulated import ANSWER_LOST, MISREPORTED, PLACED, SimulatedProvider
from tests.support.builders import NOW, SECOND

_NAMES: Final = re.compile(r"This is ([\w-]+)\.")


def message_for(name: str, version: int = 0) -> str:
    """Return a message that names its reminder."""
    return f"This is {name}. Version {version}."


def names_in(message: str) -> list[str]:
    """Return whose messages are in this text."""
    return _NAMES.findall(message)


@frozen
class Subject:
    """What a call is about: a reminder at one time. A reminder that is deleted and added again has another `life`."""

    name: str
    life: int
    scheduled_at: datetime


@define(kw_only=True)
class CarrierCall(Ring):
    """A call as the provider sees it. Its times are true seconds, whatever the program's clock shows."""

    phone_number: str
    account: Account
    subjects: tuple[Subject, ...]
    """The reminders whose messages the request asked it to speak."""
    spoken: tuple[Subject, ...]
    """The reminders whose messages the person who answers hears."""
    speech: str = ""
    """The same as text, if the provider asks us what to speak."""
    spoken_to: Who | None = None
    spoken_from: float | None = None
    question: Question | None = None
    """The question that the next key answers."""
    pressed: str = ""
    """The keys that were pressed after a message."""
    answered_at: float | None = None
    ended: float | None = None
    ending: Ending | None = None
    began: float
    sign_at: float
    """When the program last sent its request, or last accepted a sign of life."""
    has_shown_life: bool = False
    """Whether the program has accepted a sign of life."""
    is_reported: bool = False
    """Whether the program has accepted a report of its end."""
    is_misreported: bool = False
    """Whether the call was placed although the answer said that it was not."""
    heard_of: set[Subject] = field(factory=set)
    """The reminders that were heard in the call."""
    proven: set[Subject] = field(factory=set)
    """The reminders that were certainly heard: a key, or the request that follows the message, proves it."""
    known_heard: set[Subject] = field(factory=set)
    """The reminders that were heard, as far as the program has accepted this."""
    reached_at: datetime | None = None
    """When the program accepted that, by its own clock."""

    @property
    def is_live(self) -> bool:
        return self.end is None

    def note_answer(self, seconds: float, answered_by: str | None) -> None:
        self.picked_up, self.answered_by, self.answered_at = True, answered_by, seconds

    def note_reply(self, reply: SpokenReply, speech: str, subjects: tuple[Subject, ...], seconds: float) -> None:
        """Speak what the program says, once the call is answered."""
        if Prompt.MESSAGE in reply.parts or Prompt.VOICEMAIL in reply.parts:
            self.spoken_to = Who.PERSON if Prompt.MESSAGE in reply.parts else Who.MACHINE
            self.speech, self.spoken, self.spoken_from, self.question = speech, subjects, seconds, reply.question
        else:
            self.note_lost_reply()

    def note_lost_reply(self) -> None:
        """Speak nothing: the provider can't use the answer that it got."""
        self.spoken, self.spoken_from, self.question = (), None, None

    def note_key(self, digits: str, now: datetime) -> None:
        """Note a key, or the request that follows the message if no key was pressed."""
        self.pressed += digits
        self.heard_of.update(self.spoken)
        self.proven.update(self.spoken)
        self._note_heard(self.proven, now)

    def is_over_at(self, ending: Ending) -> float | None:
        """Return when the line of an answered call ends; None if no end is given."""
        begun = self.answered_at if self.spoken_from is None else self.spoken_from
        return None if begun is None else begun + round(ending.lasts * takes(self.speech), 3)

    @property
    def is_end_certain(self) -> bool:
        """Return whether the measured time of the line leaves no doubt that the end of the message was heard."""
        return self.spoken_to is not Who.PERSON or (self.ending is not None and self.ending.lasts > 1.2)

    def note_end(self, now: datetime, *, is_sure: bool) -> None:
        """Note that the program has accepted its end; `is_sure` if the program could conclude all that was heard."""
        if not self.is_reported:
            self.is_reported = True
            self._note_heard(self.heard_of if is_sure else self.proven, now)

    def _note_heard(self, subjects: set[Subject], now: datetime) -> None:
        self.known_heard.update(subjects)
        self.reached_at = now if self.known_heard else None


@define(kw_only=True)
class Carrier(SimulatedProvider):
    """One account with a provider. All accounts share one list of calls."""

    account: Account
    calls: list[CarrierCall]
    subjects_of: Callable[[str], tuple[Subject, ...]]
    """Returns the subjects of a message, as the clinic has written it."""
    voicemail_is_reached: bool

    def asked(self, placement: Placement, mood: str, seconds: float) -> tuple[PlacingAnswer, CarrierCall | None]:
        """Answer a request; return also the call, if one begins."""
        before = len(self.calls)
        answer = self.place(placement, mood, self.time(seconds), committed=True)
        begun = self.calls[-1] if len(self.calls) > before else None
        if begun is not None:
            begun.is_misreported = mood == MISREPORTED
        for call in self.calls:
            if call.key == placement.call_id:
                call.sign_at = seconds
        return answer, begun

    def fetch(self, external_call_id: str, mood: str) -> LookUpAnswer:
        """Return the state of the call with the provider's own id."""
        if mood not in {PLACED, ANSWER_LOST}:
            return NoAnswer("not now")
        found = [ring for ring in self.record.rings if ring.call_id == external_call_id]
        return Found(self.tells(found[0])) if found else NotFound()

    def tells(self, ring: Ring, word: str | None = None) -> Report:
        """Return a report of a call's present state, or of its progress with this status."""
        super().tells(ring)
        assert isinstance(ring, CarrierCall)
        says = reported_by_twilio if self.capabilities.asks_what_to_say else reported_by_gateway
        return says(ring, word=word)

    def finishes(self, call: CarrierCall, ending: Ending, seconds: float) -> None:
        """End a call, and record whose messages were heard."""
        super().ends(call, ending.means)
        if call.picked_up and ANSWERERS[call.answered_by] is Who.PERSON and ending.answered_by is not None:
            call.answered_by = ending.answered_by
        call.ending, call.ended = ending, min(seconds, call.is_over_at(ending) or seconds)
        call.heard_of.update(heard_by_report(call, voicemail_is_reached=self.voicemail_is_reached))

    def drop(self, call_id: str, mood: str) -> LookUpAnswer:
        """End a call that nobody has answered."""
        call = next(call for call in self.calls if call.call_id == call_id)
        if mood in {PLACED, ANSWER_LOST} and call.end is None and not call.picked_up:
            self.finishes(call, Ending(word="canceled", means="canceled"), call.began)
        return super().drop(call_id, mood)

    def time(self, seconds: float) -> datetime:
        """Return the time by the provider's clock, which nobody sets."""
        return NOW + seconds * SECOND

    def _rings(self, placement: Placement, bundled: tuple[str, ...], now: datetime) -> Ring:
        subjects = self.subjects_of(placement.message)
        seconds = (now - NOW).total_seconds()
        asks = self.capabilities.asks_what_to_say
        call = CarrierCall(
            key=placement.call_id,
            reminder_id=placement.reminder_id,
            bundled=bundled,
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
