"""Show how reminders stand: one in plain words, with what to do about it, and those of some days as a report."""

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from io import StringIO
from typing import Final
from zoneinfo import ZoneInfo

from attrs import frozen

from reminderd.core.imports import ImportRecord
from reminderd.core.model import Status
from reminderd.core.outcomes import NEED_A_HUMAN, Figures, Group, Outcome, group_of, outcome
from reminderd.core.reasons import SHOWN_BY_CALLS, EndCode, HoldCode
from reminderd.core.schedule.dates import DAY, midnight
from reminderd.core.sentences import Sentence
from reminderd.core.tables.csv_rows import safe_cell
from reminderd.store.connection import Connection
from reminderd.store.day import figures_by_day
from reminderd.store.import_records import imports_between
from reminderd.store.queries import ReminderFilter, ShownValue, list_reminders, name_of

Row = Mapping[str, ShownValue]


@frozen(kw_only=True)
class ReminderStanding:
    """How a reminder stands."""

    outcome: Outcome
    what: Sentence
    """Its outcome."""
    why: Sentence | None
    """Why it waits, or has ended like this; None if there is nothing more to say."""
    advice: Sentence
    """What staff can do about it."""

    @property
    def group(self) -> Group:
        """Return whether it needs a human."""
        return group_of(self.outcome)


_WORDS: Final = {
    Outcome.WANTS_TO_CANCEL: (
        Sentence("By pressing a key, the patient has asked to cancel the appointment."),
        Sentence("Cancel it in your calendar, and then note it as done."),
    ),
    Outcome.NOT_REACHED: (
        Sentence("The patient was not reached."),
        Sentence("Call the patient yourself and note it as done, or have the program call again."),
    ),
    Outcome.NUMBER_CHANGED: (
        Sentence("Its phone number was changed, and nobody is called until you accept the new one."),
        Sentence("Compare the number with your own records. Accept it if it is the patient's, or cancel the reminder."),
    ),
    Outcome.EXPIRED: (
        Sentence("Its time was over before the patient could be called."),
        Sentence("Call the patient yourself and note it as done, or have the program call again."),
    ),
    Outcome.UNDER_WAY: (Sentence("A call is under way."), Sentence("Wait for its end: this page shows it.")),
    Outcome.WAITING: (Sentence("The patient will be called."), Sentence("Nothing has to be done.")),
    Outcome.CONFIRMED: (Sentence("The patient was reached, and has confirmed."), Sentence("Nothing has to be done.")),
    Outcome.REACHED: (
        Sentence("The patient was reached, and has pressed no key."),
        Sentence("Nothing has to be done."),
    ),
    Outcome.DONE_BY_STAFF: (Sentence("Staff have called the patient."), Sentence("Nothing has to be done.")),
    Outcome.OPTED_OUT: (
        Sentence("The number has opted out: it is not called."),
        Sentence("Tell the patient in another way what the message says."),
    ),
    Outcome.CANCELLED: (
        Sentence("It was cancelled: nobody is called for it."),
        Sentence("If that was a mistake, have the program call again."),
    ),
}
_CODES: Final = {str(code): code for code in EndCode}
_HOLDS: Final = {str(code): code for code in HoldCode}
_NAMED_IN_THE_HISTORY: Final = frozenset(
    {EndCode.CANCELLED_BY_STAFF, EndCode.DONE_BY_STAFF, EndCode.WITHDRAWN, EndCode.OPTED_OUT}
)
"""For these codes, `last_error` states only who caused it."""
_PLAIN: Final = frozenset({Outcome.CONFIRMED, Outcome.REACHED, Outcome.UNDER_WAY})


def outcome_of_row(row: Row) -> Outcome:
    """Return the outcome of a reminder, from its row."""
    response, code = row["response"], row["end_code"]
    return outcome(
        Status(str(row["status"])),
        None if response is None else str(response),
        _CODES.get(str(code)),
        _HOLDS.get(str(row["hold_code"])),
        is_done=row["done_at"] is not None,
    )


def standing_of(row: Row) -> ReminderStanding:
    """Return how a reminder stands, from its row."""
    word = outcome_of_row(row)
    what, advice = _WORDS[word]
    why = None if word in _PLAIN else _reason(row)
    return ReminderStanding(outcome=word, what=what, why=why, advice=advice)


def _reason(row: Row) -> Sentence | None:
    """Return why it waits or has ended: the sentence of its code, and what is known beyond that."""
    error = None if row["last_error"] is None else str(row["last_error"])
    hold = None if row["hold_reason"] is None else _HOLDS.get(str(row["hold_code"]))
    code = hold or _CODES.get(str(row["end_code"]))
    details = error if code is None else code.details(error)
    if code is None or hold is HoldCode.NUMBER_CHANGED:  # the sentence of that code is shown already
        return None if details is None else Sentence(details)
    is_shown = code in _NAMED_IN_THE_HISTORY or (code in SHOWN_BY_CALLS and row["call_outcome"] is not None)
    if details is None or is_shown:
        return Sentence(code.sentence)
    return Sentence("%(reason)s (%(detail)s)", {"reason": Sentence(code.sentence), "detail": Sentence(details)})


COLUMNS: Final = ("outcome", "call_outcome", "scheduled_at", "ref", "phone_number", "why", "attempts", "id")

_UNDECIDED: Final = ReminderFilter(status=Status.SCHEDULED, needs_human=True)
"""The reminders that wait for staff to accept a changed phone number, or to cancel."""

_ORDER: Final = {word: place for place, word in enumerate(Outcome)}


@frozen(kw_only=True)
class PeriodReport:
    """The reminders of a span of days, with their outcomes."""

    rows: Sequence[Row]
    """The reminders of these days; those that need a human come first."""
    others: Sequence[Row]
    """The reminders of other days that wait for a decision, because their phone number was changed."""
    imports: Sequence[ImportRecord]

    @property
    def totals(self) -> Counter[Outcome]:
        """Return how many reminders have each outcome."""
        return Counter(Outcome(str(row["outcome"])) for row in self.rows)

    @property
    def need_human(self) -> int:
        """Return how many reminders need a human."""
        totals = self.totals
        return sum(totals[word] for word in NEED_A_HUMAN) + len(self.others)


def report_of(connection: Connection, *, since: datetime | None, until: datetime | None, now: datetime) -> PeriodReport:
    """Return the report of a span of time; None means no limit."""
    return PeriodReport(
        rows=rows_of(connection, since=since, until=until),
        others=waiting_for_decision(connection, since=since, until=until),
        imports=imports_between(connection, since=since or datetime.min.replace(tzinfo=UTC), until=until or now),
    )


def rows_of(connection: Connection, *, since: datetime | None, until: datetime | None) -> list[Row]:
    """Return the reminders of a span of time, those that need a human first."""
    rows = _rows(connection, ReminderFilter(since=since, until=until))
    return sorted(rows, key=lambda row: _ORDER[Outcome(str(row["outcome"]))])  # stable: by time within an outcome


def waiting_for_decision(connection: Connection, *, since: datetime | None, until: datetime | None) -> list[Row]:
    """Return the reminders outside a span of time that wait for a decision, because their number was changed."""
    return [
        row
        for row in _rows(connection, _UNDECIDED)
        if isinstance(at := row["scheduled_at"], datetime)
        and ((since is not None and at < since) or (until is not None and at >= until))
    ]


def needing_human(connection: Connection, *, since: datetime, until: datetime, limit: int) -> list[Row]:
    """Return the first reminders of a span of time that need a human, by their time."""
    return _rows(connection, ReminderFilter(since=since, until=until, needs_human=True), limit)


def _rows(connection: Connection, wanted: ReminderFilter, limit: int | None = None) -> list[Row]:
    return [_with_outcome(row) for row in list_reminders(connection, wanted=wanted, limit=limit)]


def _with_outcome(row: Row) -> Row:
    why = row["last_error"] or row["hold_reason"]
    return {**row, "outcome": outcome_of_row(row).value, "ref": name_of(row), "why": why}


def row_in_words(row: Row) -> Row:
    """Return a row for people, without codes."""
    return {**row, "call_outcome": None if row["call_outcome"] is None else str(row["call_outcome"]).replace("_", " ")}


def days_of(connection: Connection, *, first: date, last: date, zone: ZoneInfo) -> list[tuple[date, Figures]]:
    """Return the figures of each day of a span, by the clinic's clock."""
    days = [first + place * DAY for place in range((last - first).days + 1)]
    midnights = [midnight(day, zone) for day in (*days, last + DAY)]
    return list(zip(days, figures_by_day(connection, midnights=midnights), strict=True))


def report_csv(rows: Iterable[Row], zone: ZoneInfo, *, has_header: bool = True) -> str:
    """Return rows of a report as a table for a spreadsheet."""
    return csv_text([row_in_words(row) for row in rows], COLUMNS, partial(_as_text, zone=zone), has_header=has_header)


def csv_text(
    rows: Iterable[Row], columns: Sequence[str], as_text: Callable[[ShownValue], str], *, has_header: bool = True
) -> str:
    """Return the named columns of rows as CSV; no cell is a formula to a spreadsheet."""
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    if has_header:
        table.writerow(columns)
    table.writerows([safe_cell(as_text(row[name])) for name in columns] for row in rows)
    return text.getvalue()


def _as_text(value: ShownValue, zone: ZoneInfo) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone(zone):%Y-%m-%d %H:%M}"
    return "" if value is None else str(value)
