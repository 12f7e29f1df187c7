"""What becomes of a reminder that somebody asks for: added, changed, unchanged, or refused with a reason."""

from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from attrs import evolve, frozen

from reminderd.core.checks import warnings_of
from reminderd.core.csv_columns import Columns
from reminderd.core.intake import ReminderRequest, read_request, too_late
from reminderd.core.model import Status
from reminderd.core.rules import Rules
from reminderd.core.spoken_times import DayOrder
from reminderd.core.templates import Templates

Content = tuple[str, str, datetime, datetime | None, str | None]
"""Phone number, message, when to call, until when, the patient's time zone."""


class Intake(StrEnum):
    """What becomes of a reminder that somebody asks for."""

    ADDED = "added"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    CONFLICT = "conflict"
    """Another reminder has its `ref`, or the one that it names can't be changed any more."""
    TOO_LATE = "too late"


@frozen
class Decision:
    """What becomes of a reminder that somebody asks for, and why it is refused."""

    intake: Intake
    reason: str = ""
    """Empty if it is not refused."""
    warnings: tuple[str, ...] = ()
    """Why its patient will not be called, as things stand, though it is stored."""

    @property
    def refused(self) -> bool:
        """Whether nothing is stored."""
        return self.intake in {Intake.CONFLICT, Intake.TOO_LATE}


@frozen(kw_only=True)
class Known:
    """A reminder that is stored already, as far as a file can speak of it."""

    id: str
    content: Content
    status: Status
    called: bool
    """Whether any call was made for it."""


def content_of(wanted: ReminderRequest) -> Content:
    """Everything of a reminder that an edited line can change."""
    return (wanted.phone_number, wanted.message, wanted.scheduled_at, wanted.expires_at, wanted.timezone)


def read_row(
    cells: Sequence[str],
    columns: Columns,
    *,
    width: int,
    zone: ZoneInfo | None,
    templates: Templates,
    order: DayOrder | None,
    normalise: Callable[[str], str],
) -> ReminderRequest | list[str]:
    """The reminder that a row asks for, or everything that is wrong with it.

    Local times are those of the row's own time zone, else of the clinic's `zone`; without either they are refused.
    Empty cells say nothing.
    """
    if len(cells) > width and any(cells[width:]):
        return [f"cells: more than the header has; expected {width}, and quotes around a delimiter inside a cell"]
    timezone = columns.text("timezone", cells).strip() or None
    template = columns.text("template", cells).strip() or None
    message = columns.text("message", cells)
    return read_request(
        phone_number=columns.text("phone_number", cells),
        message=message if message.strip() or template is None else None,
        scheduled_at=columns.text("scheduled_at", cells),
        expires_at=columns.text("expires_at", cells).strip() or None,
        timezone=timezone,
        ref=columns.text("ref", cells).strip() or None,
        zone=zone,
        template=template,
        appointment_at=columns.text("appointment_at", cells).strip() or None,
        templates=templates,
        order=order,
        normalise=normalise,
    )


def decide(request: ReminderRequest, known: Known | None, rules: Rules, now: datetime, *, opted_out: bool) -> Decision:
    """Decide what a request does to the reminder that has its `ref` or id; the same for every way in.

    One that says what is stored already changes nothing, whatever has become of its reminder.

    Args:
        request: what is asked for.
        known: the reminder that it names, or None.
        rules: the clinic's rules.
        now: the time.
        opted_out: whether its number is on the list of those that must not be called.
    """
    decided = _decide(request, known, rules, now)
    if decided.refused or decided.intake is Intake.UNCHANGED:
        return decided
    return evolve(decided, warnings=tuple(warnings_of(request, rules, opted_out=opted_out)))


def _decide(request: ReminderRequest, known: Known | None, rules: Rules, now: datetime) -> Decision:
    if known is None:
        return _in_time(request, Intake.ADDED, rules, now)
    if known.content == content_of(request):
        return Decision(Intake.UNCHANGED)
    if known.status is not Status.SCHEDULED:
        why = f"not changed: the reminder is already {known.status}; expected the line as it was, or another ref"
        return Decision(Intake.CONFLICT, why)
    if known.called:
        why = "not changed: it was called already and will be again; expected the line as it was, or another ref"
        return Decision(Intake.CONFLICT, why)
    return _in_time(request, Intake.CHANGED, rules, now)


def _in_time(request: ReminderRequest, intake: Intake, rules: Rules, now: datetime) -> Decision:
    late = too_late(request, rules, now)
    return Decision(intake) if late is None else Decision(Intake.TOO_LATE, late)
