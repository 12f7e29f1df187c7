"""What only PostgreSQL needs. psycopg is an extra: only modules of this folder import it, when they are asked for."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from reminderd.store.errors import StoreUnusableError


@contextmanager
def the_extra() -> Iterator[None]:
    """Say what to do if psycopg is missing where a module of this folder is imported.

    Raises:
        StoreUnusableError: It is missing.
    """
    try:
        yield
    except ImportError as error:
        if getattr(sys, "frozen", False):
            raise StoreUnusableError("postgresql:// can't be used: this file speaks SQLite only") from error
        needs = "postgresql:// needs the extra: pip install 'reminderd[postgres]'"
        raise StoreUnusableError(needs) from error
