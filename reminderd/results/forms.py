"""Write changes in the formats that practice software reads: a table, FHIR resources, HL7 v2 messages."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from attrs import frozen

from reminderd.core.changes import ChangeKind
from reminderd.core.outcomes import Outcome
from reminderd.core.reasons import EndCode
from reminderd.core.tables.csv_rows import safe_cell
from reminderd.store.outcome_changes import NamedChange

_OWN: Final = ("ref", "appointment_ref", "patient_ref", "appointment_at", "scheduled_at")
"""The columns that show what a line is about, if the profile has no column for the `ref`."""
_NOT_BACK: Final = frozenset({"status", "message", "template"})
"""Fields of a profile that a table does not have: the file's own status, and what is spoken."""
_RESULT: Final = ("kind", "status", "response", "outcome", "why", "changed_at", "change_id")
_WHY: Final = {str(code): code.sentence for code in EndCode}
_ENDINGS: Final = {"csv": ".csv", "fhir": ".json", "hl7": ".hl7"}
_SPLIT: Final = {
    "appointment_date": ("appointment_at", "%Y-%m-%d"),
    "appointment_time": ("appointment_at", "%H:%M"),
    "date": ("scheduled_at", "%Y-%m-%d"),
    "time": ("scheduled_at", "%H:%M"),
}


@frozen(kw_only=True)
class Form:
    """The format of a file, and what is needed to write it."""

    format: str
    """csv, fhir or hl7."""
    columns: Mapping[str, str]
    """The headers of an import profile, by our field names; empty for our own headers."""
    zone: ZoneInfo
    """The clinic's time zone."""

    @property
    def ending(self) -> str:
        """Return the ending of its files' names."""
        return _ENDINGS[self.format]

    def about(self, answers: Sequence[NamedChange]) -> list[NamedChange]:
        """Return the answers that a file in this form has.

        FHIR and HL7 are about appointments: a planned call that is not made, because the patient has already answered,
        would be read as a later answer.
        """
        return [one for one in answers if self.format == "csv" or not _is_call_not_made(one)]

    def written(self, answers: Sequence[NamedChange]) -> bytes:
        """Return the content of a file with these answers."""
        return {"csv": self._csv, "fhir": self._fhir, "hl7": self._hl7}[self.format](answers).encode()

    def _csv(self, answers: Sequence[NamedChange]) -> str:
        """Return a table with the profile's columns, then ours; no cell is a formula to a spreadsheet."""
        named = {field: header for field, header in self.columns.items() if header and field not in _NOT_BACK}
        own = () if "ref" in named else tuple(field for field in _OWN if field not in named)
        taken = {header.casefold() for header in named.values()}
        headers = [f"reminderd {name}" if name in taken else name for name in (*own, *_RESULT)]
        text = io.StringIO(newline="")
        table = csv.writer(text, lineterminator="\r\n")
        table.writerow([safe_cell(header) for header in (*named.values(), *headers)])
        for answer in answers:
            cells = [self._about(answer, field) for field in (*named, *own)]
            result = self._result(answer)
            table.writerow([safe_cell(cell) for cell in (*cells, *(result[name] for name in _RESULT))])
        return text.getvalue()

    def _about(self, answer: NamedChange, field: str) -> str:
        name, form = _SPLIT.get(field, (field, "%Y-%m-%d %H:%M"))
        if name == "ref":
            return answer.appointment_ref or answer.change.ref or ""
        if name == "appointment_ref":
            return answer.appointment_ref or ""
        value = answer.facts.get(name)
        if isinstance(value, datetime):
            return value.astimezone(self.zone).strftime(form)
        return "" if value is None else str(value)

    def _result(self, answer: NamedChange) -> dict[str, str]:
        event = answer.change.event
        return {
            "kind": str(answer.change.kind),
            "status": str(event["status"]),
            "response": str(event["response"] or ""),
            "outcome": str(event["outcome"]),
            "why": _WHY.get(str(event["end_code"]), ""),
            "changed_at": f"{answer.change.at.astimezone(self.zone):%Y-%m-%d %H:%M:%S}",
            "change_id": answer.change.event_id,
        }

    def _fhir(self, answers: Sequence[NamedChange]) -> str:
        """Return a Bundle of AppointmentResponse resources (FHIR R4)."""
        entries = [
            {"fullUrl": f"urn:uuid:{UUID(one.change.event_id)}", "resource": _appointment_response(one)}
            for one in answers
        ]
        bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
        return json.dumps(bundle, ensure_ascii=False, indent=1) + "\n"

    def _hl7(self, answers: Sequence[NamedChange]) -> str:
        """Return SIU^S14 messages (HL7 2.5.1), one after the other."""
        return "".join(f"{segment}\r" for one in answers for segment in self._siu(one))

    def _siu(self, answer: NamedChange) -> list[str]:
        event, facts = answer.change.event, answer.facts
        start = _hl7_time(facts.get("appointment_at"), self.zone)
        code = _HL7_CODES[str(event["outcome"])]
        number = str(facts.get("phone_number") or "")
        made_at = _hl7_time(answer.change.at, self.zone)
        head = ("MSH", "^~\\&", "reminderd", "", "", "", made_at, "", "SIU^S14^SIU_S12", answer.change.event_id[:20])
        schedule = [""] * 26
        schedule[0] = "SCH"
        schedule[1] = _hl7(answer.appointment_ref or answer.change.ref)
        schedule[2] = _hl7(str(event["appointment_id"] or event["reminder_id"]))
        schedule[6] = f"{code}^{_hl7(str(event['outcome']))}^L"
        schedule[8] = f"^{_hl7(facts.get('appointment_type'))}"
        schedule[11] = f"^^^{start}"
        schedule[16] = schedule[20] = "^reminderd"
        schedule[25] = f"{code}^{_hl7(str(event['outcome']))}^L"
        name = _hl7(facts.get("name"))
        patient = ["PID", "1", "", _hl7(facts.get("patient_ref")), "", name, *[""] * 7, _hl7(number)]
        why = _WHY.get(str(event["end_code"]))
        notes = [] if why is None else [f"NTE|1||{_hl7(why)}"]
        return ["|".join((*head, "P", "2.5.1")), "|".join(schedule), *notes, "|".join(patient), "RGS|1"]


_HL7_CODES: Final[Mapping[str, str]] = {
    Outcome.CONFIRMED: "CONFIRMED",
    Outcome.WANTS_TO_CANCEL: "CANCEL_REQUESTED",
    Outcome.NOT_REACHED: "NOT_REACHED",
    Outcome.EXPIRED: "NOT_REACHED",
    Outcome.REACHED: "REACHED",
    Outcome.DONE_BY_STAFF: "DONE_BY_STAFF",
    Outcome.OPTED_OUT: "OPTED_OUT",
    Outcome.CANCELLED: "CANCELLED",
    Outcome.WAITING: "WAITING",
    Outcome.UNDER_WAY: "WAITING",
    Outcome.NUMBER_CHANGED: "WAITING",
    "booked": "BOOKED",
}


def _is_call_not_made(answer: NamedChange) -> bool:
    is_planned = answer.change.kind is ChangeKind.REMINDER and answer.change.appointment_id is not None
    return is_planned and answer.change.event["outcome"] == Outcome.CANCELLED


_FHIR_STATUS: Final[Mapping[str, str]] = {
    Outcome.CONFIRMED: "accepted",
    Outcome.WANTS_TO_CANCEL: "declined",
}
"""The answers of patients; no other outcome is an answer."""
_PATIENT: Final = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "SBJ"}],
    "text": "patient",
}
_HL7_ESCAPES: Final = str.maketrans(
    {"|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\", "\\": "\\E\\", "\r": " ", "\n": " "}
)


def _appointment_response(answer: NamedChange) -> dict[str, object]:
    event, patient = answer.change.event, answer.facts.get("patient_ref")
    appointment = answer.appointment_ref or answer.change.ref or event["appointment_id"] or event["reminder_id"]
    start = answer.facts.get("appointment_at")
    actor = {} if patient is None else {"actor": {"type": "Patient", "identifier": {"value": patient}}}
    begins = {"start": _instant(start)} if isinstance(start, datetime) else {}
    words = [str(event["outcome"]), _WHY.get(str(event["end_code"]), "")]
    return {
        "resourceType": "AppointmentResponse",
        "id": str(UUID(answer.change.event_id)),
        "meta": {"lastUpdated": _instant(answer.change.at)},
        "identifier": [{"value": answer.change.event_id}],
        "appointment": {"type": "Appointment", "identifier": {"value": appointment}},
        **begins,
        "participantType": [_PATIENT],
        **actor,
        "participantStatus": _FHIR_STATUS.get(str(event["outcome"]), "needs-action"),
        "comment": ": ".join(word for word in words if word),
    }


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _hl7_time(value: object, zone: ZoneInfo) -> str:
    return f"{value.astimezone(zone):%Y%m%d%H%M%S%z}" if isinstance(value, datetime) else ""


def _hl7(text: object) -> str:
    """Return a text as a field of a message."""
    return "" if text is None else str(text).translate(_HL7_ESCAPES)
