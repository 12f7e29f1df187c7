"""Derive the correct results of a clinic's month only from the sentences of the documents.

Nothing of the program is used here: not its calendar, not its rules, and no words for an outcome except those that the
documents define for other systems.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from itertools import pairwise, product
from typing import Final

from attrs import define, field, frozen

from tests.month.house import House

SLACK: Final = timedelta(minutes=2)
"""How late a call may be if nothing delays it."""

AFTER_A_KILL: Final = timedelta(minutes=10)
"""How long the next process may take to find out what happened to the calls of a killed one."""

UNCLEAR_FOR: Final = timedelta(minutes=40)
"""How long at most a number stays busy after a killed process has lost the answer to a request that is not repeated:
twice the clinic's `outcome_timeout_seconds` of 15 minutes, and some time for the kill."""


class End(StrEnum):
    """How a call ended for its patient."""

    HEARD = "heard"
    NOT_REACHED = "not reached"
    """Busy or no answer: the patient is called again."""
    HUNG_UP = "hung up"
    """Hung up before the end of the message: staff must act."""
    NOT_NEEDED = "not needed"
    """The person who answered heard that the call is not needed, or the call was dropped."""


@frozen(kw_only=True)
class Known:
    """What the daemon knows about an appointment from one moment on."""

    since: datetime
    time: datetime | None
    """The appointment's time; None if it does not take place."""
    phone_number: str


@frozen(kw_only=True)
class Answered:
    """A key that a patient has pressed."""

    ref: str
    time: datetime
    """The time of the appointment to which the key is the answer."""
    at: datetime
    response: str
    """The answer, as the results spell it: `confirmed`, `cancel_requested`, `opted_out`."""
    phone_number: str
    reminder: str


@define(kw_only=True)
class Ring:
    """A call in the provider's own record."""

    reminder: str
    """The reminder's id, as the request had it."""
    ref: str
    time: datetime
    """The time of the appointment that its message mentions."""
    phone_number: str
    at: datetime
    over: datetime | None = None
    """When the daemon learned its end."""
    end: End | None = None


@frozen(kw_only=True)
class Down:
    """A time without a daemon, which was killed before it, perhaps during its work."""

    since: datetime
    until: datetime


@frozen(kw_only=True)
class Event:
    """A change as another system receives it."""

    id: str
    subject: str
    """The id of a reminder, or the `ref` of an appointment."""
    status: str
    response: str | None
    why: str | None


@define(kw_only=True)
class Month:
    """Everything that has happened; each list is in the order of time."""

    known: dict[str, list[Known]] = field(factory=lambda: defaultdict(list))
    rings: list[Ring] = field(factory=list)
    answers: list[Answered] = field(factory=list)
    downs: list[Down] = field(factory=list)
    events: list[Event] = field(factory=list)
    """The changes as the other system has kept them; a repeated change with the same id is left out."""
    stored_events: list[str] = field(factory=list)
    """The ids of all changes that the daemon has recorded."""


Planned = tuple[str, datetime, datetime]
"""A reminder: the `ref` and the time of its appointment, and the planned time of the call."""


def broken(house: House, month: Month, *, until: datetime) -> Iterator[str]:
    """Return which promises the month has broken up to a moment."""
    judge = _Judge(house, month, until)
    yield from judge.of_each_call()
    yield from judge.of_each_reminder()
    yield from judge.of_each_number()
    yield from judge.of_the_results()


@define
class _Judge:
    house: House
    month: Month
    until: datetime

    # What the daemon knew

    def stands(self, ref: str, moment: datetime) -> Known | None:
        """Return what was known about an appointment right before a moment."""
        return next((one for one in reversed(self.month.known.get(ref, [])) if one.since < moment), None)

    def why_not(self, ring: Ring, moment: datetime) -> str | None:
        """Return why nobody needs this call at a moment."""
        return self._why_void(ring, moment) or self._answer(ring.ref, ring.time, ring.phone_number, moment)

    def _why_void(self, ring: Ring, moment: datetime) -> str | None:
        known = self.stands(ring.ref, moment)
        if known is None:
            return "of which nobody knows"
        if known.time is None:
            return "which is cancelled"
        if known.time != ring.time:
            return "which was moved"
        if known.phone_number != ring.phone_number:
            return "which has another number"
        return None

    def _answer(self, ref: str, appointment: datetime, phone_number: str, moment: datetime) -> str | None:
        for one in self._answers_of.get((ref, appointment), ()):
            if one.at < moment:
                return f"for which the patient has answered: {one.response}"
        if any(at < moment for at in self._opted_out.get(phone_number, ())):
            return "whose number has opted out"
        return None

    @cached_property
    def _answers_of(self) -> dict[tuple[str, datetime], list[Answered]]:
        found = defaultdict(list)
        for one in self.month.answers:
            found[one.ref, one.time].append(one)
        return found

    @cached_property
    def _opted_out(self) -> dict[str, list[datetime]]:
        found = defaultdict(list)
        for one in self.month.answers:
            if one.response == "opted_out":
                found[one.phone_number].append(one.at)
        return found

    # Each call

    def of_each_call(self) -> Iterator[str]:
        for ring in self.month.rings:
            what = f"{ring.ref}, {ring.time:%m-%d %H:%M}, called at {ring.at:%m-%d %H:%M:%S}"
            why = self.why_not(ring, ring.at)
            if why is not None:
                yield f"{what}: a call for an appointment {why}"
            if not self.house.is_open(ring.at):
                yield f"{what}: outside the calling hours"
            moment = self._moment_of.get(ring.reminder)
            if moment is None:
                yield f"{what}: a call at a time that nobody has planned"
            elif ring.at >= self.house.limit(moment, ring.time):
                yield f"{what}: after its limit"

    @cached_property
    def _moment_of(self) -> dict[str, datetime]:
        """Return the planned time of each reminder, derived from its first call."""
        found: dict[str, datetime] = {}
        for ring in self.month.rings:
            if ring.reminder not in found:
                before = [one for one in self.house.planned(ring.time) if one <= ring.at]
                if before:
                    found[ring.reminder] = before[-1]
        return found

    @cached_property
    def _rings_of(self) -> dict[Planned, list[Ring]]:
        found = defaultdict(list)
        for ring in self.month.rings:
            moment = self._moment_of.get(ring.reminder)
            if moment is not None:
                found[ring.ref, ring.time, moment].append(ring)
        return found

    # Each planned reminder

    def of_each_reminder(self) -> Iterator[str]:
        for ref, facts in self.month.known.items():
            for appointment in sorted({one.time for one in facts if one.time is not None}):
                for moment in self.house.planned(appointment):
                    if moment < self.until:
                        yield from self._of_reminder((ref, appointment, moment))

    def _of_reminder(self, planned: Planned) -> Iterator[str]:
        ref, appointment, moment = planned
        what = f"{ref}, {appointment:%m-%d %H:%M}, planned for {moment:%m-%d %H:%M}"
        rings = self._rings_of.get(planned, [])
        for former, ring in pairwise(rings):
            if former.end is not End.NOT_REACHED or former.over is None:
                yield f"{what}: called again after a call that ended: {former.end}"
            elif ring.at < former.over + self.house.redial_after:
                yield f"{what}: called again too soon"
        if len(rings) > self.house.max_calls:
            yield f"{what}: called {len(rings)} times"
        for number, ring in enumerate(rings):
            was_due = self._due_after(rings[:number], moment)
            if was_due is not None and ring.at > self._latest(was_due, rings, ring.phone_number):
                yield f"{what}: called late, at {ring.at:%H:%M:%S} instead of {was_due:%H:%M:%S}"
        due = self._due_after(rings, moment)
        limit = self.house.limit(moment, appointment)
        if due is None or due >= limit:
            return
        if not rings and not self._is_wanted(planned, moment, moment):
            return  # not known in time, or no longer needed by then
        latest = self._latest(due, rings, self._phone(ref, moment))
        if latest < min(self.until, limit) and self._is_wanted(planned, moment, latest):
            yield f"{what}: not called at {due:%m-%d %H:%M}" if not rings else f"{what}: not called again"

    def _due_after(self, rings: Sequence[Ring], moment: datetime) -> datetime | None:
        """Return when the next call is due; None if none is due, or a call is under way."""
        if not rings:
            return moment
        last = rings[-1]
        if last.end is not End.NOT_REACHED or last.over is None or len(rings) >= self.house.max_calls:
            return None
        return self.house.next_open(last.over + self.house.redial_after)

    def _is_wanted(self, planned: Planned, since: datetime, until: datetime) -> bool:
        """Return whether the reminder was known at one moment, and needed from then until another moment."""
        ref, appointment, _ = planned
        known = self.stands(ref, since)
        if known is None or known.time != appointment:
            return False
        others = [one for one in self.month.known[ref] if since <= one.since <= until]
        is_same = all((one.time, one.phone_number) == (known.time, known.phone_number) for one in others)
        return is_same and self._answer(ref, appointment, known.phone_number, until + SLACK) is None

    def _phone(self, ref: str, moment: datetime) -> str:
        known = self.stands(ref, moment)
        return "" if known is None else known.phone_number

    def _latest(self, due: datetime, own: Sequence[Ring], phone_number: str) -> datetime:
        """Return the moment by which a call must have begun; later without a daemon, or while its number is busy."""
        latest = due + SLACK
        is_later = True
        while is_later:
            is_later = False
            for down in self.month.downs:
                end = down.until + AFTER_A_KILL
                if down.since - AFTER_A_KILL <= latest and due <= end and end > latest:
                    latest, is_later = end, True
            for ring in self._rings_to.get(phone_number, ()):
                end = (ring.over or ring.at) + SLACK
                if ring.at <= latest and due <= end and end > latest and ring not in own:
                    latest, is_later = end, True
            for since in self._unclear_requests_to(phone_number):
                if since <= latest and due <= since + UNCLEAR_FOR > latest:
                    latest, is_later = since + UNCLEAR_FOR, True
        return latest if self.house.is_open(latest) else self.house.next_open(latest) + SLACK

    def _unclear_requests_to(self, phone_number: str) -> Iterator[datetime]:
        """Yield when a process was killed that may have sent a request for an appointment that was cancelled afterward.

        For an appointment that takes place, the request would be sent again.
        """
        for ref, facts in self.month.known.items():
            for former, fact in pairwise(facts):
                if fact.time is not None or former.time is None or former.phone_number != phone_number:
                    continue
                for moment, down in product(self.house.planned(former.time), self.month.downs):
                    was_sent = moment <= down.since <= moment + SLACK
                    is_not_repeated = down.since <= fact.since <= down.until + AFTER_A_KILL
                    if was_sent and is_not_repeated and (ref, former.time, moment) not in self._rings_of:
                        yield down.since

    @cached_property
    def _rings_to(self) -> dict[str, list[Ring]]:
        found = defaultdict(list)
        for ring in self.month.rings:
            found[ring.phone_number].append(ring)
        return found

    # Each phone

    def of_each_number(self) -> Iterator[str]:
        for rings in self._rings_to.values():
            for former, ring in pairwise(rings):
                if former.over is None or ring.at < former.over:
                    yield f"{ring.ref}, called at {ring.at:%m-%d %H:%M:%S}: another call to the number is not over"

    # The results

    def of_the_results(self) -> Iterator[str]:
        ids = [one.id for one in self.month.events]
        if len(set(ids)) != len(ids):
            yield "results: an id came for two changes"
        if set(ids) != set(self.month.stored_events):
            yield f"results: {len(set(self.month.stored_events) ^ set(ids))} changes were received only, or stored only"
        answered = {name for one in self.month.answers for name in (one.reminder, one.ref)}
        for subject, events in self._events_of.items():
            for former, event in pairwise(events):
                if (former.status, former.response, former.why) == (event.status, event.response, event.why):
                    yield f"results: {subject}: the same change twice"
            if any(one.response for one in events) and subject not in answered:
                yield f"results: {subject}: an answer that nobody has given"
        yield from self._about_answers()
        for reminder, ring in {ring.reminder: ring for ring in self.month.rings}.items():
            yield from self._about_end(ring, self._events_of.get(reminder, []))

    @cached_property
    def _events_of(self) -> dict[str, list[Event]]:
        found = defaultdict(list)
        for event in self.month.events:
            found[event.subject].append(event)
        return found

    def _about_answers(self) -> Iterator[str]:
        """Check that each answer is reported once for its reminder, and once for its appointment."""
        for answer in self.month.answers:
            news = _news(answer.response, self._events_of.get(answer.reminder, []))
            if news != 1:
                yield f"results: {answer.ref}, {answer.time:%m-%d %H:%M}: {answer.response} came {news} times"
        for ref, response in {(one.ref, one.response) for one in self.month.answers}:
            news, times = _news(response, self._events_of.get(ref, [])), self._times_given(ref, response)
            if news != times:
                yield f"results: {ref}: {response} came {news} times for the appointment, instead of {times} times"

    def _times_given(self, ref: str, response: str) -> int:
        """Return how often an appointment has got an answer: once more if it was moved, and then moved back."""
        facts = [one for one in self.month.known[ref] if one.time is not None]
        moments: list[tuple[datetime, datetime | None, str | None]] = [(one.since, one.time, None) for one in facts]
        moments += [(one.at, one.time, one.response) for one in self.month.answers if one.ref == ref]
        at: datetime | None = None
        given: dict[datetime | None, str] = {}
        found: list[str | None] = [None]
        for _, time_, answer in sorted(moments, key=lambda one: one[0]):
            if answer is not None:
                given[time_] = answer
            else:
                at = time_
            found.append(given.get(at))
        return sum(former != latter == response for former, latter in pairwise(found))

    def _about_end(self, ring: Ring, events: Sequence[Event]) -> Iterator[str]:
        """Compare the last change of a reminder with its last call."""
        if ring.over is None:
            return
        status = events[-1].status if events else "none"
        is_cut = self.why_not(ring, self.until) is not None
        is_cut_meanwhile = self._why_void(ring, ring.over) is not None
        allowed = {
            End.HEARD: {"called", "cancelled"} if is_cut_meanwhile else {"called"},
            End.HUNG_UP: {"failed", "cancelled"} if is_cut else {"failed"},
            End.NOT_NEEDED: {"cancelled"},
            End.NOT_REACHED: {"failed", "expired", "cancelled"} if is_cut else {"failed", "expired"},
            None: set[str](),
        }[ring.end]
        if status not in allowed:
            yield f"results: {ring.ref}, {ring.time:%m-%d %H:%M}: {ring.end}, and the last change is {status}"


def _news(response: str, events: Iterable[Event]) -> int:
    """Return how often this response newly appears in the events."""
    found = [None, *(event.response for event in events)]
    return sum(former != latter == response for former, latter in pairwise(found))
