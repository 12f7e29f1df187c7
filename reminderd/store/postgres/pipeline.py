"""Send several statements in one message, as psycopg's pipeline does, but without its Flush at the end.

After a Flush, a server does not count how long the transaction is idle: the cluster write lock of a process that was
suspended then, or of a machine that has died, would be kept for hours. The Sync before it has all results sent anyway.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.abc import PQGen


class _WithoutFlush(psycopg.Pipeline):
    def _fetch_gen(self, *, flush: bool) -> PQGen[None]:  # noqa: ARG002 - psycopg names it
        return super()._fetch_gen(flush=False)


@contextmanager
def pipeline(connection: "psycopg.Connection[Any]") -> Iterator[None]:
    """Have the block's statements sent together; at its end, all results are there."""
    connection._pipeline = _WithoutFlush(connection)  # noqa: SLF001 - psycopg has no other way to it
    with connection.pipeline():
        yield
