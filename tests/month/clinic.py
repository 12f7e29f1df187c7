"""A clinic's month in a few seconds: the real store, plans, imports and decisions; clock, provider and files made up.

Between two events nothing waits: the clock is set to the next moment at which somebody does something.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from random import Random
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from attrs import define, field

from reminderd.config import Config, load_config, rules_of
from reminderd.core.answers import Capabilities, Found
from reminderd.core.changes import Change, ChangeKind, Cursor
from reminderd.core.lifecycle.answer import last_look
from reminderd.core.lifecycle.transition import Action, ActionKind
from reminderd.core.model import AppointmentStatus
from reminderd.core.rules import Rules
from reminderd.databases import SqliteFile, Target
from reminderd.providers.base import placement_of
from reminderd.store.any_engine import open_sync
from reminderd.store.appointments import cancel_appointment, find_appointment, plan_due, replan_if_rules_changed
from reminderd.store.claims import wake_waiting
from reminderd.store.intake import Source
from reminderd.store.outcome_changes import changes_after
from reminderd.store.settle import read_for_last_look
from reminderd.store.sqlite.driver import SqliteConnection
from reminderd.store.stats import next_wakes
from tests.month.files import drop, import_next
from tests.month.house import House
from tests.month.oracle import Down, End, Event, Known, Month
from tests.month.patients import KEYS, TEMPLATE, Conversation, Mood, Patients
from tests.month.practice import File, Practice, learned
from tests.support.builders import DAY, HOUR, MINUTE, SECOND
from tests.support.store import Store

ZONE: Final = ZoneInfo("America/New_York")
BEFORE: Final = ("3 days", "1 day at 10:00")
CAPABILITIES: Final = Capabilities(
    honors_key=True, key_lifetime=23 * HOUR, look_up=True, drop=True, asks_what_to_say=True
)

_CONFIG: Final = """
[database]
url = "{url}"
[clinic]
country = "US"
[calling]
timezone = "America/New_York"
start = "09:00"
end = "19:00"
days = ["mon", "tue", "wed", "thu", "fri"]
holidays = ["{holiday}"]
[calling.hours]
sat = "09:00-12:30"
[messages]
templates = {{ visit = "{template}" }}
[reminders]
before = ["3 days", "1 day at 10:00"]
template = "visit"
[import]
folder = "inbox"
[import.profiles.practice]
files = "*.csv"
dates = "mdy"
columns = {{ phone_number = "Patient Mobile Number", name = "Patient Name", status = "Appointment Status" }}
snapshot_days = 30
"""
_MILLISECOND: Final = timedelta(milliseconds=1)
"""The unit of time in the database."""
_A_MOMENT: Final = timedelta(milliseconds=50)
_LEFT_FOR_REQUEST: Final = 20 * SECOND


@define(kw_only=True)
class DaemonStore(Store):
    """The database as the daemon sees it; its random ids are the same for the same seed."""

    dice: Random

    def mint(self) -> str:
        return str(UUID(int=self.dice.getrandbits(128), version=4))


@define(kw_only=True)
class Clinic:
    """The daemon, and everything around it."""

    folder: Path
    target: Target
    seed: int
    first: date
    days: int
    holiday: date
    dice: Random = field(init=False)
    config: Config = field(init=False)
    rules: Rules = field(init=False)
    house: House = field(init=False)
    month: Month = field(factory=Month)
    practice: Practice = field(init=False)
    patients: Patients = field(init=False)
    now: datetime = field(init=False)
    store: DaemonStore = field(init=False)
    happened: Counter[str] = field(factory=Counter)
    is_up: bool = False
    _life: ExitStack = field(factory=ExitStack)
    _events: list[tuple[datetime, int, Callable[[], None]]] = field(factory=list)
    _order: "count[int]" = field(factory=count)
    _ids: Random = field(init=False)
    _kills_in: int | None = None
    """The number of steps of its work after which the daemon is killed; None if it is not killed now."""
    _cursor: Cursor | None = None
    _is_last_file_cut: bool = False

    def __attrs_post_init__(self) -> None:
        self.dice, self._ids = Random(self.seed), Random(f"{self.seed} ids")
        url = f"sqlite:///{self.target.path}" if isinstance(self.target, SqliteFile) else self.target.url
        text = _CONFIG.format(url=url, holiday=self.holiday.isoformat(), template=TEMPLATE)
        (self.folder / "inbox").mkdir()
        (self.folder / "config.toml").write_text(text, encoding="utf-8")
        self.config = load_config(None, {}, self.folder)
        self.rules = rules_of(self.config, provider="fake", account="the clinic's", capabilities=CAPABILITIES)
        week = {day: (time(9), time(19)) for day in range(5)} | {5: (time(9), time(12, 30))}
        self.house = House(zone=ZONE, hours=week, holidays=frozenset({self.holiday}), before=BEFORE)
        self.practice = Practice(house=self.house, first=self.first, days=self.days, dice=Random(f"{self.seed} book"))
        self.patients = Patients(month=self.month, dice=Random(f"{self.seed} patients"), zone=ZONE)
        self.now = self._at(self.first, time(5))
        self._starts()
        for change in self.practice.commands:
            self._later(change.at, partial(self._is_cancelled, change.ref))
        for number in range(self.days):
            self._plans_day(self.first + number * DAY, number)

    def passes(self) -> datetime:
        """Let the month pass; return its end."""
        end = self._at(self.first + self.days * DAY, time(23))
        while True:
            wake = self._next_wake()
            moment = min((one for one in (wake, self._events[0][0] if self._events else None) if one), default=end)
            if moment >= end:
                break
            self._is_now(max(moment, self.now + _A_MOMENT))
            if self._events and self._events[0][0] <= self.now:
                heappop(self._events)[2]()
            else:
                self._works()
        self._reads_changes(is_whole=True)
        self._life.close()
        return end

    # What is going to happen

    def _plans_day(self, day: date, number: int) -> None:
        dice = self.dice
        cut = number == self.days // 2
        self._later(self._at(day, time(5, 30)), partial(self._file_comes, is_cut_short=cut))
        if dice.random() < 0.5:
            self._later(self._at(day, time(12, 10)), self._file_comes)
        if dice.random() < 0.4:
            self._later(self._at(day, time(10)) + 6 * SECOND, self._file_comes)  # while phones ring
        for _ in range(dice.randrange(3)):
            moment = self._at(day, time(dice.choice((9, 10, 10, 11, 13, 15)), dice.randrange(60)))
            self._later(moment, self._is_to_be_killed)
        if dice.random() < 0.3:
            moment = self._at(day, time(dice.choice((8, 9, 13)), dice.randrange(40, 60)))
            self._later(moment, partial(self._is_down, dice.randrange(5, 50) * MINUTE))
        for _ in range(4):
            self._later(self._at(day, time(dice.randrange(6, 22), dice.randrange(60))), self._reads_changes)

    def _at(self, day: date, wall: time) -> datetime:
        return datetime.combine(day, wall, tzinfo=ZONE).astimezone(UTC)

    def _later(self, moment: datetime, what: Callable[[], None]) -> None:
        moment += self.dice.randrange(1_000) * _MILLISECOND
        heappush(
            self._events, (moment.replace(microsecond=moment.microsecond // 1_000 * 1_000), next(self._order), what)
        )

    def _is_now(self, moment: datetime) -> None:
        if self.is_up:
            self.store.later(moment - self.now)
        self.now = moment

    # The daemon

    def _starts(self) -> None:
        connection = self._life.enter_context(open_sync(self.target))
        if isinstance(connection, SqliteConnection):
            connection.execute("PRAGMA synchronous = OFF")
        self.store = DaemonStore(
            connection=connection, rules=self.rules, now=self.now, monotonic=self.now.timestamp(), dice=self._ids
        )
        self.store.write(partial(wake_waiting, lease=self.rules.lease))
        self.store.write(partial(replan_if_rules_changed, digest=self.rules.planning_digest))
        self.is_up = True

    def _dies(self, down_for: timedelta, then: Callable[[], None] | None = None) -> None:
        """Kill the daemon; after a while it is started again, and does something at once."""
        self._life.close()
        self._life, self.is_up, self._kills_in = ExitStack(), False, None
        self.month.downs.append(Down(since=self.now, until=self.now + down_for))

        def starts() -> None:
            self._starts()
            if then is not None:
                then()

        self._later(self.now + down_for, starts)

    def _is_to_be_killed(self) -> None:
        """Have the daemon killed during its next work."""
        self._kills_in = self.dice.randrange(1, 6)

    def _is_down(self, down_for: timedelta) -> None:
        """Stop the daemon for some time in which nobody is on the phone."""
        if self.is_up and all(one.ended_at is not None for one in self.patients.conversations.values()):
            self.happened["outages"] += 1
            self._dies(down_for)

    def _survives(self) -> bool:
        """Do one step; return False if the daemon is killed at it."""
        if self._kills_in is None:
            return True
        self._kills_in -= 1
        if self._kills_in > 0:
            return True
        self.happened["kills"] += 1
        self._dies(2 * SECOND)
        return False

    def _next_wake(self) -> datetime | None:
        if not self.is_up:
            return None
        wakes = next_wakes(self.store.connection, self.now)
        if wakes.unplanned:
            return self.now
        return min((one for one in (wakes.reminder, wakes.call) if one is not None), default=None)

    def _works(self) -> None:
        """Plan, claim, and do the actions that were claimed."""
        store = self.store
        if next_wakes(store.connection, self.now, alive=False).unplanned:
            store.write(partial(plan_due, rules=self.rules, mint=store.mint))
            return
        for action in store.claim(requests=20, checks=10):
            if not self._survives():
                return
            if not action.kind.is_request:
                self._looks_up(action)
            elif not self._requests(action):
                return

    def _requests(self, action: Action) -> bool:
        store = self.store
        seen = read_for_last_look(store.connection, action=action, rules=self.rules, now=self.now)
        left = self.rules.lease - _LEFT_FOR_REQUEST
        reason = last_look(
            seen.ledger, action, paused=seen.paused, stopping=False, time_left=left, rules=self.rules, now=self.now
        )
        if reason is not None:
            store.not_sent(action, reason)
            return True
        answer, begun = self.patients.place(placement_of(action), self.now)
        if begun is not None:
            self._rings(begun)
        if not self._survives():
            return False
        store.answer(action, answer)
        return True

    def _looks_up(self, action: Action) -> None:
        external_id = action.call.external_call_id or ""
        if action.kind is ActionKind.DROP:
            finding = self.patients.drop(external_id, self.now)
        else:
            finding = self.patients.look_up(action.call.id)
        known = self.patients.conversations.get(action.call.id)
        if known is not None and isinstance(finding, Found) and known.ended_at is not None:
            known.ring.over = known.ring.over or self.now
        self.store.found(action, finding)

    # The calls

    def _rings(self, call: Conversation) -> None:
        if call.picks_up_at is not None:
            self._later(call.picks_up_at, partial(self._picks_up, call))
        elif call.mood is Mood.BUSY:
            self._later(self.now + 2 * SECOND, partial(self._is_over, call, "busy", End.NOT_REACHED))
        else:
            self._later(self.now + 30 * SECOND, partial(self._is_over, call, "no-answer", End.NOT_REACHED))

    def _needs_daemon(self, what: Callable[[], None]) -> bool:
        """Return whether the daemon accepts a webhook; otherwise, the provider sends it again a little later."""
        if not self.is_up:
            self._later(self.now + SECOND, what)
        return self.is_up

    def _picks_up(self, call: Conversation) -> None:
        if call.ended_at is not None or not self._needs_daemon(partial(self._picks_up, call)):
            return
        call.is_picked_up, call.status, call.picks_up_at = True, "in-progress", self.now
        spoken = self.store.pick_up(call.report)
        if not self.patients.hears(call, spoken, self.now):
            self.happened["not needed anymore"] += 1
            self._later(self.now + 6 * SECOND, partial(self._is_over, call, "completed", End.NOT_NEEDED))
        elif call.mood is Mood.HANGS_UP:
            self._later(self.now + SECOND, partial(self._is_over, call, "hung-up", End.HUNG_UP))
        elif call.mood is Mood.LISTENS:
            self._later(self.now + 25 * SECOND, partial(self._listens, call))
        else:
            self._later(self.now + 12 * SECOND, partial(self._presses, call, 0))

    def _listens(self, call: Conversation) -> None:
        if self._needs_daemon(partial(self._listens, call)):
            self.store.press(call.report, "")
            self._later(self.now + 3 * SECOND, partial(self._is_over, call, "completed", End.HEARD))

    def _presses(self, call: Conversation, number: int) -> None:
        if call.question is None or not self._needs_daemon(partial(self._presses, call, number)):
            return
        keys, response = KEYS[call.mood]
        spoken = self.store.press(call.report, keys[number], call.question)
        call.question = spoken.reply.question
        if number + 1 < len(keys):
            self._later(self.now + 5 * SECOND, partial(self._presses, call, number + 1))
            return
        self.patients.answers(call, response, self.now)
        self.happened[response] += 1
        if response == "cancel_requested" and self.dice.random() < 0.6:
            self._later(self.now + HOUR, partial(self.practice.cancels, call.ring.ref))
        self._later(self.now + 4 * SECOND, partial(self._is_over, call, "completed", End.HEARD))

    def _is_over(self, call: Conversation, status: str, end: End) -> None:
        if call.ended_at is not None:
            return  # dropped
        if self._needs_daemon(partial(self._is_over, call, status, end)):
            self.patients.ends(call, status, self.now, end)
            call.ring.over = self.now
            self.store.report(call.report)

    # The files, and the results

    def _file_comes(self, *, is_cut_short: bool = False) -> None:
        """Let the practice software write its file, and the daemon import it."""
        self.practice.passes(self.now)
        path = self.folder / f"{self.now:%m%dT%H%M%S}.csv"
        self._imports(self.practice.writes(path, self.now, is_cut_short=is_cut_short))

    def _is_cancelled(self, ref: str) -> None:
        """Have staff cancel an appointment, also by the command if the database has it already."""
        self.practice.passes(self.now)
        if not self.is_up:
            self._later(self.now + MINUTE, partial(self._is_cancelled, ref))
            return
        found = find_appointment(self.store.connection, ref)
        if found is not None and found.status is AppointmentStatus.BOOKED:
            source = Source(actor="staff")
            cancel = partial(cancel_appointment, appointment_id=found.id, rules=self.rules, source=source)
            self.store.write(cancel)
            self.month.known[ref].append(Known(since=self.now, time=None, phone_number=found.phone_number))

    def _imports(self, file: File) -> None:
        """Have the daemon import a file from the folder; sometimes it is killed meanwhile, or right after it."""
        if not self.is_up:
            self._later(self.now + MINUTE, partial(self._imports, file))
            return
        inbox = self.folder / "inbox"
        if not (inbox / file.path.name).exists():
            drop(file.path, inbox, self.now)
        dies_after = self.dice.randrange(1, 7) if self.dice.random() < 0.2 else None
        status = import_next(inbox, self.config, self.now, dies_after=dies_after)
        if status is None:
            self.happened["killed in an import"] += 1
            self._dies(2 * SECOND, then=partial(self._imports, file))
            return
        self.happened[f"{status} files"] += 1
        learned(file, self.now, self.month.known)
        is_last_chance = self.now.astimezone(ZONE).date() >= self.first + (self.days - 3) * DAY
        if self.dice.random() < 0.1 or (is_last_chance and not self.happened["killed after an import"]):
            self.happened["killed after an import"] += 1
            self._dies(2 * SECOND)

    def _reads_changes(self, *, is_whole: bool = False) -> None:
        """Have the clinic's own system read what has changed; sometimes it forgets that it has."""
        if not self.is_up and not is_whole:
            return
        if not self.is_up:
            self._starts()
        known = {one.id for one in self.month.events}
        while True:
            page = changes_after(self.store.connection, cursor=self._cursor, limit=self.dice.choice((3, 50)))
            for change in page.changes:
                if change.event_id not in known:
                    known.add(change.event_id)
                    self.month.events.append(_event_of(change))
            if not page.changes:
                break
            if not is_whole and self.dice.random() < 0.1:
                self.happened["forgotten answers"] += 1
                return
            self._cursor = page.cursor
        if is_whole:
            rows = self.store.connection.execute("SELECT event_id FROM changes")
            self.month.stored_events = [row["event_id"] for row in rows]


def _event_of(change: Change) -> Event:
    return Event(
        id=change.event_id,
        subject=change.subject_id if change.kind is ChangeKind.REMINDER else change.ref or "",
        status=change.status,
        response=change.response,
        why=change.end_code,
    )
