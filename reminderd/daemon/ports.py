"""The ports of this process, had before anything else begins, or nothing begins."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from socket import socket

from attrs import frozen

from reminderd.config import Config
from reminderd.web.server import bind


@frozen(kw_only=True)
class Ports:
    """What this process listens on."""

    web: socket | None
    """None: it takes no webhooks."""
    metrics: socket | None
    """None: Prometheus has nothing to ask."""


@contextmanager
def ports(config: Config, *, takes_webhooks: bool) -> Iterator[Ports]:
    """The ports that the configuration wants, closed at the end.

    Raises:
        OSError: one of them can't be had.
    """
    web, metrics = config.web, config.metrics
    with ExitStack() as held:
        yield Ports(
            web=held.enter_context(bind(web.host, web.port)) if takes_webhooks else None,
            metrics=held.enter_context(bind(metrics.host, metrics.port)) if metrics.port else None,
        )
