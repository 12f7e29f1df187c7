"""Turn a password into what is stored of it, and check one: here alone, as a command and the pages both need it."""

from typing import Final

from reminderd.core.logins import normal_password

_ROUNDS: Final = 3
_KIB: Final = 32 * 1024
_LANES: Final = 1
"""Argon2id, above OWASP's least of 19 MiB and 2 rounds; one lane, as the other core is for the calls."""


def hash_password(password: str) -> str:
    """Return what is stored of a password. Takes a tenth of a second, and 32 MiB."""
    from argon2 import PasswordHasher  # noqa: PLC0415 - only who sets or checks a password waits for the library

    hasher = PasswordHasher(time_cost=_ROUNDS, memory_cost=_KIB, parallelism=_LANES)
    return hasher.hash(_encoded(password))


def is_right(password_hash: str | None, password: str) -> bool:
    """Return whether this is the password with this hash; None: there is no account, which takes just as long."""
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
