"""Add one appointment or one reminder, after showing what will be spoken, and when."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final
from uuid import uuid4

from attrs import evolve, frozen
from babel.core import Locale, UnknownLocaleError
from quart import Response

from reminderd.config import planning_of, reading_of
from reminderd.core.booking import AppointmentText, read_appointment
from reminderd.core.model import Status
from reminderd.core.requests import ReminderRequest, RequestText, read_request
from reminderd.core.schedule.time_zones import known_zone
from reminderd.core.script.languages import BUILT_IN
from reminderd.core.upsert import Intake
from reminderd.desk.catalog import N_, Catalog
from reminderd.desk.mistakes import mistake_of
from reminderd.desk.page import PageRoute, redirect_with_notice, render
from reminderd.desk.receiving import SentForm, form
from reminderd.desk.state import Desk
from reminderd.staff.adding import AddRequest, ForeseenOtherwiseError, add_as_shown, foresee
from reminderd.store.intake import RefTakenError, Source
from reminderd.store.users import Session

APPOINTMENT_PATH: Final = "/add/appointment"
REMINDER_PATH: Final = "/add/reminder"

_MOMENTS: Final = frozenset({"at", "scheduled_at", "appointment_at", "expires_at"})
"""Fields that are written as a date and a time of day."""

_SEEN: Final = "seen"
_IS_THERE: Final = N_("It is there already, unchanged.")
_ADDED_REMINDER: Final = N_("The reminder was added.")
_ADDED_APPOINTMENT: Final = N_("The appointment was added, and its calls are planned.")
_ADDED_WITHOUT_CALLS: Final = N_("The appointment was added. Nobody will be called for it.")
_CHANGED: Final = N_("It was there already, and was changed.")
_OTHERWISE: Final = N_("Something has changed since you looked. Please look again before you add it.")
_REF_TAKEN: Final = N_("another entry has this name already; choose another name, or change that entry")


@frozen(kw_only=True)
class _AddKind:
    """The kind of what is added: an appointment, or a reminder."""

    path: str
    template: str
    fields: Sequence[str]

    @property
    def is_appointment(self) -> bool:
        return self.path == APPOINTMENT_PATH

    @property
    def inputs(self) -> list[str]:
        """Return the names of the form's inputs: a moment has two."""
        return [
            name
            for field in self.fields
            for name in ((f"{field}_date", f"{field}_time") if field in _MOMENTS else (field,))
        ]

    def values(self, typed: SentForm) -> dict[str, str]:
        """Return the values of the fields, with a line feed at each line end, as other programs write it."""
        return {name: typed.text(name).replace("\r\n", "\n") for name in self.inputs}

    def read(self, values: Mapping[str, str], desk: Desk) -> AddRequest | list[str]:
        """Return the request, or everything that is wrong with it."""
        texts = {name: _text(name, values) for name in self.fields}
        number = texts.pop("phone_number") or ""
        if self.is_appointment:
            at = texts.pop("at") or ""
            return read_appointment(AppointmentText(phone_number=number, at=at, **texts), reading_of(desk.config))
        due = texts.pop("scheduled_at") or ""
        return read_request(RequestText(phone_number=number, scheduled_at=due, **texts), reading_of(desk.config))


_OF_BOTH: Final = ("phone_number", "template", "language", "name", "provider", "place", "ref", "timezone")
_APPOINTMENT: Final = _AddKind(
    path=APPOINTMENT_PATH, template="add_appointment.html", fields=(*_OF_BOTH, "at", "type", "patient_ref")
)
_REMINDER: Final = _AddKind(
    path=REMINDER_PATH,
    template="add_reminder.html",
    fields=(*_OF_BOTH, "scheduled_at", "message", "appointment_at", "expires_at"),
)


async def show(desk: Desk, visitor: Session, *, kind: _AddKind | None = None) -> Response:
    """Show the form for an appointment or a reminder; None means the kind that the clinic usually adds."""
    return await _form(desk, visitor, kind or (_APPOINTMENT if planning_of(desk.config).is_used else _REMINDER))


async def add(desk: Desk, visitor: Session, *, kind: _AddKind) -> Response:
    """Show what adding an appointment or a reminder would lead to, or add it as it was shown."""
    typed = form()
    values = kind.values(typed)
    if typed.text("act") == "edit":
        return await _form(desk, visitor, kind, values)
    asked = kind.read(values, desk)
    if isinstance(asked, list):
        return await _form(desk, visitor, kind, values, asked)
    if typed.text("act") != "add":
        return await _preview(desk, visitor, kind, values, asked)
    try:
        return await _added(desk, visitor, asked, typed.text(_SEEN))
    except ForeseenOtherwiseError:
        return await _preview(desk, visitor, kind, values, asked, words=_OTHERWISE)
    except RefTakenError:
        return await _form(desk, visitor, kind, values, [f"ref: {_REF_TAKEN}"])


async def _added(desk: Desk, visitor: Session, asked: AddRequest, seen: str) -> Response:
    """Add it if the result is still as it was shown, and go to its page."""
    source = Source(actor=visitor.user_name)
    add = partial(add_as_shown, request=asked, rules=desk.rules, mint=lambda: str(uuid4()), source=source, shown=seen)
    decision, rows = await desk.database.write(add)
    if isinstance(asked, ReminderRequest):
        words = _ADDED_REMINDER
    else:
        rows = [row for row in rows if row["status"] == Status.SCHEDULED]
        words = _ADDED_APPOINTMENT if rows else _ADDED_WITHOUT_CALLS
    words = {Intake.UNCHANGED: _IS_THERE, Intake.CHANGED: _CHANGED}.get(decision.intake, words)
    path = f"/r/{desk.addresses.address_of(str(rows[0]['id']))}" if rows else "/add"
    return await redirect_with_notice(desk, visitor, path, words)


async def _preview(
    desk: Desk, visitor: Session, kind: _AddKind, values: Mapping[str, str], asked: AddRequest, words: str = ""
) -> Response:
    source, now = Source(actor=visitor.user_name), desk.clock.now()
    foreseen = await desk.read(partial(foresee, request=asked, rules=desk.rules, source=source, now=now))
    if foreseen.ref_taken_by is not None:
        return await _form(desk, visitor, kind, values, [f"ref: {_REF_TAKEN}"])
    if foreseen.decision.refused:
        return await _form(desk, visitor, kind, values, [foreseen.decision.reason])
    zone = None if asked.timezone is None else known_zone(asked.timezone)
    return await render(
        desk,
        visitor,
        "add_preview.html",
        kind=kind,
        values=values,
        asked=asked,
        local=None if zone is None else evolve(desk.catalog, zone=zone),
        foreseen=foreseen,
        asks_what_to_say=desk.config.provider.settings.asks_what_to_say,
        voice=_language_name(desk.catalog, foreseen.language),
        words=words,
    )


async def _form(
    desk: Desk,
    visitor: Session,
    kind: _AddKind,
    values: Mapping[str, str] | None = None,
    mistakes: Sequence[str] = (),
) -> Response:
    errors = dict.fromkeys(kind.inputs, "")
    others: list[str] = []
    for mistake in mistakes:
        field, colon, text = mistake.partition(": ")
        place = f"{field}_date" if field in _MOMENTS else field
        if colon and place in kind.inputs:
            errors[place] = "; ".join(filter(None, (errors[place], mistake_of(desk.catalog, text))))
        else:
            others.append(mistake_of(desk.catalog, mistake))
    config = desk.config
    return await render(
        desk,
        visitor,
        kind.template,
        status=422 if mistakes else 200,
        kind=kind,
        values=values or dict.fromkeys(kind.inputs, ""),
        errors=errors,
        is_wrong=any(errors.values()),
        others=others,
        plans_calls=planning_of(config).is_used,
        types=list(config.reminders.types),
        templates=[(name, name) for name in config.messages.templates],
        languages=_languages(desk),
        country=config.clinic.country,
    )


def _text(field: str, values: Mapping[str, str]) -> str | None:
    """Return what was written in a field; None if nothing was."""
    if field not in _MOMENTS:
        return values[field] or None
    return " ".join(filter(None, (values[f"{field}_date"], values[f"{field}_time"]))) or None


def _languages(desk: Desk) -> list[tuple[str, str]]:
    """Return the languages of the texts, each with its name; the empty tag is the clinic's own language."""
    own = desk.config.messages.language
    usual = desk.catalog.gettext(N_("%(language)s (as usual)"), language=_language_name(desk.catalog, own))
    tags = sorted({*desk.config.messages.languages, *BUILT_IN} - {own, own.partition("-")[0]})
    return [("", usual), *((tag, _language_name(desk.catalog, tag)) for tag in tags)]


def _language_name(catalog: Catalog, tag: str) -> str:
    try:
        name = Locale.parse(tag, sep="-").get_display_name(catalog.locale)
    except (UnknownLocaleError, ValueError):
        return tag
    return name or tag


ROUTES: Final = (
    PageRoute(method="GET", path="/add", view=show, nav=N_("Add")),
    *(
        PageRoute(method=method, path=kind.path, view=partial(view, kind=kind))
        for kind in (_APPOINTMENT, _REMINDER)
        for method, view in (("GET", show), ("POST", add))
    ),
)
