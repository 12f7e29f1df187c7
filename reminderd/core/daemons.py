"""Several daemons on one database: which are alive, how they differ, and which does what only one of them may do."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from attrs import evolve, frozen

from reminderd.core.sentences import Part, Sentence

LEASE: Final = timedelta(seconds=30)
"""For so long a daemon counts as alive after it was last seen, and keeps its jobs."""

FORGOTTEN_AFTER: Final = timedelta(days=7)
"""A row that a killed daemon has left is deleted after this time."""


class Job(StrEnum):
    """What one daemon does for all of them, as it would else be done several times."""

    ALERTS = "alerts"
    RETENTION = "retention"
    """Delete what is old, once a day."""
    RESULTS_WEBHOOK = "results_webhook"
    RESULTS_FOLDER = "results_folder"

    @property
    def sentence(self) -> Sentence:
        """Return its name for people."""
        return _NAMES[self]


_NAMES: Final = {
    Job.ALERTS: Sentence("alerts"),
    Job.RETENTION: Sentence("deleting what is old"),
    Job.RESULTS_WEBHOOK: Sentence("results by webhook"),
    Job.RESULTS_FOLDER: Sentence("results in files"),
}


@frozen(kw_only=True)
class Daemon:
    """One daemon, as it has last recorded itself."""

    id: str
    """New at each start."""
    host: str
    pid: int
    process: str
    """Distinguishes its process from all others with this pid on this machine; empty: nothing does."""
    part: str | None
    """`dial` or `web`, if it does only one of them."""
    version: str
    rules_digest: str
    """Of everything in its configuration that decides about calls."""
    started_at: datetime
    seen_at: datetime
    jobs: frozenset[Job] = frozenset()
    """What it does for all of them, until `jobs_until`."""
    jobs_until: datetime

    @property
    def place(self) -> str:
        """Return where it runs, for people."""
        return f"{self.host} (pid {self.pid})"

    def is_alive(self, now: datetime) -> bool:
        """Return whether it was seen lately, by the database's clock, which may have been set back since."""
        return abs(now - self.seen_at) <= LEASE

    def has(self, job: Job, now: datetime) -> bool:
        """Return whether a job is its own now; what was recorded by a clock that was ahead does not count."""
        return job in self.jobs and now < self.jobs_until <= now + LEASE


def seen(daemon: Daemon, others: Iterable[Daemon], *, wanted: Iterable[Job], now: datetime) -> Daemon:
    """Return a daemon as it is to be recorded now: with each job that it can do and no other one has.

    Args:
        daemon: as it was last recorded, or as it begins.
        others: all others on the database.
        wanted: the jobs that its configuration lets it do.
        now: the time of the transaction.
    """
    known = list(others)
    jobs = frozenset(job for job in wanted if not any(other.has(job, now) for other in known))
    return evolve(daemon, seen_at=now, jobs=jobs, jobs_until=now + LEASE)


def alive(daemons: Iterable[Daemon], now: datetime) -> list[Daemon]:
    """Return those that are alive, the oldest first."""
    return sorted((one for one in daemons if one.is_alive(now)), key=lambda one: (one.started_at, one.id))


def is_forgotten(daemon: Daemon, now: datetime) -> bool:
    """Return whether a daemon was not seen for so long that its row says nothing anymore."""
    return now - daemon.seen_at > FORGOTTEN_AFTER


def differences(alive: Sequence[Daemon]) -> list[Sentence]:
    """Return a warning for each way in which daemons that are alive differ and must not; it says what to do."""
    versions = sorted({one.version for one in alive})
    if len(versions) > 1:
        of_each: list[Sentence] = [
            Sentence("%(version)s on %(places)s", {"version": version, "places": _places(alive, version=version)})
            for version in versions
        ]
        values: dict[str, Part] = {"versions": of_each}
        return [
            Sentence(
                "the daemons run different versions: %(versions)s; install the same on all machines, and restart them",
                values,
                between=", ",
            )
        ]
    # Another version may have other settings, so only equals are compared.
    if len({one.rules_digest for one in alive}) > 1:
        return [
            Sentence(
                "the daemons have different configurations, so calls depend on which one places them: %(places)s;"
                " make the configurations alike, and reload them",
                {"places": _places(alive)},
            )
        ]
    return []


def _places(alive: Sequence[Daemon], *, version: str | None = None) -> str:
    return ", ".join(one.place for one in alive if version in {None, one.version})
