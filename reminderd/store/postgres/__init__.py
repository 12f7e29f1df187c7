"""Code that only PostgreSQL needs. psycopg is an extra, so this package is imported only if a server is configured.

Raises:
    StoreUnusableError: psycopg, or the libpq that it needs, is missing.
"""

from reminderd.store.errors import StoreUnusableError

try:
    import psycopg  # noqa: F401 - only to find out whether it is installed
except ImportError as error:
    raise StoreUnusableError("postgresql:// needs an extra: pip install 'reminderd[postgres]'") from error
