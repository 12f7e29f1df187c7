"""Decide which daemons on one database are alive, how they differ, and which one has each job."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from attrs import evolve, frozen

from reminderd.core.sentences import Sentence

LEASE: Final = timedelta(seconds=30)
"""How long a daemon counts as alive, and keeps its jobs, after it was last seen."""

FORGOTTEN_AFTER: Final = timedelta(days=7)
"""A row that a killed daemon has left is deleted after this time."""


class Job(StrEnum):
    """A job that one daemon does for all daemons, so that it is not done several times."""

    ALERTS = "alerts"
    RETENTION = "retention"
    """Delete old data, once a day."""
    RESULTS_WEBHOOK = "results_webhook"
    RESULTS_FOLDER = "results_folder"

    @property
    def sentence(self) -> Sentence:
        """Return its name for people."""
        return _NAMES[self]


_NAMES: Final = {
    Job.ALERTS: Sentence("alerts"),
    Job.RETENTION: Sentence("deleting old data"),
    Job.RESULTS_WEBHOOK: Sentence("results by webhook"),
    Job.RESULTS_FOLDER: Sentence("results in files"),
}


@frozen(kw_only=True)
class Daemon:
    """One daemon, as its last record shows it."""

    id: str
    """New at each start."""
    host: str
    pid: int
    process: str
    """Distinguishes its process from other processes that had this pid on this machine; empty if unknown."""
    part: str | None
    """`dial` or `web`, if it does only one of these; None if both."""
    version: str
    rules_digest: str
    """The digest of everything in its configuration that decides about calls."""
    started_at: datetime
    seen_at: datetime
    jobs: frozenset[Job] = frozenset()
    """The jobs that it does for all daemons, until `jobs_until`."""
    jobs_until: datetime

    @property
    def place(self) -> str:
        """Return where it runs, for people."""
        return f"{self.host} (pid {self.pid})"

    def is_alive(self, now: datetime) -> bool:
        """Return whether it was seen within the lease, by the database's clock, which may have been set back since."""
        return abs(now - self.seen_at) <= LEASE

    def has_job(self, job: Job, now: datetime) -> bool:
        """Return whether it has a job now; a record made while the clock was ahead does not count."""
        return job in self.jobs and now < self.jobs_until <= now + LEASE


def renewed_record(daemon: Daemon, others: Iterable[Daemon], *, wanted: Iterable[Job], now: datetime) -> Daemon:
    """Return a daemon's record for now, with each job that it wants and no other daemon has."""
    known = list(others)
    jobs = frozenset(job for job in wanted if not any(other.has_job(job, now) for other in known))
    return evolve(daemon, seen_at=now, jobs=jobs, jobs_until=now + LEASE)


def alive(daemons: Iterable[Daemon], now: datetime) -> list[Daemon]:
    """Return the daemons that are alive, oldest first."""
    return sorted((one for one in daemons if one.is_alive(now)), key=lambda one: (one.started_at, one.id))


def is_forgotten(daemon: Daemon, now: datetime) -> bool:
    """Return whether a daemon was not seen for so long that its row can be deleted."""
    return now - daemon.seen_at > FORGOTTEN_AFTER


def differences(alive: Sequence[Daemon]) -> list[Sentence]:
    """Return a warning, with what to do, for each difference between alive daemons that must not be."""
    versions = sorted({one.version for one in alive})
    if len(versions) > 1:
        each = [
            Sentence("%(version)s on %(places)s", {"version": version, "places": _places(alive, version=version)})
            for version in versions
        ]
        return [
            Sentence(
                "the daemons run different versions: %(versions)s; install the same version on all machines, and"
                " restart the daemons",
                {"versions": each},
                between=", ",
            )
        ]
    # Another version may have other settings, so only daemons of the same version are compared.
    if len({one.rules_digest for one in alive}) > 1:
        return [
            Sentence(
                "the daemons have different configurations, so calls depend on which one places them: %(places)s;"
                " use the same configuration on all machines, and reload the daemons",
                {"places": _places(alive)},
            )
        ]
    return []


def _places(alive: Sequence[Daemon], *, version: str | None = None) -> str:
    return ", ".join(one.place for one in alive if version in {None, one.version})
