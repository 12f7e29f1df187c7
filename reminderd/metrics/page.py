"""The page that Prometheus reads."""

from typing import Final

from prometheus_client import generate_latest

from reminderd.metrics.instruments import Instruments
from reminderd.metrics.moment import Moment

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The format that every Prometheus reads; none of our names needs the newer one."""


def page(instruments: Instruments, moment: Moment) -> bytes:
    """All series in Prometheus' text format."""
    return generate_latest(instruments.registry) + generate_latest(moment)
