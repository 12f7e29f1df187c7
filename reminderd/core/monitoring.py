"""Decide whether all is well: the numbers that are watched, and which of them mean an error."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from attrs import frozen

from reminderd.core.changes import Backlog, undelivered_warning
from reminderd.core.daemons import Daemon, differences
from reminderd.core.imports import FOLDER, ImportRecord, ImportStatus, file_with_result
from reminderd.core.model import Call, CallOutcome, CallState, Reminder, Status
from reminderd.core.outcomes import Outcome
from reminderd.core.reasons import UNREACHED
from reminderd.core.requests import next_open
from reminderd.core.rules import Rules
from reminderd.core.sentences import Sentence, text_of

STUCK_AFTER: Final = timedelta(minutes=2)
"""A call is checked at its `wake_at`; if this much later it was not, nothing checks it."""

LATE_AFTER: Final = timedelta(minutes=15)
"""A reminder that waits this long after it was due is late, even if many are due at once."""

BACKUP_LATE: Final = timedelta(hours=26)
"""Backups are made every night: an older one is late."""

DISK_FULL_SOON: Final = 100_000_000
"""In bytes: less free space is an error."""

ADDRESS: Final = "public address"
"""The name of the part for the address at which the provider asks us what to speak."""

LONG_PAUSE: Final = timedelta(hours=12)
"""A pause by staff that lasts longer may have been forgotten."""


@frozen(kw_only=True)
class Glance:
    """The state of the work at one moment, as numbers from the database."""

    due_next_hour: int
    """Reminders that are due now or within an hour."""
    due: int
    """Reminders that are due now."""
    due_since: datetime | None
    """Since when the oldest of them is due; None if none is due."""
    in_flight: int
    """Reminders whose call is being placed, or has no final report yet."""
    stuck: int
    """The number of these whose call should have been checked long ago."""
    held: Mapping[str, int]
    """How many reminders are held, by reason."""
    failed_today: int
    """Reminders due today that were not reached or expired, without those that staff have called manually."""
    last_report: datetime | None
    """When the end of a call was last reported."""
    paused: bool
    """Whether staff have paused all dialing."""
    paused_since: datetime | None
    """Since when; None if they have not, or another program did."""
    unreached_since: datetime | None
    """Since when the provider does not reach our own address; None if it does."""


@frozen(kw_only=True)
class DaemonReport:
    """What the running daemon reports about itself."""

    version: str
    started_at: datetime
    provider: str
    parts: Mapping[str, str | None]
    """Each part that its process runs, with its error, or None."""
    last_poll: datetime | None
    """When it last looked for due rows; None if its process has no poll loop."""
    last_webhook: datetime | None
    """When the last webhook came; None if none came since its start."""
    database_id: str | None
    """The id of its database; None if it can't read the database."""


@frozen(kw_only=True)
class StatusReport:
    """Everything that is watched, at one moment: staff see it as the status."""

    at: datetime
    daemon: DaemonReport | str
    """Its report, or why it could not be asked."""
    glance: Glance
    pauses: Sequence[Sentence]
    """Each reason in the database for which no calls are placed."""
    uncallable: Mapping[str, int]
    """How many waiting reminders can't be called, by reason."""
    last_import: ImportRecord | None
    refused: Sequence[ImportRecord]
    """The files whose rows were not imported, see `refused_files`."""
    missing_file: datetime | None
    """The time by which a file should have come to the folder; None if no file is missing."""
    daemons: Sequence[Daemon]
    """All alive daemons on this database, on any machine."""
    backlog: Backlog | None
    """The changes of outcomes that are not sent yet; None if changes are not sent."""
    free_bytes: int | None
    """Free space on the database's disk; None if the database is on a server, whose disk we can't see."""
    backup: timedelta | str | None
    """The age of the newest backup, or why there is none; None if no backups are wanted."""

    @property
    def warnings(self) -> list[Sentence]:
        """Return a sentence for everything that works, but should be changed."""
        return differences(self.daemons)


def refused_files(records: Sequence[ImportRecord]) -> list[ImportRecord]:
    """Return the files of the last day, oldest first, that were refused or have failed, and were not replaced since.

    A person who imports a file sees the result at once, so such a file counts only if it is the newest import of all.
    Nobody watches the folder, so each of its files counts until a file with its name comes, or a file of its profile is
    imported.
    """
    return [
        record
        for place, record in enumerate(records)
        if record.status in {ImportStatus.REFUSED, ImportStatus.FAILED}
        and (record.actor == FOLDER or place == len(records) - 1)
        and not any(_replaces(later, record) for later in records[place + 1 :])
    ]


def _replaces(later: ImportRecord, record: ImportRecord) -> bool:
    is_of_its_kind = record.profile is not None and later.profile == record.profile
    return later.file == record.file or (is_of_its_kind and later.status is ImportStatus.DONE)


def verdict(report: StatusReport) -> Sentence:
    """Return whether all is well, for people: OK, or an ERROR that somebody must fix."""
    found = errors(report)
    if found:
        return Sentence("ERROR: %(errors)s", {"errors": found})
    concerns = [*report.pauses, *report.warnings]
    return Sentence("OK, but %(concerns)s", {"concerns": concerns}) if concerns else Sentence("OK: all is well")


def errors(report: StatusReport) -> list[Sentence]:
    """Return a sentence for each error that somebody must fix; empty if all is well."""
    return [*_of_the_parts(report), *_of_the_work(report.glance, report.at), *_of_the_rest(report)]


def _of_the_parts(report: StatusReport) -> Iterator[Sentence]:
    if isinstance(report.daemon, str):
        yield Sentence("%(error)s", {"error": report.daemon})
    else:
        for part, error in report.daemon.parts.items():
            if part != ADDRESS and error is not None:
                yield Sentence("%(part)s: %(error)s", {"part": Sentence(part), "error": part_error(error)})
    if report.glance.unreached_since is not None:
        paused = Sentence("dialing is paused: %(reason)s", {"reason": Sentence(UNREACHED)})
        yield Sentence("%(part)s: %(error)s", {"part": Sentence(ADDRESS), "error": paused})


def _of_the_work(glance: Glance, at: datetime) -> Iterator[Sentence]:
    if glance.stuck:
        yield Sentence(
            "1 call is stuck: placed, and not checked",
            {"count": glance.stuck},
            "%(count)s calls are stuck: placed, and not checked",
        )
    is_paused = glance.paused or glance.unreached_since is not None
    if glance.due_since is not None and at - glance.due_since > LATE_AFTER and not is_paused:
        yield Sentence(
            "1 reminder is not dialed in time, the oldest has waited for %(minutes)s minutes",
            {"count": glance.due, "minutes": (at - glance.due_since) // timedelta(minutes=1)},
            "%(count)s reminders are not dialed in time, the oldest has waited for %(minutes)s minutes",
        )


_PAUSED: Final = "dialing is paused: "


def part_error(error: str) -> Sentence | str:
    """Return the error of a part, with our own words apart from the provider's reason, for translation."""
    if not error.startswith(_PAUSED):
        return error
    return Sentence("dialing is paused: %(reason)s", {"reason": error.removeprefix(_PAUSED)})


def _of_the_rest(report: StatusReport) -> Iterator[Sentence]:
    uncallable, paused_since = sum(report.uncallable.values()), report.glance.paused_since
    if uncallable:
        yield Sentence(
            "1 waiting reminder can't be called: correct them before they are due",
            {"count": uncallable},
            "%(count)s waiting reminders can't be called: correct them before they are due",
        )
    if paused_since is not None and report.at - paused_since > LONG_PAUSE:
        hours = (report.at - paused_since) // timedelta(hours=1)
        yield Sentence("staff have paused all dialing for %(hours)s hours; reminderd resume ends it", {"hours": hours})
    if report.free_bytes is not None and report.free_bytes < DISK_FULL_SOON:
        yield Sentence("the disk is nearly full: %(megabytes)s MB free", {"megabytes": report.free_bytes // 1_000_000})
    if isinstance(report.backup, str):
        yield Sentence("%(error)s", {"error": report.backup})
    elif report.backup is not None and report.backup > BACKUP_LATE:
        yield Sentence("the newest backup is %(hours)s hours old", {"hours": report.backup // timedelta(hours=1)})
    late = undelivered_warning(report.backlog, report.at)
    if late is not None:
        yield late
    if report.missing_file is not None:
        yield Sentence(_MISSING, {"moment": report.missing_file})
    for record in report.refused:
        yield Sentence("a file was not imported, import it again: %(file)s", {"file": file_with_result(record)})


_MISSING: Final = "no file has arrived in [import].folder: one was expected by %(moment)s"


def missing_file_error(missing: datetime, zone: ZoneInfo) -> str:
    """Return the error if a file has not come by this moment."""
    return text_of(Sentence(_MISSING, {"moment": missing.astimezone(zone)}), lambda moment: f"{moment:%Y-%m-%d %H:%M}")


LAST_DAY: Final = timedelta(days=1)
"""Final reminders and ended calls are counted if the reminder's time is within this span."""

CALL_WORDS: Final = tuple(CallState)
"""The states by which calls are counted."""


@frozen(kw_only=True)
class Counts:
    """The database at one moment, in numbers."""

    waiting: Mapping[Status, int]
    """Reminders that are not final, whatever their time."""
    ended: Mapping[Status, int]
    """Final reminders of the last day."""
    calls: Mapping[str, int]
    """Calls for reminders of the last day, by `CALL_WORDS`."""
    outcomes: Mapping[CallOutcome, int]
    """The same calls, by their outcome for the patient."""
    need_human: Mapping[Outcome, int]
    """Reminders of the last day that somebody must act on, and all that wait for staff to accept a number."""
    due: int
    """Reminders that wait for a call and are due."""
    due_since: datetime | None
    """Since when the oldest of them is due; None if none is due."""
    unattended_since: datetime | None
    """The oldest time at which a call should have been checked; None if no check is late."""
    paused: bool
    """Whether staff have paused all dialing."""


def lateness(reminder: Reminder, call: Call, *, is_first: bool, rules: Rules, now: datetime) -> timedelta | None:
    """Return how late a reminder is called, from its time within the calling hours; None if it is not the first call.

    A reminder that was added after its time is due when it is added.
    """
    if not is_first or call.requests != 1:
        return None
    due = max(reminder.scheduled_at, reminder.created_at or reminder.scheduled_at)
    opens = next_open(reminder, due, rules)
    return None if opens is None else max(now - opens, timedelta(0))
