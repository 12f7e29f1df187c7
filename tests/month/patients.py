"""The patients of a simulated month, and the provider that calls them; its record is what the oracle examines."""

import re
from datetime import datetime, timedelta
from enum import StrEnum
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

from attrs import define, field

from reminderd.core.answers import Accepted, Found, LookUpAnswer, NotFound, PlacingAnswer, Report
from reminderd.core.script.prompts import Prompt, Question
from reminderd.providers.base import Placement
from reminderd.store.settle import Spoken
from tests.month.house import spoken_time
from tests.month.oracle import Answered, End, Month, Ring
from tests.support.builders import SECOND

TEMPLATE: Final = "{name}: your appointment is on {date} at {time}."
"""What patients hear, so that the record shows which appointment each call was about."""

_HEARD: Final = re.compile(r"Patient (?P<number>\d+): your appointment is on (?P<when>.+? at [\d:]+ [AP]M)\.")


class Mood(StrEnum):
    """What a patient does when the phone rings; each must occur in a month."""

    LISTENS = "listens"
    CONFIRMS = "confirms"
    CANCELS = "cancels"
    OPTS_OUT = "opts out"
    HANGS_UP = "hangs up"
    BUSY = "busy"
    NO_ANSWER = "no answer"


_WEIGHTS: Final = {
    Mood.LISTENS: 26,
    Mood.CONFIRMS: 30,
    Mood.CANCELS: 6,
    Mood.OPTS_OUT: 0.3,
    Mood.HANGS_UP: 4,
    Mood.BUSY: 14,
    Mood.NO_ANSWER: 20,
}
KEYS: Final = {
    Mood.CONFIRMS: (("1",), "confirmed"),
    Mood.CANCELS: (("2", "2"), "cancel_requested"),
    Mood.OPTS_OUT: (("9",), "opted_out"),
}


@define(kw_only=True)
class Conversation:
    """A call while it is under way."""

    id: str
    """The provider's own id."""
    key: str
    ring: Ring
    mood: Mood
    picks_up_at: datetime | None
    """When somebody picks up; None if nobody does."""
    is_picked_up: bool = False
    ended_at: datetime | None = None
    status: str = "ringing"
    duration: int = 0
    question: Question | None = None

    @property
    def report(self) -> Report:
        """Return the provider's report of its present state."""
        return Report(
            external_call_id=self.id,
            status=self.status,
            reminder_id=self.ring.reminder,
            attempt_id=self.key,
            duration_seconds=self.duration if self.ended_at is not None else None,
            answered_by="human" if self.is_picked_up else None,
            ended_at=self.ended_at,
        )


@define(kw_only=True)
class Patients:
    """The provider, and all patients that it calls."""

    month: Month
    dice: Random
    zone: ZoneInfo
    moods: set[Mood] = field(factory=set)
    conversations: dict[str, Conversation] = field(factory=dict)
    """The calls, by our own id, which is their idempotency key."""
    wrong: list[str] = field(factory=list)
    """The messages that nobody can understand."""
    dropped: int = 0

    def place(self, placement: Placement, now: datetime) -> tuple[PlacingAnswer, Conversation | None]:
        """Answer a request; return the call, too, if one begins."""
        known = self.conversations.get(placement.call_id)
        if known is not None:
            return Accepted(known.id), None
        ref, time = self.understood(placement.message, now)
        ring = Ring(reminder=placement.reminder_id, ref=ref, time=time, phone_number=placement.phone_number, at=now)
        self.month.rings.append(ring)
        [mood] = self.dice.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
        self.moods.add(mood)
        is_answered = mood not in {Mood.BUSY, Mood.NO_ANSWER}
        begun = Conversation(
            id=f"ext-{len(self.conversations)}",
            key=placement.call_id,
            ring=ring,
            mood=mood,
            picks_up_at=now + self.dice.uniform(4, 20) * SECOND if is_answered else None,
        )
        self.conversations[placement.call_id] = begun
        return Accepted(begun.id), begun

    def understood(self, message: str, now: datetime) -> tuple[str, datetime]:
        """Return the appointment that a message is about."""
        found = _HEARD.fullmatch(message)
        if found is None:
            self.wrong.append(message)
            return "", now
        year = (now + timedelta(days=30)).year
        return f"A-{found['number']}", spoken_time(found["when"], year, self.zone)

    def look_up(self, key: str) -> LookUpAnswer:
        """Return the state of the call with our id."""
        known = self.conversations.get(key)
        return NotFound() if known is None else Found(known.report)

    def drop(self, external_id: str, now: datetime) -> LookUpAnswer:
        """End a call that nobody has answered yet."""
        known = next(one for one in self.conversations.values() if one.id == external_id)
        if known.ended_at is None and not known.is_picked_up:
            self.ends(known, "canceled", now, End.NOT_NEEDED)
            self.dropped += 1
        if known.ended_at is not None:
            known.ring.over = known.ring.over or now
        return Found(known.report)

    def ends(self, call: Conversation, status: str, now: datetime, end: End) -> None:
        """Note how a call ended."""
        call.status, call.ended_at, call.ring.end = status, now, end
        if call.is_picked_up and call.picks_up_at is not None:
            call.duration = round((now - call.picks_up_at).total_seconds())

    def hears(self, call: Conversation, spoken: Spoken, now: datetime) -> bool:
        """Note what is spoken to the person who answers; return False if it is not the message."""
        call.question = spoken.reply.question
        if Prompt.MESSAGE not in spoken.reply.parts:
            return False
        if self.understood(spoken.message, now) != (call.ring.ref, call.ring.time):
            self.wrong.append(f"{spoken.message} was spoken in the call of another appointment")
        return True

    def answers(self, call: Conversation, response: str, now: datetime) -> None:
        """Note a key that the daemon has accepted."""
        ring = call.ring
        answered = Answered(
            ref=ring.ref,
            time=ring.time,
            at=now,
            response=response,
            phone_number=ring.phone_number,
            reminder=ring.reminder,
        )
        self.month.answers.append(answered)
