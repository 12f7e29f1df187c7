"""List what has happened to a reminder, in order: its calls, the pressed keys, its changes, and what staff did."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Final

from attrs import frozen

from reminderd.core.changes import Change
from reminderd.core.model import CallState, Status
from reminderd.core.schedule.cadence import cadence_in_words
from reminderd.core.sentences import Sentence, TextValue
from reminderd.store.appointments import StoredAppointment, stored_appointment
from reminderd.store.audit import acts_on
from reminderd.store.connection import Connection
from reminderd.store.outcome_changes import changes_of
from reminderd.store.queries import Bundled, ShownValue, bundled_with, calls_of

Row = Mapping[str, ShownValue]

VIEWS: Final = frozenset({"view", "search"})
"""The acts in the audit of people who only looked."""

_CLOSED_BY_US: Final = frozenset({CallState.REFUSED, CallState.NOT_PLACED, CallState.UNREPORTED})
_BY_A_PERSON: Final = "done"
"""The act whose detail is a note, as a person wrote it."""
_BEFORE: Final = " before its appointment"
"""The text after the cadence in the detail of a planned reminder."""


@frozen(kw_only=True)
class Event:
    """One thing that has happened to a reminder."""

    at: datetime
    what: Sentence
    detail: TextValue | None = None


@frozen(kw_only=True)
class ReminderRecord:
    """A reminder with everything that is stored about it, as rows by column name."""

    reminder: Row
    appointment: StoredAppointment | None
    """The appointment that it was planned for, with all its reminders; None if there is none, or it was deleted."""
    calls: Sequence[Row]
    """Oldest first."""
    bundled: Mapping[str, Sequence[Bundled]]
    """The other reminders of each call, by the call's id."""
    acts: Sequence[Row]
    """Its lines in the audit, including who looked at it."""
    changes: Sequence[Change]
    """The changes of its outcome, oldest first."""

    @property
    def events(self) -> list[Event]:
        """Return what has happened to the reminder, in order, except for looks at it."""
        done = [act for act in self.acts if act["act"] not in VIEWS]
        events = [*_beginning(self.reminder, done), *_acts(done)]
        for number, call in enumerate(self.calls, 1):
            events += _of_call(call, number, self.bundled.get(str(call["id"]), ()))
        events += _earlier_outcomes(self.reminder, done, self.changes)
        events.sort(key=attrgetter("at"))
        return [*events, *_state(self.reminder)]


def record_of(connection: Connection, *, reminder: Row) -> ReminderRecord:
    """Return a reminder, whose row was read in this transaction, with everything that is stored about it."""
    reminder_id, appointment_id = str(reminder["id"]), reminder["appointment_id"]
    return ReminderRecord(
        reminder=reminder,
        appointment=None if appointment_id is None else stored_appointment(connection, str(appointment_id)),
        calls=calls_of(connection, reminder_id),
        bundled=bundled_with(connection, reminder_id),
        acts=acts_on(connection, reminder_id),
        changes=changes_of(connection, reminder_id),
    )


def _event(at: ShownValue, what: Sentence, detail: TextValue | None = None) -> Iterator[Event]:
    if isinstance(at, datetime):
        yield Event(at=at, what=what, detail=detail)


def _words(text: ShownValue) -> Sentence | None:
    """Return a text of the program as a sentence, which may have a translation; codes as people read them."""
    return None if text is None else Sentence(str(text))


def code_in_words(code: ShownValue) -> Sentence:
    """Return a code as people read it."""
    return Sentence(str(code).replace("_", " "))


def _beginning(reminder: Row, acts: Sequence[Row]) -> Iterator[Event]:
    if not any(act["act"] == "add" for act in acts):
        yield from _event(reminder["created_at"], Sentence("added"), Sentence("by another program, or an import"))


def _acts(acts: Sequence[Row]) -> Iterator[Event]:
    for act in acts:
        values = {"act": code_in_words(act["act"]), "actor": Sentence(str(act["actor"]))}
        yield from _event(act["at"], Sentence("%(act)s by %(actor)s", values), _detail(act))


def _detail(act: Row) -> TextValue | None:
    """Return the detail of an act: a note as it was written, any other as a sentence."""
    text = act["detail"]
    if text is None or act["act"] == _BY_A_PERSON:
        return None if text is None else str(text)
    cadence, is_planned, _ = str(text).partition(_BEFORE)
    if is_planned:
        return Sentence("%(cadence)s before its appointment", {"cadence": cadence_in_words(cadence)})
    return Sentence(str(text))


def _of_call(call: Row, number: int, others: Sequence[Bundled]) -> Iterator[Event]:
    values: dict[str, TextValue] = {"number": str(number)}
    if call["adopted"]:
        unknown = Sentence("a call that reminderd did not know")
        yield from _event(call["created_at"], Sentence("call %(number)s reported", values), unknown)
    else:
        names = ", ".join(one.name for one in others)
        bundled = Sentence("bundled with %(others)s", {"others": names}) if others else None
        yield from _event(call["created_at"], Sentence("call %(number)s created", values), bundled)
    state = code_in_words(call["state"])
    if call["received_at"] is not None:
        ended = Sentence("call %(number)s: %(word)s", values | {"word": Sentence(str(call["status"]))})
        yield from _event(call["received_at"], ended, _how_it_ended(call))
    elif call["state"] in _CLOSED_BY_US:
        closed = Sentence("call %(number)s: %(word)s", values | {"word": state})
        yield from _event(call["updated_at"], closed, _words(call["error"]))
    else:
        word = Sentence(str(call["status"])) if call["status"] else state
        alive = Sentence("call %(number)s: %(word)s, not ended yet", values | {"word": word})
        yield from _event(call["updated_at"], alive, _words(call["error"]))


_FACTS: Final = (
    (Sentence("answered by %(value)s"), "answered_by"),
    (Sentence("seconds %(value)s"), "duration_seconds"),
    (Sentence("SIP %(value)s"), "sip_response_code"),
    (Sentence("error %(value)s"), "error_code"),
)
_LISTENERS: Final[Mapping[str, Sentence]] = {"human": Sentence("human"), "machine": Sentence("machine")}
"""Most providers' words for who answers; other words are shown as they are."""


def _how_it_ended(call: Row) -> Sentence | None:
    words = [] if call["outcome"] is None else [code_in_words(call["outcome"])]
    for fact, name in _FACTS:
        value = None if call[name] is None else str(call[name])
        if value is not None:
            words.append(Sentence(fact.text, {"value": _LISTENERS.get(value, value)}))
    return Sentence("%(all)s", {"all": words}, between=", ") if words else None


def _earlier_outcomes(reminder: Row, acts: Sequence[Row], changes: Sequence[Change]) -> Iterator[Event]:
    """Yield the outcomes of the reminder before its last change, if neither an act nor its state shows them."""
    shown = {(act["at"], act["act"]) for act in acts}
    for change in changes:
        is_now = change.at == reminder["updated_at"] and change.status == reminder["status"]
        is_by_staff = change.status == Status.SCHEDULED and any(at == change.at for at, _ in shown)
        if is_now or is_by_staff:
            continue
        why = None if change.end_code is None else Sentence(change.end_code.sentence)
        if change.response is None or (change.at, change.response) in shown:
            yield Event(at=change.at, what=Sentence(change.status), detail=why)
        else:
            yield Event(at=change.at, what=_with_answer(change.status, change.response), detail=why)


def _state(reminder: Row) -> Iterator[Event]:
    """Yield the state since its last change."""
    is_final = Status(str(reminder["status"])).final
    why = reminder["last_error"] if is_final else reminder["hold_reason"]
    status, response = str(reminder["status"]), reminder["response"]
    what = Sentence(status) if response is None else _with_answer(status, str(response))
    yield from _event(reminder["updated_at"], what, _words(why))


def _with_answer(status: str, response: str) -> Sentence:
    values = {"status": Sentence(status), "answer": code_in_words(response)}
    return Sentence("%(status)s; the patient's answer: %(answer)s", values)
