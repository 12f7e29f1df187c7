"""Hash a password for the database, and check a password; both the commands and the pages need this."""

from typing import Final

from reminderd.core.logins import normal_password

_ROUNDS: Final = 3
_KIB: Final = 32 * 1024
_LANES: Final = 1
"""Argon2id, above OWASP's minimum of 19 MiB and 2 rounds; one lane, as the other core is for the calls."""


def hash_password(password: str) -> str:
    """Return the hash of a password, which is stored. This takes a tenth of a second, and 32 MiB."""
    from argon2 import PasswordHasher  # noqa: PLC0415 - loaded only to set or check a password

    hasher = PasswordHasher(time_cost=_ROUNDS, memory_cost=_KIB, parallelism=_LANES)
    return hasher.hash(_encoded(password))


def matches_hash(password_hash: str | None, password: str) -> bool:
    """Return whether a password has this hash. For None (no account) return False, after just as much time."""
    from argon2 import PasswordHasher  # noqa: PLC0415 - see above
    from argon2.exceptions import InvalidHashError, VerificationError  # noqa: PLC0415

    if password_hash is None:
        hash_password(password)
        return False
    try:
        return PasswordHasher().verify(password_hash, _encoded(password))
    except (VerificationError, InvalidHashError):
        return False


def _encoded(password: str) -> bytes:
    return normal_password(password).encode(errors="surrogatepass")
