"""What becomes of a line of a file: a new reminder, a change of one, nothing, or a refusal with its reason."""

from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from attrs import frozen

from reminderd.core.csv_columns import Columns
from reminderd.core.intake import Wish, too_late, wish
from reminderd.core.kinds import Kinds
from reminderd.core.reminder import Status
from reminderd.core.rules import Rules
from reminderd.core.spoken_times import DayOrder

Content = tuple[str, str, datetime, datetime | None, str | None]
"""Phone number, message, when to ring, until when, the patient's time zone."""


class Fate(StrEnum):
    """What a good line does."""

    ADDED = "added"
    CHANGED = "changed"
    UNCHANGED = "already in"


@frozen(kw_only=True)
class Known:
    """A reminder that is stored already, as far as a file can speak of it."""

    id: str
    content: Content
    status: Status
    dialled: bool
    """Whether there is any call of it, or another reminder's in which it was said, or was to be."""


def content_of(wanted: Wish) -> Content:
    """Everything of a reminder that an edited line can change."""
    return (wanted.phone_number, wanted.message, wanted.scheduled_at, wanted.expires_at, wanted.timezone)


def read_row(
    cells: Sequence[str],
    columns: Columns,
    *,
    width: int,
    zone: ZoneInfo,
    kinds: Kinds,
    order: DayOrder | None,
    normalise: Callable[[str], str | None],
) -> Wish | list[str]:
    """The reminder that a row asks for, or everything that is wrong with it.

    Local times are those of the row's own time zone, else of the clinic's `zone`. Empty cells say nothing.
    """
    if len(cells) > width and any(cells[width:]):
        return [f"cells: more than the header has; expected {width}, and quotes around a delimiter inside a cell"]
    timezone = columns.text("timezone", cells).strip() or None
    kind = columns.text("kind", cells).strip() or None
    message = columns.text("message", cells)
    return wish(
        phone_number=columns.text("phone_number", cells),
        message=message if message.strip() or kind is None else None,
        scheduled_at=columns.text("scheduled_at", cells),
        expires_at=columns.text("expires_at", cells).strip() or None,
        timezone=timezone,
        ref=columns.text("ref", cells).strip() or None,
        zone=zone,
        kind=kind,
        appointment_at=columns.text("appointment_at", cells).strip() or None,
        kinds=kinds,
        order=order,
        normalise=normalise,
    )


def fate(wanted: Wish, known: Known | None, rules: Rules, now: datetime) -> Fate | str:
    """What a line does to the reminder that has its `ref` or id, or why it can't.

    A line that says what is stored already changes nothing, whatever has become of its reminder.
    """
    if known is None:
        return too_late(wanted, rules, now) or Fate.ADDED
    if known.content == content_of(wanted):
        return Fate.UNCHANGED
    if known.status is not Status.SCHEDULED:
        return f"not changed: the reminder is {known.status} already; expected the line as it was, or another ref"
    if known.dialled:
        return "not changed: it was called already and will be again; expected the line as it was, or another ref"
    return too_late(wanted, rules, now) or Fate.CHANGED
