"""The numbers of one moment, as they are when Prometheus asks."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from attrs import frozen
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from reminderd.core.health import CALL_WORDS, Counts
from reminderd.core.model import CallOutcome, Status
from reminderd.core.outcomes import NEED_A_HUMAN

WAITING = tuple(status for status in Status if not status.final)
ENDED = tuple(status for status in Status if status.final)


@frozen(kw_only=True)
class Moment(Collector):
    """What is so now; what is not known gives no series."""

    now: datetime
    started_at: datetime
    """When this process began to run."""
    build: Mapping[str, str]
    """Labels that say what runs: version, provider …"""
    parts: Mapping[str, str | None]
    """Each part that this process runs, with what is wrong with it."""
    paused: Mapping[str, bool]
    """Whether dialing is paused, by whom or what; staff's pause is one of the `counts`."""
    queued_writes: int
    last_poll: datetime | None
    """None: this process has no poll loop."""
    last_webhook: datetime | None
    counts: Counts | None
    """None: the database can't be read."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Every series, as the client library asks for them."""
        build = GaugeMetricFamily("reminderd_build_info", "What runs, in its labels; always 1.", labels=[*self.build])
        build.add_metric([*self.build.values()], 1)
        yield build
        yield _one("start_time_seconds", "When this process began to run.", self.started_at.timestamp())
        yield _by(
            "part",
            "part_ready",
            "Whether a part of this process works, as /health/ready says.",
            {part.replace(" ", "_"): trouble is None for part, trouble in self.parts.items()},
        )
        yield _one("writer_queue", "Writes that wait for the writer.", self.queued_writes)
        if self.last_poll is not None:
            yield _when("last_poll", "The poll loop's last heartbeat.", self.last_poll)
        if self.last_webhook is not None:
            yield _when("last_webhook", "When a webhook was last recorded.", self.last_webhook)
        paused: dict[str, float] = {**self.paused}
        if self.counts is not None:
            paused["staff"] = self.counts.paused
            yield from _counted(self.counts, self.now)
        yield _by("by", "paused", "Whether dialing is paused, and by whom.", paused)


def _counted(counts: Counts, now: datetime) -> Iterator[GaugeMetricFamily]:
    yield _by(
        "status",
        "reminders_waiting",
        "Reminders that are not final, by status.",
        {status: counts.waiting.get(status, 0) for status in WAITING},
    )
    yield _by(
        "status",
        "reminders_last_day",
        "Final reminders whose time was in the last 24 hours, by status.",
        {status: counts.ended.get(status, 0) for status in ENDED},
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


def _when(what: str, meaning: str, moment: datetime) -> GaugeMetricFamily:
    return _one(f"{what}_timestamp_seconds", meaning, moment.timestamp())


def _by(label: str, name: str, meaning: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"reminderd_{name}", meaning, labels=[label])
    for word, value in values.items():
        family.add_metric([word], value)
    return family
