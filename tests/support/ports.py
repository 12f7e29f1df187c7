"""Ports for programs whose port must be known before they start.

Such a port is bound and not listened on: the system gives it to no other program, and a server that binds it with
SO_REUSEADDR, as servers do, still gets it.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reserved_port() -> Iterator[int]:
    """Yield a port that stays free for the server of the block."""
    with _bound() as held:
        port: int = held.getsockname()[1]
        yield port


def a_free_port() -> int:
    """Return a port that stays free until this process ends, on which nobody listens yet."""
    held = _bound()
    port: int = held.getsockname()[1]
    held.detach()  # it stays open
    return port


def _bound() -> socket.socket:
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    return held
