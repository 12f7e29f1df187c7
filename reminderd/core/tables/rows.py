"""Read what a row of a table asks for: a reminder, or the cancellation of one whose appointment does not take place."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

from reminderd.core.requests import Reading, ReminderRequest, RequestText, normal_name, read_request
from reminderd.core.tables.columns import Columns, ColumnsError
from reminderd.core.tables.csv_rows import CsvRow
from reminderd.core.tables.headers import plain
from reminderd.core.upsert import Cancellation


class Standing(StrEnum):
    """Whether a patient is to be reminded of an appointment."""

    STANDS = "stands"
    OVER = "over"
    """It was cancelled or missed, or the patient was there already."""


_WORDS: Final = {
    Standing.STANDS: """
        confirmed, unconfirmed, not confirmed, scheduled, booked, pending, tentative, planned, new, open, active,
        reserved, left message,
        bestätigt, unbestätigt, nicht bestätigt, geplant, gebucht, vereinbart, vorgemerkt, offen, neu, aktiv,
        reserviert,
        confirmada, confirmado, no confirmada, no confirmado, sin confirmar, pendiente, programada, programado,
        agendada, agendado, reservada, reservado, nueva, nuevo, activa, activo,
        confirmé, confirmée, non confirmé, non confirmée, prévu, prévue, planifié, planifiée, réservé, réservée,
        en attente, nouveau, actif""",
    Standing.OVER: """
        cancelled, canceled, cancelled by patient, canceled by patient, cancelled by clinic, canceled by clinic,
        deleted, void, no show, noshow, did not attend, DNA, missed, arrived, checked in, in room, seen, completed,
        complete, done, finished,
        abgesagt, storniert, gestrichen, gelöscht, nicht erschienen, erschienen, angekommen, erledigt, abgeschlossen,
        cancelada, cancelado, anulada, anulado, eliminada, eliminado, no asistió, no presentado, no presentada,
        atendida, atendido, completada, completado, realizada, realizado,
        annulé, annulée, supprimé, supprimée, absent, absente, non venu, non venue, arrivé, arrivée, terminé,
        terminée, effectué, effectuée""",
}

WORDS: Final = {plain(word): standing for standing, words in _WORDS.items() for word in words.split(",")}
"""Every word that is understood."""

UNKNOWN_STATUS: Final = "status: unknown word; expected one like confirmed or cancelled, or --map status= to ignore it"


def standing_of(word: str) -> Standing | None:
    """Return what a status says of its appointment; an empty one says nothing against it. None: it is unknown."""
    return WORDS.get(plain(word)) if word.strip() else Standing.STANDS


def check_status(header: Sequence[str], columns: Columns, rows: Iterable[CsvRow]) -> None:
    """Check that a column whose header is just `status` is the appointment's: every word in it is one of those above.

    It may be the status of the patient, of an insurance, of a bill.

    Raises:
        ColumnsError: it may be something else.
    """
    if columns.is_status_sure or "status" not in columns.places:
        return
    for row in rows:
        if row.mistake is None and standing_of(columns.text("status", row.cells)) is None:
            name = header[columns.places["status"][0]].strip()
            what = f'status: "{name}" may be the status of the appointment or of something else'
            why = f"line {row.line} has an unknown word"
            expected = f'expected --map status="{name}" if it is the appointment\'s, or --map status= to ignore it'
            raise ColumnsError([f"{what}: {why}; {expected}"])


def read_row(
    cells: Sequence[str], columns: Columns, *, width: int, reading: Reading
) -> ReminderRequest | Cancellation | list[str]:
    """Return the reminder that a row asks for or calls off, or everything that is wrong with it.

    Empty cells say nothing.
    """
    if len(cells) > width and any(cells[width:]):
        return [f"cells: more than the header has; expected {width}, and quotes around a delimiter inside a cell"]

    def text(field: str) -> str | None:
        return columns.text(field, cells).strip() or None

    phone, message, template, ref = columns.text("phone_number", cells), text("message"), text("template"), text("ref")
    standing = standing_of(columns.text("status", cells))
    written = RequestText(
        phone_number=phone,
        message=None if message is None and template is not None else columns.text("message", cells),
        scheduled_at=columns.text("scheduled_at", cells),
        expires_at=text("expires_at"),
        timezone=text("timezone"),
        ref=ref,
        template=template,
        appointment_at=text("appointment_at"),
    )
    read = read_request(written, reading)
    if standing is None:
        return [*(read if isinstance(read, list) else ()), UNKNOWN_STATUS]
    if standing is Standing.STANDS:
        return read
    if isinstance(read, ReminderRequest):
        return Cancellation(ref=read.ref, request=read, phone_number=read.phone_number)
    number = _number_in(phone, reading)
    is_unread = number is None and any(map(str.isdigit, phone))
    is_named = ref is not None and not any(mistake.startswith("ref:") for mistake in read)
    # Another patient's row may have this `ref`, so one with a number that can't be read calls nothing off.
    return Cancellation(ref=normal_name(ref or ""), phone_number=number) if is_named and not is_unread else read


def _number_in(text: str, reading: Reading) -> str | None:
    try:
        return reading.normalize(text)
    except ValueError:
        return None
