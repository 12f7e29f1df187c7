"""Record the outcome of each imported file, in one row of `imports`."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from attrs import asdict

from reminderd.core.imports import FOLDER, ImportedSnapshot, ImportRecord, ImportStatus, SnapshotMark
from reminderd.core.masking import mask_numbers
from reminderd.core.rules import ExpectedFile
from reminderd.core.upsert import Intake
from reminderd.store.connection import Connection, Row
from reminderd.store.rows import from_ms, to_ms
from reminderd.store.shared_state import put_moment, put_setting, setting

_COUNTS: Final[Mapping[Intake, str]] = {
    Intake.ADDED: "added",
    Intake.CHANGED: "changed",
    Intake.HELD: "held",
    Intake.UNCHANGED: "unchanged",
    Intake.CANCELLED: "cancelled",
    Intake.NOT_NEEDED: "not_needed",
}
"""The column of each count."""

_COLUMNS: Final = f"id, at, finished_at, file, profile, actor, status, {', '.join(_COUNTS.values())}, rejected, reason"
_BEGIN: Final = """
INSERT INTO imports (at, file, profile, actor, digest, dated_at)
VALUES (:now, :file, :profile, :actor, :digest, :dated_at) RETURNING id
"""
_END: Final = f"""
UPDATE imports SET finished_at = :now, status = :status, rejected = :rejected, reason = :reason,
       {", ".join(f"{column} = :{column}" for column in _COUNTS.values())}
 WHERE id = :id
"""


_HEADERS: Final = "headers_of_"
"""The beginning of a key in `settings`; the name of a profile follows."""
# A row from the future was written while the clock was ahead.
_LAST_FILE: Final = f"""
SELECT max(at) AS at FROM imports
 WHERE actor = :actor AND at <= :now AND (profile = :profile OR CAST(:profile AS TEXT) IS NULL)
   AND (status = 'done' AND (rejected = 0 OR {" + ".join(_COUNTS.values())} > 0)
        OR status = 'running' AND id = (SELECT max(id) FROM imports WHERE actor = :actor))
"""
_LAST_SNAPSHOT: Final = """
SELECT at, digest, dated_at FROM imports
 WHERE profile = :profile AND status = 'done' AND digest = coalesce(:digest, digest) ORDER BY id DESC LIMIT 1
"""
_ALERTED: Final = "file_alerted"


def begin_import(
    connection: Connection,
    now: datetime,
    *,
    file: str,
    profile: str | None,
    actor: str,
    mark: SnapshotMark | None = None,
) -> int:
    """Record that the import of a file begins, and return the id of its row; a snapshot has a mark."""
    dated_at = None if mark is None or mark.dated_at is None else to_ms(mark.dated_at)
    digest = None if mark is None else mark.digest
    values = {"now": to_ms(now), "file": mask_numbers(file), "profile": profile, "actor": actor}
    found = connection.execute(_BEGIN, {**values, "digest": digest, "dated_at": dated_at}).fetchone()
    return int(found["id"])


def snapshots_before(
    connection: Connection, *, profile: str, digest: str
) -> tuple[ImportedSnapshot | None, ImportedSnapshot | None]:
    """Return the last imported snapshot of a profile, and the last one with this digest; each is None if missing."""
    same = connection.execute(_LAST_SNAPSHOT, {"profile": profile, "digest": digest}).fetchone()
    last = connection.execute(_LAST_SNAPSHOT, {"profile": profile, "digest": None}).fetchone()
    return _snapshot(last), _snapshot(same)


def _snapshot(row: Row | None) -> ImportedSnapshot | None:
    if row is None:
        return None
    dated_at = None if row["dated_at"] is None else from_ms(row["dated_at"])
    return ImportedSnapshot(at=from_ms(row["at"]), mark=SnapshotMark(digest=row["digest"], dated_at=dated_at))


def note_headers(connection: Connection, _now: datetime, *, profile: str, headers: Mapping[str, str]) -> None:
    """Record the header of each field in the file of a profile, in the file's order."""
    put_setting(connection, _HEADERS + profile, json.dumps(headers))


def headers_of(connection: Connection, *, profile: str) -> dict[str, str]:
    """Return the header of each field in the last file of a profile; empty if none was imported yet."""
    text = setting(connection, _HEADERS + profile)
    return {} if text is None else {str(field): str(header) for field, header in json.loads(text).items()}


def end_import(
    connection: Connection,
    now: datetime,
    *,
    import_id: int,
    status: ImportStatus,
    done: Mapping[Intake, int],
    rejected: int,
    reason: str | None = None,
) -> None:
    """Record how an import has ended; its `reason` contains nothing about a patient."""
    counts = {column: done.get(intake, 0) for intake, column in _COUNTS.items()}
    ending = {"id": import_id, "now": to_ms(now), "status": status, "rejected": rejected, "reason": reason}
    connection.execute(_END, {**ending, **counts})


def imports_between(connection: Connection, *, since: datetime, until: datetime) -> list[ImportRecord]:
    """Return the imports that began from `since` until before `until`, in their order."""
    sql = f"SELECT {_COLUMNS} FROM imports WHERE at >= :since AND at < :until ORDER BY at, id"
    found = connection.execute(sql, {"since": to_ms(since), "until": to_ms(until)}).fetchall()
    return [_record(row) for row in found]


def last_import(connection: Connection, *, actor: str | None = None) -> ImportRecord | None:
    """Return the newest import, of this actor or of anybody; None if there was none."""
    found = last_imports(connection, limit=1, actor=actor)
    return found[0] if found else None


def last_imports(connection: Connection, *, limit: int, actor: str | None = None) -> list[ImportRecord]:
    """Return the newest imports, of this actor or of anybody, newest first."""
    sql = f"SELECT {_COLUMNS} FROM imports WHERE actor = coalesce(:actor, actor) ORDER BY at DESC, id DESC LIMIT :limit"
    return [_record(row) for row in connection.execute(sql, {"actor": actor, "limit": limit}).fetchall()]


def missing_file(connection: Connection, *, expected: ExpectedFile, now: datetime) -> datetime | None:
    """Return the moment by which a missing file should have come to the folder; None if no file is missing.

    A file counts only if its rows were imported: not if it was refused, if its import did not finish, or if every
    row was rejected.
    """
    values = {"actor": FOLDER, "now": to_ms(now), "profile": expected.profile}
    row = connection.execute(_LAST_FILE, values).fetchone()
    return expected.missing(None if row["at"] is None else from_ms(row["at"]), now)


def file_alert(connection: Connection, *, expected: ExpectedFile, now: datetime) -> datetime | None:
    """Return what `missing_file` returns, if no alert was sent for it yet."""
    missing = missing_file(connection, expected=expected, now=now)
    return None if missing is None or setting(connection, _ALERTED) == str(to_ms(missing)) else missing


def note_file_alert(connection: Connection, _now: datetime, *, missing: datetime) -> None:
    """Record that an alert was sent for a file that has not come."""
    put_moment(connection, _ALERTED, missing)


def _record(row: Row) -> ImportRecord:
    finished_at = row["finished_at"]
    return ImportRecord(
        id=row["id"],
        at=from_ms(row["at"]),
        finished_at=None if finished_at is None else from_ms(finished_at),
        file=row["file"],
        profile=row["profile"],
        actor=row["actor"],
        status=ImportStatus(row["status"]),
        done={intake: row[column] for intake, column in _COUNTS.items() if row[column]},
        rejected=row["rejected"],
        reason=row["reason"],
    )


def import_columns(record: ImportRecord) -> dict[str, object]:
    """Return an import in the form for other programs: by the columns of `imports`."""
    counts = {str(intake).replace(" ", "_"): count for intake, count in record.done.items()}
    return {**asdict(record, filter=lambda attribute, _value: attribute.name != "done"), **counts}
