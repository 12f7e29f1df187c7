"""The page that Prometheus reads."""

from typing import Final

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from reminderd.metrics.instruments import Instruments
from reminderd.metrics.moment import Moment

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4


def page(instruments: Instruments, moment: Moment) -> bytes:
    """All series in Prometheus' text format."""
    return generate_latest(instruments.registry) + generate_latest(moment)
