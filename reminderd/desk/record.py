"""Show one reminder: how it stands, what to do about it, everything that has happened to it, and what is spoken."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from attrs import frozen
from quart import Response
from werkzeug.exceptions import NotFound

from reminderd.config import templates_of
from reminderd.core.model import Status, digest
from reminderd.core.outcomes import Outcome
from reminderd.core.requests import NOTE_LIMIT, note_mistake
from reminderd.core.script.preview import Passage, passages_heard
from reminderd.core.script.scripts import Script
from reminderd.core.sentences import NotAllowedError, Sentence
from reminderd.desk.catalog import N_
from reminderd.desk.mistakes import mistake_of
from reminderd.desk.page import PageRoute, freshness, is_part, redirect_with_notice, render, template_of
from reminderd.desk.receiving import form
from reminderd.desk.state import Desk
from reminderd.desk.today import return_path
from reminderd.engine.context import log_transition
from reminderd.staff.acts import RequestedAct, SeenOtherwiseError, StaffAct, fingerprint_of, perform, refusals
from reminderd.staff.history import ReminderRecord, record_of
from reminderd.staff.obstacles import pauses
from reminderd.staff.standing import ReminderStanding, outcome_of_row, standing_of
from reminderd.store.audit import audit
from reminderd.store.connection import Connection
from reminderd.store.errors import UnknownReminderError
from reminderd.store.opt_outs import count_waiting
from reminderd.store.queries import ShownValue, messages_of_calls, reminder_with_id
from reminderd.store.users import Session

ONE_LOOK: Final = timedelta(minutes=10)
"""How long a record that stays open, or is opened again, is one line in the audit."""

_VIEW: Final = "view"


@frozen(kw_only=True)
class ActWords:
    """The texts of an act."""

    button: str
    heading: str
    what: str
    """What it does, shown before it is done."""
    confirm: str
    """The text of the button that does it."""
    finished: str
    refused: str
    """The refusal, with a place for the reason, `why`."""


WORDS: Final[Mapping[StaffAct, ActWords]] = {
    StaffAct.CALL_AGAIN: ActWords(
        button=N_("Call again"),
        heading=N_("Call again?"),
        what=N_("The patient is called again, as soon as the calling hours and the limits allow it."),
        confirm=N_("Call again"),
        finished=N_("The patient will be called again."),
        refused=N_("Not called again: %(why)s."),
    ),
    StaffAct.DONE: ActWords(
        button=N_("I called the patient …"),
        heading=N_("Note that you called the patient"),
        what=N_("Nobody else has to call. A reminder that waits is cancelled, with the others of its appointment."),
        confirm=N_("Note it as done"),
        finished=N_("Noted: the patient was called by you."),
        refused=N_("Not noted: %(why)s."),
    ),
    StaffAct.ACCEPT: ActWords(
        button=N_("Accept the new number …"),
        heading=N_("Accept the new phone number?"),
        what=N_(
            "Compare it with your own records first: the patient is called at this number as soon as you accept it."
        ),
        confirm=N_("Accept this number"),
        finished=N_("The new number is accepted."),
        refused=N_("Not accepted: %(why)s."),
    ),
    StaffAct.CANCEL: ActWords(
        button=N_("Cancel …"),
        heading=N_("Cancel this reminder?"),
        what=N_("Nobody is called for it anymore. A phone that rings already may still be answered."),
        confirm=N_("Cancel the reminder"),
        finished=N_("Cancelled: the patient is no longer called for this reminder."),
        refused=N_("Not cancelled: %(why)s."),
    ),
    StaffAct.OPT_OUT: ActWords(
        button=N_("Opt out this number …"),
        heading=N_("Never call this number again?"),
        what=N_("The number is never called again, for any reminder. Only an admin can take that back."),
        confirm=N_("Never call this number again"),
        finished=N_("Opted out: this number is never called again."),
        refused=N_("Not opted out: %(why)s."),
    ),
}
"""The acts, in the order in which they are offered."""

_MAIN: Final = {
    Outcome.NOT_REACHED: StaffAct.CALL_AGAIN,
    Outcome.EXPIRED: StaffAct.CALL_AGAIN,
    Outcome.NUMBER_CHANGED: StaffAct.ACCEPT,
    Outcome.WANTS_TO_CANCEL: StaffAct.DONE,
}
"""The act that is most likely in each state."""

AT_ONCE: Final = frozenset({StaffAct.CALL_AGAIN})
"""Acts that a button does without a question: their call can be cancelled until the phone rings."""

_CHANGED: Final = N_(
    "Nothing was done: its number, message or time was changed after you opened the page, or it was called again."
    " Look at it again."
)
_ANOTHER_NOTE: Final = N_("Add a note …")


@frozen(kw_only=True)
class RecordView:
    """What the page of a reminder shows, read in one snapshot."""

    record: ReminderRecord
    refusals: Mapping[StaffAct, NotAllowedError | None]
    spoken: Mapping[str, str | None]
    """The digest of the message that was spoken in each call, by the call's id."""
    waiting: int
    """How many reminders for this number wait."""
    pauses: list[Sentence]

    @property
    def row(self) -> Mapping[str, ShownValue]:
        """The reminder's row."""
        return self.record.reminder

    @property
    def name(self) -> str:
        """The name by which staff know it."""
        appointment = self.record.appointment
        ref = self.row["ref"] or (None if appointment is None else appointment.appointment["ref"])
        return str(ref or self.row["id"])

    @property
    def is_purged(self) -> bool:
        """Whether its message and its number were deleted because they were old."""
        return not self.row["message"]

    @property
    def is_final(self) -> bool:
        """Whether no call follows by itself."""
        return Status(str(self.row["status"])).final

    @property
    def standing(self) -> ReminderStanding:
        """How it stands, in words."""
        return standing_of(self.row)

    @property
    def seen(self) -> str:
        """The fingerprint in its forms, so that an act is refused if the reminder has changed since."""
        return fingerprint_of(self.row)

    @property
    def offered(self) -> list[tuple[StaffAct, str]]:
        """The acts that are allowed, each with the text of its button."""
        allowed = [act for act in WORDS if self.refusals[act] is None]
        first = _MAIN.get(self.standing.outcome)
        allowed.sort(key=lambda act: act is not first)
        is_done = self.row["done_at"] is not None
        return [(act, _ANOTHER_NOTE if act is StaffAct.DONE and is_done else WORDS[act].button) for act in allowed]

    @property
    def spoken_digest(self) -> str:
        """The digest by which the present message would be recorded, once it is spoken."""
        language = self.row["language"]
        return digest(str(self.row["message"]), None if language is None else str(language))

    @property
    def siblings(self) -> list[tuple[Mapping[str, ShownValue], Outcome]]:
        """The other reminders of its appointment, each with its outcome."""
        found = () if self.record.appointment is None else self.record.appointment.reminders
        return [(row, outcome_of_row(row)) for row in found if row["id"] != self.row["id"]]


async def show(desk: Desk, visitor: Session, address: str) -> Response:
    """Show a reminder; show it again once something has changed."""
    fresh = await freshness(desk, visitor, waits=is_part())
    view = await _view_of(desk, visitor, address)
    return await render(
        desk,
        visitor,
        template_of("record"),
        fresh=fresh,
        address=address,
        view=view,
        row=view.row,
        passages=() if view.is_purged else _passages(desk, view),
        voice_language=_script_of(desk, view).language,
        asks_what_to_say=desk.config.provider.settings.asks_what_to_say,
        at_once=AT_ONCE,
    )


def _script_of(desk: Desk, view: RecordView) -> Script:
    """Return the clinic's texts in the language of a reminder, as they are now."""
    language = view.row["language"]
    return templates_of(desk.config).scripts.of(None if language is None else str(language))


def _passages(desk: Desk, view: RecordView) -> tuple[Passage, ...]:
    """Return what a person hears, and what a machine records."""
    return passages_heard(_script_of(desk, view), str(view.row["message"]), leaves_voicemail=desk.rules.leave_voicemail)


async def ask(desk: Desk, visitor: Session, address: str, act: str) -> Response:
    """Show what an act does, and ask whether to do it."""
    return await _asked(desk, visitor, address, _act_of(act))


async def _asked(
    desk: Desk, visitor: Session, address: str, act: StaffAct, *, note: str = "", error: str = ""
) -> Response:
    view = await _view_of(desk, visitor, address)
    refusal = view.refusals[act]
    if refusal is not None:
        return await redirect_with_notice(desk, visitor, f"/r/{address}", _refused(act, refusal), kind="error")
    return await render(
        desk,
        visitor,
        "act.html",
        status=400 if error else 200,
        address=address,
        act=act,
        words=WORDS[act],
        view=view,
        row=view.row,
        note=note,
        error=error,
        note_limit=NOTE_LIMIT,
    )


async def do(desk: Desk, visitor: Session, address: str, act: str) -> Response:
    """Do the requested act once, and go back to the list from which it was requested, or show the reminder again."""
    asked_for, typed = _act_of(act), form()
    note = typed.text("note") or None
    mistake = None if note is None else note_mistake(note)
    if note is not None and mistake is not None:
        return await _asked(desk, visitor, address, asked_for, note=note, error=mistake_of(desk.catalog, mistake))
    asked = RequestedAct(
        act=asked_for,
        reminder_id=desk.addresses.id_at(address),
        actor=visitor.user_name,
        note=note if asked_for is StaffAct.DONE else None,
        seen=typed.text("seen"),
    )
    path = f"/r/{address}"
    try:
        changed = await desk.database.write(partial(perform, asked=asked, rules=desk.rules))
    except UnknownReminderError:
        raise NotFound from None
    except SeenOtherwiseError:
        return await redirect_with_notice(desk, visitor, path, _CHANGED, kind="error")
    except NotAllowedError as refusal:
        return await redirect_with_notice(desk, visitor, path, _refused(asked_for, refusal), kind="error")
    for transition in changed:
        log_transition(transition)
    back = return_path(typed.text("back"))
    return await redirect_with_notice(desk, visitor, back or path, WORDS[asked_for].finished)


def _refused(act: StaffAct, refusal: NotAllowedError) -> Sentence:
    return Sentence(WORDS[act].refused, {"why": refusal.sentence})


def _act_of(name: str) -> StaffAct:
    try:
        return StaffAct(name)
    except ValueError:
        raise NotFound from None


async def _view_of(desk: Desk, visitor: Session, address: str) -> RecordView:
    """Return what a page shows about a reminder, after the audit has recorded who looks at it.

    Raises:
        NotFound: there is no such reminder.
        StoreUnavailableError: the audit can't be written now, so nothing is shown.
    """
    reminder_id, now = desk.addresses.id_at(address), desk.clock.now()
    view = await desk.read(partial(_read, desk=desk, reminder_id=reminder_id, now=now))
    if view is None:
        raise NotFound
    if not _has_looked(view.record, visitor.user_name, now):
        await desk.database.write(partial(audit, actor=visitor.user_name, act=_VIEW, reminder_id=reminder_id))
    return view


def _read(connection: Connection, *, desk: Desk, reminder_id: str, now: datetime) -> RecordView | None:
    row = reminder_with_id(connection, reminder_id)
    if row is None:
        return None
    return RecordView(
        record=record_of(connection, reminder=row),
        refusals=refusals(connection, reminder_id=reminder_id, rules=desk.rules, now=now),
        spoken=messages_of_calls(connection, reminder_id),
        waiting=count_waiting(connection, str(row["phone_number"])),
        pauses=pauses(connection, config=desk.config, now=now),
    )


def _has_looked(record: ReminderRecord, name: str, now: datetime) -> bool:
    """Return whether the audit has already recorded that this person looks at the reminder now."""
    looks = (one["at"] for one in record.acts if one["act"] == _VIEW and one["actor"] == name)
    return any(isinstance(at, datetime) and timedelta(0) <= now - at < ONE_LOOK for at in looks)


ROUTES: Final = (
    PageRoute(method="GET", path="/r/<address>", view=show),
    PageRoute(method="GET", path="/r/<address>/part", view=show, is_part=True),
    PageRoute(method="GET", path="/r/<address>/<act>", view=ask),
    PageRoute(method="POST", path="/r/<address>/<act>", view=do),
)
