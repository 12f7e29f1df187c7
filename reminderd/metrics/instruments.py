"""What is counted while it happens: webhooks, requests, lateness, transactions, leases that ran out.

They start at zero with each process, as Prometheus expects. Their labels come from lists of ours only: no label can
carry what a patient or a provider has said, or grow without end.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics

from reminderd.core.answers import Accepted, AccountTrouble, Answer, NotPlaced, Refused, Unclear

ANSWERS: Final[Mapping[type, str]] = {
    Accepted: "accepted",
    NotPlaced: "not_placed",
    Refused: "refused",
    AccountTrouble: "account",
    Unclear: "unclear",
}
"""The label of each class of a provider's answers."""

WEBHOOK_CODES: Final = (200, 204, 400, 401, 403, 404, 408, 413, 415, 500, 503)
"""What webhooks are answered with; another code, should there ever be one, is `other`."""

_LATENESS: Final = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400)
_REQUEST: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60)
_BATCH: Final = (1, 2, 4, 8, 16, 32, 64)

# Else a second series stands beside each, of the time at which this process began to count.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has forgotten its "-> None"


class Instruments:
    """Everything that this process counts, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.last_webhook: datetime | None = None
        """When a webhook was last recorded; None: none since the start."""
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
        for code in (*WEBHOOK_CODES, "other"):
            self._webhooks.labels(code)
        for answer in ANSWERS.values():
            self._requests.labels(answer)

    def webhook(self, code: int, now: datetime) -> None:
        """A webhook was answered with this HTTP code."""
        self._webhooks.labels(code if code in WEBHOOK_CODES else "other").inc()
        if code in {200, 204}:
            self.last_webhook = now

    def request(self, answer: Answer, seconds: float) -> None:
        """The provider answered a request to place a call."""
        self._requests.labels(ANSWERS[type(answer)]).observe(seconds)

    def lateness(self, late: timedelta) -> None:
        """A reminder is dialled for the first time."""
        self._lateness.observe(late.total_seconds())

    def batch(self, writes: int) -> None:
        """A transaction of the writer is over."""
        self._batches.observe(writes)

    def recovery(self) -> None:
        """A lease had run out in the middle of a request."""
        self._recoveries.inc()
