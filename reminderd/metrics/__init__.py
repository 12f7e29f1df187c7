"""What Prometheus is told: instruments that the rooms turn, and the numbers of one moment, in its text format."""

from reminderd.metrics.instruments import Instruments
from reminderd.metrics.moment import Moment
from reminderd.metrics.page import CONTENT_TYPE, page

__all__ = ["CONTENT_TYPE", "Instruments", "Moment", "page"]
