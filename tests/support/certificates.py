"""Reading the certificates of all public authorities, which is slow, once for all clients of httpx."""

import os
import ssl
from functools import cache
from typing import Any

import certifi
import httpx
from httpx._transports import default as transports

_create_ssl_context = httpx.create_ssl_context


def read_certificates_once() -> None:
    """Give all clients of httpx the same TLS settings, unless a test asks for others.

    Each client would read the certificates again, which takes 25 ms, though nearly all servers of tests have no TLS.
    """
    at_start = _files()

    @cache
    def shared(*, trust_env: bool) -> ssl.SSLContext:
        return _create_ssl_context(trust_env=trust_env)

    def create_ssl_context(
        verify: Any = True,  # noqa: FBT002 - as in httpx
        cert: Any = None,
        trust_env: Any = True,  # noqa: FBT002 - the same
    ) -> ssl.SSLContext:
        if verify is True and cert is None and _files() == at_start:
            return shared(trust_env=trust_env)
        return _create_ssl_context(verify, cert, trust_env)

    httpx.create_ssl_context = transports.create_ssl_context = create_ssl_context  # type: ignore[attr-defined]


def _files() -> tuple[str | None, ...]:
    """Return which files httpx would read."""
    return certifi.where(), *map(os.environ.get, ("SSL_CERT_FILE", "SSL_CERT_DIR"))
