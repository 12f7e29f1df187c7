"""Show Prometheus the counters of this process, and the current numbers at the moment of a scrape.

Counters start at zero with each process, as Prometheus expects. Labels are from fixed lists: so they contain nothing
from a patient or a provider, and their number is limited.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from attrs import frozen
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from reminderd.core.answers import Accepted, AccountRefused, NotPlaced, PlacingAnswer, Refused, Unclear
from reminderd.core.changes import Backlog
from reminderd.core.daemons import Daemon, Job, differences
from reminderd.core.model import CallOutcome, Status
from reminderd.core.monitoring import CALL_WORDS, Counts
from reminderd.core.outcomes import NEED_A_HUMAN
from reminderd.instruments import Instruments

_ANSWERS: Final[Mapping[type, str]] = {
    Accepted: "accepted",
    NotPlaced: "not_placed",
    Refused: "refused",
    AccountRefused: "account",
    Unclear: "unclear",
}
"""The label of each class of a provider's answers."""

_WEBHOOK_CODES: Final = (200, 204, 400, 401, 403, 404, 408, 413, 415, 500, 503)
"""The HTTP codes that webhooks are answered with; any other code is counted as `other`."""

_LATENESS: Final = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400)
_REQUEST: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60)
_BATCH: Final = (1, 2, 4, 8, 16, 32, 64)

_WAITING: Final = tuple(status for status in Status if not status.final)
_ENDED: Final = tuple(status for status in Status if status.final)

# Without this, each counter has a second series: the time at which this process began to count.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has forgotten its "-> None"


class PrometheusInstruments(Instruments):
    """Counts webhooks, requests, lateness, transactions and recovered leases, in its own registry."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._webhooks = Counter(
            "reminderd_webhooks",
            "Webhooks by the HTTP code of our answer.",
            ["code"],
            registry=self.registry,
        )
        self._requests = Histogram(
            "reminderd_provider_request_seconds",
            "Seconds that the provider took for a request to place a call, by what its answer means.",
            ["answer"],
            buckets=_REQUEST,
            registry=self.registry,
        )
        self._lateness = Histogram(
            "reminderd_lateness_seconds",
            "Seconds from the moment a reminder is due, within the calling hours, to its first request.",
            buckets=_LATENESS,
            registry=self.registry,
        )
        self._batches = Histogram(
            "reminderd_writer_batch_size",
            "Writes that shared one transaction and its fsync.",
            buckets=_BATCH,
            registry=self.registry,
        )
        self._recoveries = Counter(
            "reminderd_lease_recoveries",
            "Leases that ran out in the middle of a request, as after a crash.",
            registry=self.registry,
        )
        for code in (*_WEBHOOK_CODES, "other"):
            self._webhooks.labels(code)
        for answer in _ANSWERS.values():
            self._requests.labels(answer)

    def webhook(self, code: int, now: datetime) -> None:
        """Count a webhook that was answered with this HTTP code."""
        super().webhook(code, now)
        self._webhooks.labels(code if code in _WEBHOOK_CODES else "other").inc()

    def request(self, answer: PlacingAnswer, seconds: float) -> None:
        """Record how long the provider took to answer a request to place a call."""
        self._requests.labels(_ANSWERS[type(answer)]).observe(seconds)

    def lateness(self, late: timedelta) -> None:
        """Record how late a reminder is dialed for the first time."""
        self._lateness.observe(late.total_seconds())

    def batch(self, writes: int) -> None:
        """Record how many writes one transaction of the writer contained."""
        self._batches.observe(writes)

    def recovery(self) -> None:
        """Count a lease that ended during a request."""
        self._recoveries.inc()

    def series(self) -> bytes:
        """Return all counts in Prometheus' text format."""
        return generate_latest(self.registry)


@frozen(kw_only=True)
class Moment(Collector):
    """The numbers at one moment; an unknown number gives no series."""

    now: datetime
    started_at: datetime
    """When this process began to run."""
    build: Mapping[str, str]
    """Labels that describe what runs: version, provider …"""
    parts: Mapping[str, str | None]
    """Each part that this process runs, with its error; None if the part works."""
    paused: Mapping[str, bool]
    """Whether dialing is paused, by each cause except staff, whose pause is in `counts`."""
    queued_writes: int
    last_poll: datetime | None
    """None if this process has no poll loop."""
    last_webhook: datetime | None
    counts: Counts | None
    """None if the database can't be read."""
    backlog: Backlog | None = None
    """None if no changes are sent, or if the database can't be read."""
    daemons: Sequence[Daemon] | None = None
    """All alive daemons on the database; None if it can't be read."""
    jobs: frozenset[Job] = frozenset()
    """The jobs that this process does for all of them."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield every series, as the client library asks for them."""
        build = GaugeMetricFamily("reminderd_build_info", "What runs, in its labels; always 1.", labels=[*self.build])
        build.add_metric([*self.build.values()], 1)
        yield build
        yield _one("start_time_seconds", "When this process began to run.", self.started_at.timestamp())
        yield _by(
            "part",
            "part_ready",
            "Whether a part of this process works, as /health/ready says.",
            {part.replace(" ", "_"): error is None for part, error in self.parts.items()},
        )
        yield _one("writer_queue", "Writes that wait for the writer.", self.queued_writes)
        if self.last_poll is not None:
            meaning = "The poll loop's last heartbeat."
            yield _one("last_poll_timestamp_seconds", meaning, self.last_poll.timestamp())
        if self.last_webhook is not None:
            meaning = "When a webhook was last recorded."
            yield _one("last_webhook_timestamp_seconds", meaning, self.last_webhook.timestamp())
        paused: dict[str, float] = {**self.paused}
        if self.counts is not None:
            paused["staff"] = self.counts.paused
            yield from _counted(self.counts, self.now)
        if self.backlog is not None:
            yield _one("results_waiting", "Changes that [results].url has not received yet.", self.backlog.waiting)
            oldest = _age(self.backlog.oldest, self.now)
            yield _one("results_oldest_seconds", "For how long the oldest of them waits.", oldest)
        if self.daemons is not None:
            yield _one("daemons", "Daemons on this database that are alive.", len(self.daemons))
            yield _one(
                "daemons_differ", "Whether their versions or configurations differ.", bool(differences(self.daemons))
            )
        does: dict[str, float] = {str(job): float(job in self.jobs) for job in Job}
        yield _by("job", "does_for_all", "Whether this process does the job for all daemons.", does)
        yield _by("by", "paused", "Whether dialing is paused, and by whom.", paused)


def metrics_page(instruments: Instruments, moment: Moment) -> bytes:
    """Return all series in Prometheus' text format."""
    return instruments.series() + generate_latest(moment)


def _counted(counts: Counts, now: datetime) -> Iterator[GaugeMetricFamily]:
    yield _by(
        "status",
        "reminders_waiting",
        "Reminders that are not final, by status.",
        {status: counts.waiting.get(status, 0) for status in _WAITING},
    )
    yield _by(
        "status",
        "reminders_last_day",
        "Final reminders whose time was in the last 24 hours, by status.",
        {status: counts.ended.get(status, 0) for status in _ENDED},
    )
    yield _by(
        "state",
        "calls_last_day",
        "Calls for reminders whose time was in the last 24 hours, by what we have concluded of them.",
        {word: counts.calls.get(word, 0) for word in CALL_WORDS},
    )
    yield _by(
        "outcome",
        "call_outcomes_last_day",
        "Calls for reminders whose time was in the last 24 hours, by how they have ended for the patient.",
        {word: counts.outcomes.get(word, 0) for word in CallOutcome},
    )
    yield _by(
        "outcome",
        "reminders_need_human",
        "Reminders of the last 24 hours, and all whose number was changed, that somebody must act on, by outcome.",
        {outcome.replace(" ", "_"): counts.need_human.get(outcome, 0) for outcome in sorted(NEED_A_HUMAN)},
    )
    yield _one("reminders_due", "Reminders that wait for a call and are due.", counts.due)
    yield _one("oldest_due_seconds", "For how long the oldest of them waits.", _age(counts.due_since, now))
    yield _one(
        "oldest_unattended_seconds",
        "For how long an alive call that is due has not been checked.",
        _age(counts.unattended_since, now),
    )


def _age(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max((now - since).total_seconds(), 0.0)


def _one(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"reminderd_{name}", meaning, value=value)


def _by(label: str, name: str, meaning: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"reminderd_{name}", meaning, labels=[label])
    for word, value in values.items():
        family.add_metric([word], value)
    return family
