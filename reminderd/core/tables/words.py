"""Return the meaning of headers and of words for statuses, in four languages; nothing is guessed.

A header with two possible meanings has neither, and an unknown status means nothing.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

PHONES: Final = ("mobile", "phone", "home_phone", "work_phone")
"""The kinds of columns with phone numbers, in the order in which a patient's numbers are preferred."""

_NAMES: Final[Mapping[str, str]] = {
    "mobile": """
        mobile, mobile phone, mobile number, mobile no, mobile phone number, mobile telephone, phone mobile,
        cell, cell phone, cell number, cell phone number, phone cell,
        Handy, Handynummer, Handy-Nr., Mobil, Mobilnummer, Mobiltelefon, Mobilfunk, Mobilfunknummer, Telefon mobil,
        móvil, teléfono móvil, número de móvil, celular, teléfono celular,
        portable, téléphone portable, téléphone mobile, numéro de portable""",
    "phone": """
        phone number, phone, phone no, telephone, telephone number, tel, tel no, contact number, number to call,
        Telefon, Telefonnummer, Tel.-Nr., Telefon-Nr., Rufnummer,
        teléfono, número de teléfono, núm. de teléfono,
        téléphone, numéro de téléphone, n° de téléphone, tél""",
    "home_phone": """
        home phone, home phone number, home number, home telephone, home tel, phone home, landline,
        Telefon privat, Privattelefon, Privatnummer, Festnetz, Festnetznummer,
        teléfono de casa, teléfono particular, teléfono fijo,
        téléphone domicile, téléphone du domicile, téléphone fixe, fixe""",
    "work_phone": """
        work phone, work phone number, work number, work telephone, work tel, phone work, business phone,
        Telefon geschäftlich, Telefon dienstlich, Telefon Arbeit,
        teléfono del trabajo, teléfono de trabajo,
        téléphone professionnel, téléphone travail, téléphone bureau""",
    "message": """
        message, text, message text, reminder text, body, words, script,
        Nachricht, Nachrichtentext, Mitteilung, Ansage, Ansagetext, Erinnerungstext,
        mensaje, texto, texto del mensaje,
        texte, message vocal, texte du message""",
    "template": """
        template, kind, message kind, kind of message, message type, reminder type, reminder kind, message template,
        Nachrichtenart, Ansageart, Art der Nachricht, Vorlage,
        tipo de mensaje, plantilla,
        type de message, modèle""",
    "appointment_at": """
        appointment at, appointment date and time, appointment date time, appt at, appt date time,
        Termin, Terminbeginn, Datum und Uhrzeit des Termins,
        cita, fecha y hora de la cita,
        rendez-vous, date et heure du rendez-vous""",
    "appointment_date": """
        appointment date, appointment day, date of appointment, appt date,
        Termindatum, Termin am, Datum des Termins,
        fecha de la cita, fecha cita, día de la cita,
        date du rendez-vous, date de rendez-vous, jour du rendez-vous""",
    "appointment_time": """
        appointment time, time of appointment, appt time,
        Terminzeit, Terminuhrzeit, Termin um, Uhrzeit des Termins,
        hora de la cita, hora cita,
        heure du rendez-vous, heure de rendez-vous""",
    "scheduled_at": """
        scheduled at, at, call at, call date and time, call date time, ring at, remind at, reminder at, due at,
        Anrufzeitpunkt, Datum und Uhrzeit des Anrufs,
        fecha y hora de llamada, fecha y hora de la llamada, llamar el,
        date et heure d'appel, date et heure de l'appel, appeler le""",
    "date": """
        call date, call day, call on, reminder date, remind on,
        Anrufdatum, Anruf am, Anruftag, Erinnerungsdatum, Erinnerung am,
        fecha de llamada, fecha de la llamada, fecha del recordatorio,
        date d'appel, date de l'appel, date du rappel""",
    "time": """
        call time, reminder time,
        Anrufzeit, Anruf um, Erinnerungszeit, Erinnerung um,
        hora de llamada, hora de la llamada, hora del recordatorio,
        heure d'appel, heure de l'appel, heure du rappel""",
    "some_at": """
        scheduled, schedule, when, due, date time, date and time, timestamp,
        Zeitpunkt, geplant, geplant am, fällig, fällig am, wann, Datum und Uhrzeit, Datum/Uhrzeit, Datum Zeit,
        fecha y hora, fecha/hora, programado, programada, cuándo,
        date et heure, date/heure, prévu, prévu le, quand""",
    "some_date": """
        date, day, scheduled date,
        Datum, Tag,
        fecha, día,
        jour""",
    "some_time": """
        time, time of day, hour, clock time, scheduled time,
        Uhrzeit, Zeit,
        hora,
        heure""",
    "ref": """
        ref, external id, appointment id, appointment no, appointment number, appointment guid, appt id,
        appt no, appt number, appt guid, booking id, booking no, booking number,
        Terminnummer, Termin-Nr., Termin-ID, Buchungsnummer, Buchungs-ID,
        número de cita, id de la cita, id cita,
        numéro de rendez-vous, id rendez-vous, n° de rendez-vous""",
    "some_ref": """
        id, appointment, booking, case number, reference,
        Referenz, Kennung, Buchung, Vorgangsnummer,
        referencia, reserva,
        référence, réservation, identifiant""",
    "expires_at": """
        expires at, expires, not after, latest, valid until,
        gültig bis, spätestens, Ablauf, läuft ab, läuft ab am, nicht nach,
        caduca, válido hasta, hasta, expira,
        expire, expire le, valable jusqu'au, jusqu'à, au plus tard""",
    "timezone": """
        timezone, time zone, zone, tz,
        Zeitzone,
        zona horaria, huso horario,
        fuseau horaire, fuseau""",
    "appointment_type": """
        appointment type, appt type, type of appointment, visit type,
        Terminart, Termintyp, Art des Termins,
        tipo de cita, tipo de visita,
        type de rendez-vous, type de visite""",
    "patient_ref": """
        patient id, patient account number, patient account no, patient ref, MRN, medical record number, chart number,
        Patientennummer, Patienten-Nr., Patienten-ID,
        id del paciente, número de historia clínica,
        identifiant du patient, n° de dossier""",
    "language": """
        language, patient language, preferred language, spoken language,
        Sprache, Patientensprache, bevorzugte Sprache,
        idioma, idioma del paciente, idioma preferido,
        langue, langue du patient, langue préférée""",
    "name": """
        name, patient name, pat name, patient,
        Patientenname, Name des Patienten,
        nombre, nombre del paciente, paciente,
        nom, nom du patient""",
    "provider": """
        provider, provider name, appointment provider, doctor, doctor name, clinician, practitioner, dentist, therapist,
        Arzt, Ärztin, Behandler, Behandlerin, Zahnarzt, Zahnärztin, Therapeut, Therapeutin,
        médico, médica, profesional, dentista, terapeuta,
        médecin, praticien, praticienne, dentiste, thérapeute""",
    "place": """
        place, location, appointment location,
        Standort, Behandlungsort,
        lugar de la cita, consultorio,
        lieu du rendez-vous""",
    "status": """
        appointment status, appt status, booking status,
        Terminstatus, Buchungsstatus,
        estado de la cita,
        statut du rendez-vous""",
    "some_status": """
        status,
        estado, estatus,
        statut, état""",
}
"""`date` and `time` are those of the call. A name with `some` may be about the call or something else."""

_UNSAID: Final = re.compile(r"[\W_]+")
_OF_THE_PATIENT: Final = re.compile("^(?:patients?|pat)(?=.)")


def unaccented(text: str) -> str:
    """Return a text without case and accents."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def normal_header(name: str) -> str:
    """Return a header without case, accents, spaces and punctuation."""
    return _UNSAID.sub("", unaccented(name))


KNOWN: Final = {normal_header(name): role for role, names in _NAMES.items() for name in names.split(",")}
"""Every known header, with its role."""


def role_of(name: str) -> str | None:
    """Return the role of the column with this header, one of the names above; None if it is unknown."""
    text = normal_header(name)
    of_the_patient = KNOWN.get(_OF_THE_PATIENT.sub("", text))
    return of_the_patient if of_the_patient in PHONES else KNOWN.get(text)


def is_header(row: Sequence[str], *, also: frozenset[str] = frozenset()) -> bool:
    """Return whether a row has at least two known headers; `also` has more headers, as `normal_header` returns them."""
    return sum(role_of(cell) is not None or normal_header(cell) in also for cell in row) > 1


class RowStatus(StrEnum):
    """Whether a patient is to be reminded of an appointment."""

    STANDS = "stands"
    OVER = "over"
    """The appointment was cancelled or missed, or the patient was there already."""


_WORDS: Final = {
    RowStatus.STANDS: """
        confirmed, unconfirmed, not confirmed, scheduled, booked, pending, tentative, planned, new, open, active,
        reserved, left message, overbook,
        bestätigt, unbestätigt, nicht bestätigt, geplant, gebucht, vereinbart, vorgemerkt, offen, neu, aktiv,
        reserviert,
        confirmada, confirmado, no confirmada, no confirmado, sin confirmar, pendiente, programada, programado,
        agendada, agendado, reservada, reservado, nueva, nuevo, activa, activo,
        confirmé, confirmée, non confirmé, non confirmée, prévu, prévue, planifié, planifiée, réservé, réservée,
        en attente, nouveau, actif""",
    RowStatus.OVER: """
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

WORDS: Final = {normal_header(word): standing for standing, words in _WORDS.items() for word in words.split(",")}
"""Every known word, with its meaning."""

UNKNOWN_STATUS: Final = (
    "status: unknown word; expected one like confirmed or cancelled, or one that status of the profile explains,"
    " or --map status= to ignore it"
)


def row_status_of(word: str) -> RowStatus | None:
    """Return what a status means for its appointment, which stands if the status is empty; None if unknown."""
    return WORDS.get(normal_header(word)) if word.strip() else RowStatus.STANDS
