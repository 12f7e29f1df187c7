"""Check the program's promises about tables and requests against what the clinic meant by each line."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, time
from zoneinfo import ZoneInfo

from reminderd.core.upsert import Intake
from reminderd.store.queries import ShownValue
from tests.chaos.imports import Imported
from tests.chaos.other_programs import Wanted
from tests.chaos.tables import Line, Shape, is_refused, number_of, zone_of


def broken_by_a_table(lines: Sequence[Line], shape: Shape, done: Imported) -> Iterator[str]:
    """Report lines that were read although they must be refused, or refused although they are clear."""
    for place, line in enumerate(lines):
        number = number_of(place, shape)
        if number in done.taken and is_refused(line, shape):
            yield f"{line.name}: taken from a table in spite of {line.spoiled or 'midnight'}"
        elif number not in done.taken and not is_refused(line, shape):
            yield f"{line.name}: {done.unreadable.get(number, 'lost')}, though nothing is wrong with it"


def broken_by_a_request(lines: Iterable[Line], zone: ZoneInfo, *, is_read: bool) -> Iterator[str]:
    """Report a request that was read although it must be refused, or refused although it is clear."""
    wrong = [line.spoiled for line in lines if line.spoiled is not None]
    may_be_refused = bool(wrong) or any(line.at.astimezone(zone_of(line, zone)).time() == time(0) for line in lines)
    if is_read and wrong:
        yield f"a request is taken in spite of {wrong[0]}"
    elif not is_read and not may_be_refused:
        yield "a request is refused, though nothing is wrong with it"


def broken_by_a_line(line: Line, intake: Intake, former: Wanted | None) -> Iterator[str]:
    """Report changes to the clinic's reminder that a line must not have made."""
    is_other = former is not None and former.phone_number != line.phone_number
    if line.is_called_off and intake is not Intake.CANCELLED:
        yield f"{line.name}: {intake} by a line that calls it off"
    if not line.is_called_off and intake is Intake.CANCELLED:
        yield f"{line.name}: cancelled by a line that does not say so"
    if intake is Intake.CANCELLED and is_other and line.spoiled is None:
        yield f"{line.name}: cancelled by a line about another number"
    goes_back = former is not None and former.is_held and former.former_number == line.phone_number
    if intake is Intake.CHANGED and is_other and not goes_back:
        yield f"{line.name}: has another number now, and nobody is asked"
    if former is not None and former.is_cancelled and line.has_ref and not line.is_called_off:
        yield f"{line.name}: {intake} by a line, though it is cancelled"


def broken_by_refusing(line: Line, intake: Intake, limit: datetime, now: datetime) -> Iterator[str]:
    """Report a line that was refused as too late before its limit."""
    if intake is Intake.TOO_LATE and now < limit:
        yield f"{line.name}: refused as too late, and it is not"


def broken_by_showing(wanted: Wanted, shown: tuple[ShownValue, ShownValue] | None) -> Iterator[str]:
    """Report a reminder that is not shown with the clinic's number and time; `shown` is None if it is not found."""
    if shown != (wanted.phone_number, wanted.scheduled_at):
        yield f"{wanted.name}: not shown as the clinic has written it"
