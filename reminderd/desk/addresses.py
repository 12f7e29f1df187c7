"""Encrypt what is in URLs: a record's id, which may contain a patient's name, a search, or a place in a list.

A record's address is its id, encrypted with a key that is in the database. The same id always has the same address,
so bookmarks last, and there is no table to look up. This keeps ids out of histories and logs. Who
may see a record is not decided here: its page checks that each time.
"""

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64Error
from typing import Any, Final

from attrs import frozen
from quart import request
from werkzeug.exceptions import NotFound

from reminderd.store.queries import ListPlace
from reminderd.store.rows import from_ms, to_ms

_TAG: Final = 16
_LONGEST: Final = 4_096
_MOST_MS: Final = 10**14


@frozen
class Addresses:
    """Turns ids into addresses and back, as SIV mode does: the tag that proves an address also encrypts its id."""

    key: bytes

    def address_of(self, record_id: str) -> str:
        """Return the address of a record, safe in a URL."""
        plain = record_id.encode(errors="surrogatepass")
        tag = self._digest(b"tag", plain)[:_TAG]
        return urlsafe_b64encode(tag + self._encrypted(plain, tag)).rstrip(b"=").decode()

    def id_at(self, address: str) -> str:
        """Return the id of the record at an address.

        Raises:
            NotFound: we have made no such address.
        """
        if len(address) > _LONGEST or not address.isascii():
            raise NotFound
        try:
            sealed = urlsafe_b64decode(address + "=" * (-len(address) % 4))
        except NotBase64Error:
            raise NotFound from None
        tag, plain = sealed[:_TAG], self._encrypted(sealed[_TAG:], sealed[:_TAG])
        if not hmac.compare_digest(tag, self._digest(b"tag", plain)[:_TAG]):
            raise NotFound
        return plain.decode(errors="surrogatepass")

    def encrypted(self, value: object) -> str:
        """Return a value, which JSON can hold, encrypted for a URL."""
        return self.address_of(json.dumps(value))

    def decrypted(self, text: str) -> Any:  # noqa: ANN401 - any value
        """Return the value that `encrypted` was given.

        Raises:
            NotFound: no page of ours has put this into a URL.
        """
        try:
            return json.loads(self.id_at(text))
        except ValueError:  # the address of a record
            raise NotFound from None

    def encrypted_place(self, place: ListPlace) -> str:
        """Return the end of a page of a list, for `after` in the URL of the next page."""
        return self.encrypted([to_ms(place.at), place.id])

    def place_asked(self) -> ListPlace | None:
        """Return where the page before the requested page ended; None if the first page is requested.

        Raises:
            NotFound: no page of ours has put this into the URL.
        """
        if "after" not in request.args:
            return None
        match self.decrypted(request.args["after"]):
            case [int(at), str(key)] if abs(at) < _MOST_MS:
                return ListPlace(from_ms(at), key)
        raise NotFound

    def signature(self, text: str) -> str:
        """Return a signature that proves that a text comes from us."""
        return self._digest(b"text", text.encode(errors="surrogatepass")).hex()

    def _encrypted(self, text: bytes, tag: bytes) -> bytes:
        """Encrypt a text, or decrypt an encrypted one: both are the same operation."""
        blocks = range(-(-len(text) // 32))
        stream = b"".join(self._digest(b"stream", tag + block.to_bytes(4, "big")) for block in blocks)
        return bytes(one ^ other for one, other in zip(text, stream, strict=False))

    def _digest(self, use: bytes, text: bytes) -> bytes:
        return hmac.digest(self.key, use + b"\0" + text, "sha256")
