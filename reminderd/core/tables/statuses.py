"""Say what the word in a column of statuses means for an appointment, in four languages; the rest is not guessed."""

from enum import StrEnum
from typing import Final

from reminderd.core.tables.headers import plain


class Standing(StrEnum):
    """Whether a patient is to be reminded of an appointment."""

    STANDS = "stands"
    OVER = "over"
    """It was cancelled or missed, or the patient was there already."""


_WORDS: Final = {
    Standing.STANDS: """
        confirmed, unconfirmed, not confirmed, scheduled, booked, pending, tentative, planned, new, open, active,
        reserved, left message, overbook,
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
        fulfilled, entered in error, waitlist, proposed, deceased, started, dc, discontinued, checked out,
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
