"""Verifies `X-Twilio-Signature`, which proves that a webhook is Twilio's own.

The rules are those of Twilio's helper libraries (`request_validator.py` of twilio-python) and of
https://www.twilio.com/docs/usage/security; the tests compare this module with that library.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias
from urllib.parse import parse_qsl, urlsplit

Parameters: TypeAlias = Iterable[tuple[str, str]]
"""A form's fields in any order; a name may come several times."""

HEADER: Final = "X-Twilio-Signature"

_FORM: Final = "application/x-www-form-urlencoded"
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_MOST_FIELDS: Final = 1_000


def signature(auth_token: str, url: str, parameters: Parameters = ()) -> str:
    """Return the signature of a request to this URL (without its fragment), with these form fields."""
    # Names in the order of their code points, each with its different values, sorted; nothing between them.
    signed = url + "".join(name + value for name, value in sorted(set(parameters)))
    digest = hmac.new(auth_token.encode(), signed.encode(errors="surrogatepass"), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def verified(
    *, auth_tokens: Iterable[str], base_urls: Iterable[str], target: str, headers: Mapping[str, str], body: bytes
) -> bool:
    """Return whether a request was signed with one of the tokens. Never raise.

    Args:
        auth_tokens: the account's; two of them while one replaces the other.
        base_urls: where Twilio reaches us, as it is configured, and where it did before. The request's own Host header
            proves nothing.
        target: the raw path and query that were asked for.
        headers: names in lower case.
        body: the raw body.
    """
    parameters = _signed_fields(target, headers.get("content-type", ""), body)
    received = headers.get(HEADER.lower(), "").encode(errors="surrogatepass")
    if parameters is None:
        return False
    urls = [url for base_url in base_urls for url in _spellings(base_url + target)]
    expected = [signature(token, url, parameters).encode() for token in auth_tokens for url in urls]
    # All of them, so that the time does not reveal which one matches.
    return sum(hmac.compare_digest(one, received) for one in expected) > 0


def form_fields(body: bytes) -> tuple[tuple[str, str], ...]:
    """Return the fields of a form in their order, those without a value included.

    Raises:
        ValueError: it is not UTF-8, or has a thousand fields.
    """
    text = body.decode()
    return tuple(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS))


def _signed_fields(target: str, content_type: str, body: bytes) -> tuple[tuple[str, str], ...] | None:
    """Return the fields that the signature covers; None if it can't be the signature of this body."""
    if not body:
        return ()
    if content_type.partition(";")[0].strip().lower() == _FORM:
        try:
            return form_fields(body)
        except ValueError:
            return None
    # Any other body is covered by its hash, which is part of the signed URL.
    hashes = [value for name, value in parse_qsl(urlsplit(target).query) if name == "bodySHA256"]
    found = hashlib.sha256(body).hexdigest().encode()
    is_covered = len(hashes) == 1 and hmac.compare_digest(found, hashes[0].lower().encode(errors="surrogatepass"))
    return () if is_covered else None


def _spellings(url: str) -> tuple[str, ...]:
    """Return the URL as it is, without a port, and with the default port: Twilio signs any of these."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.netloc.rpartition("@")[2].split(":")[0]
    rest = url.partition("://")[2].removeprefix(parts.netloc)
    bare, default = f"{parts.scheme}://{host}", f":{_DEFAULT_PORTS.get(parts.scheme, 443)}"
    return tuple(dict.fromkeys((url, bare + rest, bare + default + rest)))
