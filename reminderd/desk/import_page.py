"""Upload a file, show what importing it would do, then import or discard it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from copy import copy
from datetime import date, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final

import trio
from attrs import define, evolve, field
from quart import Response, request
from werkzeug.exceptions import Forbidden, RequestEntityTooLarge

from reminderd.config import codec_of
from reminderd.core.booking import AppointmentRequest
from reminderd.core.requests import ReminderRequest
from reminderd.core.schedule.dates import DAY, FIRST_YEAR, LAST_YEAR, DayOrder, midnight
from reminderd.core.sentences import Sentence, TextValue
from reminderd.core.tables.row_reader import RowRequest
from reminderd.core.upsert import Intake
from reminderd.desk.catalog import N_, Catalog
from reminderd.desk.login import has_token
from reminderd.desk.mistakes import mistake_of
from reminderd.desk.page import Freshness, PageRoute, is_part, redirect_with_notice, render, see_other, template_of
from reminderd.desk.receiving import form, receive_file
from reminderd.desk.state import Desk
from reminderd.desk.uploads import MOST_BYTES, MOST_SHOWN, BusyError, FileReading, Stage, TooManyFilesError, Upload
from reminderd.imports.formats import profile_of
from reminderd.imports.snapshot import Coverage
from reminderd.store.users import Session

PATH: Final = "/import"

_ENCODINGS: Final = (
    "utf-8",
    "windows-1252",
    "windows-1250",
    "windows-1251",
    "iso-8859-15",
    "utf-16",
    "cp850",
    "mac-roman",
)
_LONGEST_NAME: Final = 100
_PIECE: Final = 64 * 1024
_PAUSE: Final = "1s"
"""The pause after which a page asks again how far its file is."""

_COUNTED: Final[Mapping[Intake, str]] = {
    Intake.ADDED: N_("%(count)s new"),
    Intake.CHANGED: N_("%(count)s changed"),
    Intake.HELD: N_("%(count)s held: the phone number changed"),
    Intake.UNCHANGED: N_("%(count)s unchanged"),
    Intake.CANCELLED: N_("%(count)s cancelled"),
    Intake.NOT_NEEDED: N_("%(count)s to cancel, but nothing waits"),
}
"""The counts that are shown, in this order."""
_REJECTED: Final = N_("%(count)s rejected")

_UNKNOWN_PROFILE: Final = N_("There is no such profile in the configuration.")
_SNAPSHOT_NEEDS_PROFILE: Final = N_("Choose a profile: only what came from files of the same profile is cancelled.")
_SNAPSHOT_NEEDS_DAYS: Final = N_("Give the first and the last day for which the file has all appointments.")
_WRONG_DAYS: Final = N_("Give both days, the first one not after the last.")
_NO_FILE: Final = N_("Choose a file.")
_TOO_LARGE: Final = N_("The file is larger than %(limit)s MB. Nothing was changed. Save it in several files.")
_TOO_MANY: Final = N_("Too many files are waiting. Try again in a few minutes.")
_BUSY: Final = N_("Your previous file is still being imported. Wait until it is finished.")
_NOT_STORED: Final = N_("The file could not be kept: %(reason)s. Nothing was changed. Ask the admin.")
_DISCARDED: Final = N_("The file was discarded, and nothing was imported.")
_DELETED: Final = N_("The file is not here anymore: files are kept for half an hour, and not through a restart.")
_LOOK_AGAIN: Final = N_("The file was checked again since. Please look again before you import it.")
_STOPPING: Final = N_("The import stops after the rows that are being written. What was imported stays.")


class _WrongFormError(Exception):
    """The form for reading a file has mistakes, by the name of the field."""

    def __init__(self, mistakes: Mapping[str, str], written: Mapping[str, str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes
        self.written = written


async def show(desk: Desk, visitor: Session) -> Response:
    """Show how far the file of this session is, or ask for one."""
    found = desk.base.uploads.of(visitor.digest)
    if found is not None:
        return await _shown(desk, visitor, found)
    return Response("", 204, headers={"HX-Redirect": PATH}) if is_part() else await _ask(desk, visitor)


async def upload(desk: Desk, visitor: Session) -> Response:
    """Receive a file, and check it in the background."""
    arriving = _Arriving(desk, visitor)
    if request.mimetype != "multipart/form-data":  # no form of ours
        raise Forbidden
    try:
        fields = await arriving.receive()
    except _WrongFormError as error:
        return await _ask(desk, visitor, error.written, error.mistakes)
    except RequestEntityTooLarge:
        too_large = Sentence(_TOO_LARGE, {"limit": MOST_BYTES // 1024**2})
        return await _ask(desk, visitor, {}, {"file": too_large}, status=413)
    except BusyError:
        return await redirect_with_notice(desk, visitor, PATH, _BUSY, kind="error")
    except TooManyFilesError:
        return await redirect_with_notice(desk, visitor, PATH, _TOO_MANY, kind="error")
    except OSError as error:
        words = Sentence(_NOT_STORED, {"reason": error.strerror or type(error).__name__})
        return await redirect_with_notice(desk, visitor, PATH, words, kind="error")
    if arriving.upload is None:
        if not has_token(visitor, fields.get("csrf", "")):
            raise Forbidden
        return await _ask(desk, visitor, {}, {"file": _NO_FILE})
    desk.base.uploads.start_check(arriving.upload, desk.config)
    return see_other(PATH)


@define
class _Arriving:
    """A file that is being received."""

    desk: Desk
    visitor: Session
    upload: Upload | None = field(default=None, init=False)

    async def receive(self) -> dict[str, str]:
        """Receive the form, and return its other fields; if that fails, delete what has arrived of the file."""
        try:
            return await receive_file(MOST_BYTES, self._begin)
        except BaseException:
            if self.upload is not None:
                self.desk.base.uploads.forget(self.upload)
            raise

    async def _begin(self, fields: Mapping[str, str], name: str) -> Path:
        """Return the path for the file, once the form is known to be ours and its other fields are understood."""
        if not has_token(self.visitor, fields.get("csrf", "")):
            raise Forbidden
        reading = _reading(fields, self.desk)
        who = self.visitor
        self.upload = self.desk.base.uploads.begin(who.digest, who.user_name, _shown_name(name), reading)
        return self.upload.path


async def import_it(desk: Desk, visitor: Session) -> Response:
    """Import the file that was shown, in the background."""
    found = desk.base.uploads.of(visitor.digest)
    if found is None or found.stage.is_over:
        return await redirect_with_notice(desk, visitor, PATH, _DELETED, kind="error")
    if form().text("shown") != found.look:
        return await redirect_with_notice(desk, visitor, PATH, _LOOK_AGAIN, kind="error")
    desk.base.uploads.start_import(found, desk.config)
    return see_other(PATH)


async def discard(desk: Desk, visitor: Session) -> Response:
    """Delete the file; stop its import if it is being imported."""
    found = desk.base.uploads.of(visitor.digest)
    desk.base.uploads.discard(visitor.digest)
    if found is None or found.stage.is_over:
        return see_other(PATH)
    words = _STOPPING if found.stage is Stage.IMPORTING else _DISCARDED
    return await redirect_with_notice(desk, visitor, PATH, words)


async def rejected(desk: Desk, visitor: Session) -> Response:
    """Answer with the rejected rows, each with its reason, as a table for a spreadsheet."""
    found = desk.base.uploads.of(visitor.digest)
    if found is None or found.stage.is_busy or not found.rejected_path.is_file():
        return await redirect_with_notice(desk, visitor, PATH, _DELETED, kind="error")
    headers = {"Content-Disposition": 'attachment; filename="rejected.csv"'}
    return Response(_pieces(found.rejected_path), content_type="text/csv; charset=utf-8", headers=headers)


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    async with await trio.open_file(path, "rb") as file:
        while piece := await file.read(_PIECE):
            yield piece


async def _ask(
    desk: Desk,
    visitor: Session,
    written: Mapping[str, str] | None = None,
    mistakes: Mapping[str, TextValue] | None = None,
    *,
    status: int = 422,
) -> Response:
    """Ask for a file."""
    names = ("file", "profile", "encoding", "dates", "snapshot", "first", "last")
    profiles = desk.config.import_.profiles
    return await render(
        desk,
        visitor,
        "import_form.html",
        status=status if mistakes else 200,
        values={**dict.fromkeys(names, ""), **(written or {})},
        errors={**dict.fromkeys(names, ""), **(mistakes or {})},
        profiles=[(name, _profile_words(desk.catalog, name, one.snapshot_days)) for name, one in profiles.items()],
        encodings=[(name, name.upper()) for name in _ENCODINGS],
        limit=MOST_BYTES // 1024**2,
        other=desk.base.uploads.importing(),
    )


def _profile_words(catalog: Catalog, name: str, days: int) -> str:
    if not days:
        return name
    return catalog.ngettext(
        "%(name)s (has all appointments of %(num)s day: what it lacks is cancelled)",
        "%(name)s (has all appointments of %(num)s days: what it lacks is cancelled)",
        days,
        name=name,
    )


async def _shown(desk: Desk, visitor: Session, found: Upload) -> Response:
    """Show how far a file is; while the file is worked on, the page asks again every second."""
    catalog, found = desk.catalog, copy(found)  # its work continues while the page is rendered
    busy: dict[str, Any] = {}
    if found.stage.is_busy:
        busy["fresh"] = Freshness(after="", pause=_PAUSE, at=catalog.time(desk.clock.now()))
    result = found.done or (found.checked.would if found.checked is not None else None)
    return await render(
        desk,
        visitor,
        template_of("import"),
        upload=found,
        progress=_counts(catalog, found.counts, found.rejected) if found.counts or found.rejected else "",
        words="" if result is None else _counts(catalog, result.counts, result.rejected),
        result=result,
        first_rows=[] if found.checked is None else [_row(one) for one in found.checked.first_rows],
        most=MOST_SHOWN,
        **busy,
    )


def _counts(catalog: Catalog, counts: Mapping[Intake, int], rejected: int) -> str:
    """Return in words the results for the rows, or the forecast."""
    found = [(words, counts[intake]) for intake, words in _COUNTED.items() if counts.get(intake)]
    found += [(_REJECTED, rejected)] if rejected else []
    if not found:
        found = [(_COUNTED[Intake.ADDED], 0)]
    return ", ".join(catalog.gettext(words, count=catalog.number(count)) for words, count in found)


def _row(row: tuple[int, RowRequest | Sequence[str]]) -> tuple[int, str, RowRequest | Sequence[str]]:
    """Return a row with its type, which decides how it is shown."""
    line, asked = row
    kinds = {ReminderRequest: "reminder", AppointmentRequest: "appointment", list: "rejected"}
    return line, kinds.get(type(asked), "cancellation"), asked


def _reading(fields: Mapping[str, str], desk: Desk) -> FileReading:
    """Return how the file is to be read.

    Raises:
        _WrongFormError: something in the form is wrong.
    """
    mistakes: dict[str, str] = {}
    name = fields.get("profile", "")
    if name and name not in desk.config.import_.profiles:
        raise _WrongFormError({"profile": _UNKNOWN_PROFILE}, fields)
    profile = profile_of(desk.config, name or None)
    encoding, dates = fields.get("encoding", ""), fields.get("dates", "")
    profile = evolve(
        profile,
        encoding=codec_of(encoding) if encoding in _ENCODINGS else profile.encoding,
        order=DayOrder(dates) if dates in list(DayOrder) else profile.order,
    )
    start, end = _span(fields, desk, mistakes)
    is_snapshot = bool(fields.get("snapshot") or start or profile.snapshot_days)
    if is_snapshot and not name:
        mistakes["snapshot"] = _SNAPSHOT_NEEDS_PROFILE
    elif is_snapshot and start is None and not profile.snapshot_days and not mistakes:
        mistakes["first"] = _SNAPSHOT_NEEDS_DAYS
    if mistakes:
        raise _WrongFormError(mistakes, fields)
    coverage = Coverage(start=start, end=end, days=profile.snapshot_days) if is_snapshot else None
    return FileReading(profile=profile, coverage=coverage)


def _span(fields: Mapping[str, str], desk: Desk, mistakes: dict[str, str]) -> tuple[datetime | None, datetime | None]:
    """Return the first moment of a span of days, and the first moment after it; None if not given."""
    texts = fields.get("first", ""), fields.get("last", "")
    if not any(texts):
        return None, None
    try:
        first, last = map(date.fromisoformat, texts)
    except ValueError:
        first, last = date.max, date.min
    year = next((day.year for day in (first, last) if not FIRST_YEAR <= day.year <= LAST_YEAR), None)
    if first > last:
        mistakes["first"] = _WRONG_DAYS
    elif year is not None:
        text = f"the year {year}; expected one from {FIRST_YEAR} to {LAST_YEAR}"
        mistakes["first"] = mistake_of(desk.catalog, text)
    if mistakes:
        return None, None
    return midnight(first, desk.zone), midnight(last + DAY, desk.zone)


def _shown_name(name: str) -> str:
    """Return the name of a file as people see it, without the folders that some browsers send along."""
    last = PurePosixPath(name.replace("\\", "/")).name
    clean = "".join(character for character in last if character.isprintable()).strip()
    ending = PurePosixPath(clean).suffix
    return clean if len(clean) <= _LONGEST_NAME else f"{clean[: _LONGEST_NAME - len(ending)]}{ending}"


ROUTES: Final = (
    PageRoute(method="GET", path=PATH, view=show, nav=N_("Import")),
    PageRoute(method="GET", path=f"{PATH}/part", view=show, is_part=True),
    PageRoute(method="POST", path=PATH, view=upload, reads_form=False),
    PageRoute(method="POST", path=f"{PATH}/take", view=import_it),
    PageRoute(method="POST", path=f"{PATH}/discard", view=discard),
    PageRoute(method="GET", path=f"{PATH}/rejected", view=rejected),
)
