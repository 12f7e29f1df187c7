"""Make up a busy day of a clinic: write what has happened by now as the daemon would write it; the rest is due."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final
from uuid import uuid4
from zoneinfo import ZoneInfo

from attrs import define, evolve, field, frozen

from reminderd.core.answers import Accepted, Refused, Report
from reminderd.core.booking import AppointmentRequest
from reminderd.core.lifecycle.keypress import Key
from reminderd.core.lifecycle.reconcile import Witness
from reminderd.core.lifecycle.transition import Action
from reminderd.core.rules import Rules
from reminderd.core.script.prompts import Question
from reminderd.sandbox.behaviors import example_number
from reminderd.store import reminders
from reminderd.store.appointments import put_appointments, replan_if_rules_changed, stored_appointment
from reminderd.store.claims import Capacity, claim
from reminderd.store.connection import Connection, transaction
from reminderd.store.intake import Source
from reminderd.store.settle import settle_answer, settle_key, settle_pick_up, settle_report

PLACES: Final = (
    "Pacific/Honolulu",
    "America/Los_Angeles",
    "America/Denver",
    "America/Chicago",
    "America/New_York",
    "America/Sao_Paulo",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Athens",
    "Asia/Dubai",
    "Asia/Kolkata",
    "Asia/Bangkok",
    "Asia/Tokyo",
    "Australia/Sydney",
    "Pacific/Auckland",
)
"""The time zones that the demo's clinic may have; `place_of` chooses one in which it is the middle of the day."""

_MORNING: Final = timedelta(hours=11)
_SLOT_MINUTES: Final = 5
_STEP: Final = timedelta(seconds=15)
"""The time between two moments of the past at which due reminders are claimed."""
_PICKS_UP: Final = timedelta(seconds=9)
_PRESSES: Final = timedelta(seconds=24)
_HANGS_UP: Final = timedelta(seconds=31)
_FAILS: Final = timedelta(seconds=4)
_IS_GIVEN_UP: Final = timedelta(seconds=30)

_UNANSWERED: Final[Mapping[str, tuple[timedelta, dict[str, Any]]]] = {
    "busy": (_FAILS, {"status": "busy"}),
    "no-answer": (_IS_GIVEN_UP, {"status": "no-answer"}),
    "declined": (_PICKS_UP, {"status": "busy", "sip_response_code": 603}),
    "failed": (_FAILS, {"status": "failed", "sip_response_code": 404}),
}
"""When and how a call without an answer ends."""
_KEYS: Final = {"confirms": "1", "cancels": "22", "opts-out": "9"}
"""The keys that are pressed, one after the other."""

_AREA_CODES: Final = (
    202, 203, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215, 216, 217, 218, 219, 224, 225, 228, 229, 231, 234,
    239, 240, 248, 251, 252, 253, 254, 256, 260, 262, 267, 269, 270, 272, 276, 281, 301, 302, 303, 304, 305, 307,
    308, 309, 310, 312, 313, 314, 315, 316, 317, 318, 319, 320, 321, 323, 330, 331, 334, 336, 337, 339,
)  # fmt: skip
"""Different area codes give each patient a unique number; the last digits decide what a simulated call does."""

_PROVIDERS: Final = ("Dr. Brown", "Dr. Okafor", "Dr. Weiss")
_PRACTICE: Final = Source(actor="import", detail="appointments.csv", profile="practice")
_STAFF: Final = Source(actor="anna")
_OTHER_STAFF: Final = Source(actor="ben")


@frozen
class _Patient:
    """A patient with an appointment tomorrow, and the outcome of today's calls."""

    name: str
    calls: str
    """A word for each call that has been made; empty before the first call."""
    behavior: str = "confirms"
    """How a call behaves that the daemon makes while the demo runs."""
    staff: str = ""
    """What staff have done in the meantime."""


_PAST: Final = (
    _Patient("Ruth Abbott", "confirms"),
    _Patient("Samuel Ortega", "confirms"),
    _Patient("Ingrid Vogel", "no-answer confirms"),
    _Patient("Walter Nkemelu", "confirms"),
    _Patient("Petra Lindqvist", "refused", behavior="refused"),
    _Patient("Tom Hadley", "confirms"),
    _Patient("Mina Farahani", "heard"),
    _Patient("Josef Brandt", "cancels"),
    _Patient("Elena Petrova", "confirms"),
    _Patient("Gerald Finch", "voicemail voicemail"),
    _Patient("Aisha Rahman", "confirms"),
    _Patient("Paul Whitfield", "busy busy", staff="done"),
    _Patient("Noriko Tanaka", "confirms"),
    _Patient("Dennis Calloway", "hangs-up", behavior="has it repeated"),
    _Patient("Louise Marchetti", "confirms"),
    _Patient("Henry Osei", "heard"),
    _Patient("Clara Voss", "confirms"),
    _Patient("Victor Dumitru", "opts-out"),
    _Patient("Yolanda Reyes", "busy heard"),
    _Patient("Ernst Kühn", "confirms"),
    _Patient("Margaret Doyle", "no-answer no-answer"),
    _Patient("Omar Haddad", "confirms"),
    _Patient("Birgit Sommer", "declined"),
    _Patient("Frank Mbeki", "", staff="cancel"),
    _Patient("Sofia Alvarez", "confirms"),
    _Patient("Leon Baptiste", "heard"),
    _Patient("Hannah Schuster", "cancels", staff="done"),
    _Patient("George Tran", "confirms"),
    _Patient("Irene Kowalski", "failed", behavior="busy then answered"),
    _Patient("Marcus Bell", "confirms"),
    _Patient("Dorothea Lang", "", staff="new number"),
    _Patient("Isaac Freeman", "heard"),
    _Patient("Lucia Romano", "confirms"),
    _Patient("Grace Adeyemi", "confirms"),
    _Patient("Amir Suleiman", "confirms"),
    _Patient("Stefan Novak", "voicemail"),
    _Patient("Karl Eriksen", "busy", behavior="answered"),
    _Patient("Joan Pritchard", "no-answer"),
)
"""The patients that were called, in the order of their times; the last one was called a few minutes ago."""

_TO_COME: Final = (
    (0, _Patient("Wanda Jarvis", "")),
    (0, _Patient("Benedikt Auer", "", behavior="has it repeated")),
    (1, _Patient("Rosa Delgado", "", behavior="asks to cancel")),
    (1, _Patient("Philip Greene", "", behavior="no answer")),
    (2, _Patient("Nadia Hussein", "")),
    (3, _Patient("Otto Reimann", "", behavior="silent")),
    (4, _Patient("Teresa Okonkwo", "", behavior="opts out")),
    (10, _Patient("Daniel Frost", "", behavior="hangs up")),
    (10, _Patient("Marie Lefevre", "")),
    (15, _Patient("Hugo Steiner", "", behavior="busy then answered")),
    (15, _Patient("Priya Nair", "")),
    (20, _Patient("Edith Larsen", "", behavior="voicemail")),
    (30, _Patient("Juan Castillo", "")),
    (40, _Patient("Beate Krüger", "")),
    (50, _Patient("Simon Achebe", "", behavior="declines")),
    (65, _Patient("Vera Molnar", "")),
    (80, _Patient("Arthur Penrose", "", behavior="no answer")),
    (100, _Patient("Lena Hoffmann", "")),
    (120, _Patient("Robert Quinn", "")),
    (140, _Patient("Judith Amsel", "")),
    (160, _Patient("Ahmed Zaki", "", behavior="silent")),
    (180, _Patient("Monika Wolff", "")),
)
"""The patients to call next, with the minutes until then; they are due one by one, so that a viewer can watch."""


def place_of(now: datetime, offset: timedelta | None = None) -> ZoneInfo:
    """Return the time zone of the demo's clinic: one with the machine's offset if it is daytime there, or another one.

    `offset` is the offset from UTC, by default the one of the machine's zone.
    """
    if offset is None:
        offset = now.astimezone().utcoffset() or timedelta(0)
    zones = [ZoneInfo(place) for place in PLACES]
    is_day = timedelta(hours=9) <= _time_of_day((now + offset).replace(tzinfo=None)) <= timedelta(hours=18)
    own = [zone for zone in zones if now.astimezone(zone).utcoffset() == offset]
    if is_day and own:
        return own[0]
    return min(zones, key=lambda zone: abs(_time_of_day(now.astimezone(zone).replace(tzinfo=None)) - _MORNING))


def _time_of_day(wall: datetime) -> timedelta:
    return wall - wall.replace(hour=0, minute=0, second=0, microsecond=0)


def write_day(connection: Connection, now: datetime, rules: Rules, *, room: str = "room") -> None:
    """Fill an empty database with a day: what has happened by now, what waits, and what is due.

    The rules have the provider's name and account; `room` is the word for the place of appointments.
    """
    day = _Day(connection=connection, rules=rules, room=room, zone=rules.planning.templates.zone or ZoneInfo("UTC"))
    minute = now.replace(second=0, microsecond=0)
    slot = minute - timedelta(minutes=minute.minute % _SLOT_MINUTES)
    for place, patient in enumerate(reversed(_PAST), start=1):
        day.book(patient, slot - place * timedelta(minutes=_SLOT_MINUTES), area=_AREA_CODES[place])
    for place, (minutes, patient) in enumerate(_TO_COME, start=len(_PAST) + 1):
        start = minute if minutes < _SLOT_MINUTES else slot
        day.book(patient, start + timedelta(minutes=minutes), area=_AREA_CODES[place])
    day.play(until=minute - timedelta(seconds=1))


@define(kw_only=True)
class _Day:
    """The day while it is written, moment by moment; each moment is one transaction."""

    connection: Connection
    rules: Rules
    zone: ZoneInfo
    room: str
    _patients: dict[str, tuple[_Patient, list[str]]] = field(factory=dict, init=False)
    """The patients by phone number, each with the calls that are still to be made."""
    _requests: list[AppointmentRequest] = field(factory=list, init=False)
    _first: datetime = field(default=datetime.max.replace(tzinfo=UTC), init=False)
    _to_do: list[tuple[datetime, int, Callable[[Connection, datetime], object]]] = field(factory=list, init=False)
    _numbers: "count[int]" = field(factory=count, init=False)

    def book(self, patient: _Patient, at: datetime, *, area: int) -> None:
        """Book the appointment of a patient who is to be called at this time."""
        number = example_number(patient.behavior, area=area)
        wall = (at.astimezone(self.zone) + timedelta(days=1)).replace(tzinfo=None)
        place = len(self._requests)
        request = AppointmentRequest(
            phone_number=number,
            at=wall.replace(tzinfo=self.zone).astimezone(UTC),
            ref=f"V-{1000 + place * 7}",
            patient_ref=f"P-{400 + place * 3}",
            name=patient.name,
            provider=_PROVIDERS[place % len(_PROVIDERS)],
            place=f"{self.room} {place % 4 + 1}",
        )
        self._requests.append(request)
        self._patients[number] = (patient, patient.calls.split())
        self._first = min(self._first, at)
        if patient.staff:
            self._act_later(patient, request, at)

    def play(self, *, until: datetime) -> None:
        """Let everything happen until a moment."""
        booked_at = self._first - timedelta(hours=1)
        # Otherwise the daemon would not know by which rules the calls are planned, and would plan all of them again.
        transaction(self.connection, partial(replan_if_rules_changed, digest=self.rules.planning_digest), booked_at)
        write = partial(put_appointments, requests=self._requests, rules=self.rules, mint=_new_id, source=_PRACTICE)
        transaction(self.connection, write, booked_at)
        now = booked_at
        while now < until:
            now = min(now + _STEP, until)
            while self._to_do and self._to_do[0][0] <= now:
                at, _, act = heappop(self._to_do)
                transaction(self.connection, act, at)
            for action in self._claim(now):
                self._call(action, now)

    def _claim(self, now: datetime) -> Sequence[Action]:
        capacity = Capacity(requests=20, checks=0, request_in=_STEP)
        write = partial(claim, capacity=capacity, rules=self.rules, witness=Witness(), mint=_new_id)
        return [one.action for one in transaction(self.connection, write, now) if one.action is not None]

    def _call(self, action: Action, now: datetime) -> None:
        """Have the provider accept or refuse a call, and simulate the rest of it."""
        _, calls = self._patients[action.call.phone_number]
        how = calls.pop(0)
        call_id = f"CA{uuid4().hex}"
        refused = Refused("400 Bad Request: 21211; The phone number you are attempting to call is not valid.")
        answer = refused if how == "refused" else Accepted(call_id)
        settle = partial(settle_answer, action=action, answer=answer, counts=True, rules=self.rules, draw=0.5)
        transaction(self.connection, settle, now + timedelta(milliseconds=300))
        report = Report(external_call_id=call_id, status="completed", attempt_id=action.call.id)
        if how in _UNANSWERED:
            after, found = _UNANSWERED[how]
            self._report(now + after, evolve(report, **found))
        elif how != "refused":
            answered_by = "machine_end_beep" if how == "voicemail" else "human"
            hangs_up = _PICKS_UP + timedelta(seconds=2) if how == "hangs-up" else _HANGS_UP
            self._talk(now, evolve(report, answered_by=answered_by), _KEYS.get(how, ""), hangs_up=hangs_up)

    def _talk(self, now: datetime, report: Report, keys: str, *, hangs_up: timedelta) -> None:
        """Have the call answered, and these keys pressed."""
        answered = evolve(report, status="in-progress")
        self._later(now + _PICKS_UP, partial(settle_pick_up, report=answered, rules=self.rules, mint=_new_id))
        for place, digit in enumerate(keys):
            key = Key(digits=digit, question=(Question.MENU, Question.CANCEL)[place], repeats=0)
            at = now + _PRESSES + place * timedelta(seconds=5)
            self._later(at, partial(settle_key, report=answered, key=key, rules=self.rules, mint=_new_id))
        talked = int((hangs_up - _PICKS_UP).total_seconds())
        self._report(now + hangs_up, evolve(report, duration_seconds=talked))

    def _report(self, at: datetime, report: Report) -> None:
        self._later(at, partial(settle_report, report=evolve(report, ended_at=at), rules=self.rules, mint=_new_id))

    def _later(self, at: datetime, act: Callable[[Connection, datetime], object]) -> None:
        heappush(self._to_do, (at, next(self._numbers), act))

    def _act_later(self, patient: _Patient, request: AppointmentRequest, called_at: datetime) -> None:
        match patient.staff:
            case "done":
                note = "Reached at work, is coming" if "busy" in patient.calls else "Cancelled, slot given away"
                act = partial(self._done, request=request, note=note)
                self._later(called_at + timedelta(minutes=26), act)
            case "cancel":
                self._later(called_at - timedelta(minutes=12), partial(self._cancel, request=request))
            case _:
                new = evolve(request, phone_number=example_number("confirms", area=989))
                change = partial(put_appointments, requests=[new], rules=self.rules, mint=_new_id, source=_PRACTICE)
                self._later(called_at - timedelta(minutes=40), change)

    def _done(self, connection: Connection, now: datetime, *, request: AppointmentRequest, note: str) -> None:
        reminder_id = _reminder_of(connection, request)
        reminders.note_done(connection, now, reminder_id=reminder_id, note=note, rules=self.rules, source=_STAFF)

    def _cancel(self, connection: Connection, now: datetime, *, request: AppointmentRequest) -> None:
        reminder_id = _reminder_of(connection, request)
        reminders.cancel(connection, now, reminder_id=reminder_id, rules=self.rules, source=_OTHER_STAFF)


def _reminder_of(connection: Connection, request: AppointmentRequest) -> str:
    """Return the id of the reminder that was planned for an appointment."""
    found = stored_appointment(connection, request.ref or "")
    return str(found.reminders[0]["id"]) if found is not None else ""


def _new_id() -> str:
    return str(uuid4())
