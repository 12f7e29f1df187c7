"""How a webhook proves that it is the provider's own: a signature, a shared token, or nothing at all."""

import base64
import hmac
import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from standardwebhooks import Webhook, WebhookVerificationError

Verifier: TypeAlias = Callable[[Mapping[str, str], bytes], bool]
"""Of a webhook's headers (names in lower case) and raw body: whether it may be believed. It never raises."""

_SECRET: Final = re.compile(r"(?:whsec_)?[A-Za-z0-9+/]+={0,2}")
_SIGNATURE: Final = re.compile(r"v1,[A-Za-z0-9+/]{43}=")
"""One item of `webhook-signature` in the version that we know: base64 of 32 bytes."""


def standard_webhooks(secret: str) -> Verifier:
    """Signatures after standardwebhooks.com, version 1, not older or newer than five minutes.

    Raises:
        ValueError: the secret is not base64, with or without `whsec_` before it.
    """
    webhook = signer(secret)

    def verified(headers: Mapping[str, str], body: bytes) -> bool:
        # The library fails on a malformed item, also of a version that must be ignored, and takes any number of them.
        items = [item for item in headers.get("webhook-signature", "").split(" ") if _SIGNATURE.fullmatch(item)]
        try:
            webhook.verify(body, {**headers, "webhook-signature": " ".join(items)}, json_parse=False)
        except (WebhookVerificationError, ValueError):  # ValueError: a body or a header that is not text
            return False
        return True

    return verified


def signer(secret: str) -> Webhook:
    """What signs webhooks with this secret.

    Raises:
        ValueError: the secret is not base64, with or without `whsec_` before it.
    """
    # The library skips what is not base64 without a word, and would then sign with another key than the sender's.
    if not _SECRET.fullmatch(secret):
        raise ValueError("webhook secret: expected base64, with or without whsec_ before it")
    try:
        return Webhook(base64.b64decode(secret.removeprefix("whsec_") + "=="))
    except ValueError:
        raise ValueError("webhook secret: expected base64, cut short as it seems") from None


def bearer(token: str) -> Verifier:
    """A shared token in `Authorization: Bearer …`.

    Raises:
        ValueError: the token is empty or can't stand in a header.
    """
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("webhook token: expected printable ASCII without spaces")
    expected = token.encode()

    def verified(headers: Mapping[str, str], _body: bytes) -> bool:
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        given = credentials.strip().encode(errors="surrogatepass")
        return hmac.compare_digest(given, expected) and scheme.lower() == "bearer"

    return verified


def unsigned() -> Verifier:
    """Every webhook is believed: for a provider that signs nothing, where a network keeps everybody else out."""
    return lambda _headers, _body: True
