"""Brings the lines that libraries write with the standard library's logging, and warnings, into our log."""

import logging
from typing import Final

from loguru import logger

from reminderd.logs.cleaning import without_queries

_TALKATIVE: Final = frozenset({"apprise", "httpx", "hypercorn"})
"""These libraries tell at INFO of each message, request and start, of which our own lines tell better."""

_SHARED_LEVELS: Final = frozenset({"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"})
"""Names that mean the same to the standard library and to loguru."""


class InterceptHandler(logging.Handler):
    """Hands a record on to loguru: without query strings, at its own level, the library's name bound as `logger`."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record into our log, whatever the library put into it."""
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - a library's arguments may fail in any way, and must not be shown instead
            message = f"{record.msg} (could not be formatted)"
        cleaned = without_queries(message.strip())
        logger.opt(exception=record.exc_info).bind(logger=record.name).log(_level(record), cleaned)


def route_foreign_lines() -> None:
    """Make our log the only place that the standard library's logging, and warnings, go to.

    Nothing below INFO passes: at DEBUG, HTTP libraries tell of headers, and there are keys in those.
    """
    root = logging.getLogger()
    root.handlers = [InterceptHandler()]
    root.setLevel(logging.INFO)
    for named in root.manager.loggerDict.values():
        if isinstance(named, logging.Logger):
            named.handlers.clear()
            named.propagate = True
    logging.captureWarnings(capture=True)


def _level(record: logging.LogRecord) -> str | int:
    if record.levelno == logging.INFO and record.name.partition(".")[0] in _TALKATIVE:
        return "DEBUG"
    return record.levelname if record.levelname in _SHARED_LEVELS else record.levelno
