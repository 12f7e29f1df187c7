"""What only PostgreSQL needs. psycopg is an extra: only the modules of this folder import it, once they are needed."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from reminderd.store.errors import StoreUnusableError


@contextmanager
def the_extra() -> Iterator[None]:
    """Say what to do if psycopg is missing when the block imports a module of this folder.

    Raises:
        StoreUnusableError: It is missing.
    """
    try:
        yield
    except ImportError as error:
        if getattr(sys, "frozen", False):
            needs = "postgresql:// needs another installation, as the single file supports only SQLite"
            raise StoreUnusableError(f"{needs}: see docs/postgresql.md") from error
        needs = "postgresql:// needs an extra: pip install 'reminderd[postgres]'"
        raise StoreUnusableError(needs) from error
