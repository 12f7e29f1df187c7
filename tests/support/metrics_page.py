"""Reading a page of metrics, and a page with every value."""

from datetime import timedelta

from prometheus_client.parser import text_string_to_metric_families

from reminderd.core.changes import Backlog
from reminderd.core.daemons import Job
from reminderd.core.model import CallOutcome, Status
from reminderd.core.monitoring import Counts
from reminderd.core.outcomes import Outcome
from reminderd.metrics import Moment, PrometheusInstruments, metrics_page
from tests.support.builders import NOW, a_daemon

Sample = tuple[str, frozenset[tuple[str, str]]]
"""A series: its name, and its labels with their values."""


def series_in(text: str) -> dict[Sample, float]:
    """Return every series of a page."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(text: str, name: str, **labels: str) -> float:
    """Return the value of one series of a page."""
    return series_in(text)[name, frozenset(labels.items())]


def counts(**changes: object) -> Counts:
    """Return counts in which every field is set."""
    given: dict[str, object] = {
        "waiting": {Status.SCHEDULED: 3, Status.DIALING: 1},
        "ended": {Status.CALLED: 5, Status.FAILED: 2},
        "calls": {"ended": 5, "placed": 4},
        "outcomes": {CallOutcome.HEARD: 3, CallOutcome.HUNG_UP: 2},
        "need_human": {Outcome.NOT_REACHED: 2},
        "due": 2,
        "due_since": NOW - timedelta(seconds=90),
        "unattended_since": None,
        "paused": False,
    }
    return Counts(**{**given, **changes})  # type: ignore[arg-type]  # a builder passes any field on


def moment(**changes: object) -> Moment:
    """Return a moment in which every field is set."""
    given: dict[str, object] = {
        "now": NOW,
        "started_at": NOW - timedelta(days=1),
        "build": {"version": "1.2.3", "python": "3.11.2", "sqlite": "3.53.4", "provider": "generic"},
        "parts": {
            "database": None,
            "poll loop": None,
            "provider": "dialing is paused: 503",
            "public address": None,
        },
        "paused": {"provider": True, "address": False},
        "queued_writes": 7,
        "last_poll": NOW - timedelta(seconds=1),
        "last_webhook": NOW - timedelta(minutes=1),
        "counts": counts(),
        "backlog": Backlog(waiting=1, oldest=NOW - timedelta(minutes=2), error=None),
        "daemons": [a_daemon("a"), a_daemon("b", version="1.3.0")],
        "jobs": frozenset({Job.ALERTS}),
    }
    return Moment(**{**given, **changes})  # type: ignore[arg-type]  # the same


def full_page() -> str:
    """Return a page with every series."""
    return metrics_page(PrometheusInstruments(), moment()).decode()
