"""Read and write the rows of `daemons`, one for each daemon that runs on this database."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Final

from attrs import asdict, frozen

from reminderd.core.daemons import Daemon, Job, alive, is_forgotten, renewed_record
from reminderd.store.connection import Connection, Row
from reminderd.store.rows import attribute_names, codes_by_text, from_ms, in_list, read_as, to_ms

_NAMES: Final = attribute_names(Daemon)
_ALL: Final = f"SELECT {', '.join(_NAMES)} FROM daemons ORDER BY started_at, id"
_CHANGING: Final = ("rules_digest", "seen_at", "jobs", "jobs_until")
_PUT: Final = f"""
INSERT INTO daemons ({", ".join(_NAMES)}) VALUES ({", ".join(f":{name}" for name in _NAMES)})
ON CONFLICT (id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _CHANGING)}
"""
_BETWEEN: Final = ","
_JOBS: Final = codes_by_text(Job)


@frozen(kw_only=True)
class Seen:
    """What a daemon has recorded, and which daemons it has seen."""

    own: Daemon
    alive: tuple[Daemon, ...]
    """All alive daemons, including itself, the oldest first."""


def all_daemons(connection: Connection) -> list[Daemon]:
    """Return all daemons that have not deleted their row, alive or not, the oldest first."""
    return [_read(row) for row in connection.execute(_ALL).fetchall()]


def alive_daemons(connection: Connection, now: datetime) -> list[Daemon]:
    """Return the daemons that are alive, the oldest first; a server's own time replaces `now`."""
    return alive(all_daemons(connection), connection.server_time() or now)


def record_alive(
    connection: Connection, now: datetime, *, daemon: Daemon, wanted: Iterable[Job], ended: Collection[str] = ()
) -> Seen:
    """Record that a daemon is alive, and give it the wanted jobs that no other one has.

    `daemon` is its last recorded or first state. The rows of daemons that have certainly `ended` are deleted.
    """
    found = [one for one in all_daemons(connection) if one.id != daemon.id]
    _delete(connection, [one.id for one in found if one.id in ended or is_forgotten(one, now)])
    others = [one for one in found if one.id not in ended]
    own = renewed_record(daemon, others, wanted=wanted, now=now)
    connection.execute(_PUT, _written(own))
    return Seen(own=own, alive=tuple(alive([*others, own], now)))


def delete_daemon(connection: Connection, _now: datetime, *, daemon_id: str) -> None:
    """Delete the row of a daemon that stops, so that others can take its jobs."""
    _delete(connection, [daemon_id])


def _delete(connection: Connection, ids: Collection[str]) -> None:
    if ids:
        listed, parameters = in_list("id", ids)
        connection.execute(f"DELETE FROM daemons WHERE id IN {listed}", parameters)


def _read(row: Row) -> Daemon:
    return read_as(Daemon, row, started_at=from_ms, seen_at=from_ms, jobs=_jobs_in, jobs_until=from_ms)


def _jobs_in(text: str) -> frozenset[Job]:
    return frozenset(_JOBS[code] for code in text.split(_BETWEEN) if code in _JOBS)  # a newer version may have others


def _written(daemon: Daemon) -> dict[str, str | int | None]:
    moments = {name: to_ms(getattr(daemon, name)) for name in ("started_at", "seen_at", "jobs_until")}
    return asdict(daemon) | moments | {"jobs": _BETWEEN.join(sorted(daemon.jobs))}
