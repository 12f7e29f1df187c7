"""The HTTP client of all providers: send a request with one deadline, and decide what its answer proves."""

import re
import ssl
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import httpx
import trio
from attrs import frozen

from reminderd.core.answers import Accepted, NoAnswer, NotFound, PlacingAnswer, Unclear, standard_status
from reminderd.core.masking import replace_numbers
from reminderd.core.model import MESSAGE_LIMIT
from reminderd.providers.base import STATUS_LIMIT, InvalidPayloadError, is_usable, json_object
from reminderd.providers.exchange import ERRORS, Exchange, HttpConnection, Origin, connect, target_of

_MASK: Final = "…"

_SHINGLE: Final = 12
"""This many characters in a row that a private text also contains are not there by chance."""

_SHORTEST: Final = 4
"""A shorter text, "Hi", is part of any answer and reveals nothing."""

_GAPS: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def redacted(text: str, private: tuple[str, ...]) -> str:
    """Return a text as one line, without phone numbers, and without parts of the private texts."""
    line = _GAPS.sub(" ", text).strip()
    for secret in private:
        line = _without(line, _GAPS.sub(" ", secret).strip())
    return replace_numbers(line, lambda _number: _MASK)


def _without(line: str, secret: str) -> str:
    """Mask every stretch of the line that is also in the secret, whole or cut short by the provider."""
    size = min(_SHINGLE, len(secret))
    if size < _SHORTEST:
        return line
    shingles = {secret[at : at + size].casefold() for at in range(len(secret) - size + 1)}
    shared = [False] * len(line)
    for at in range(len(line) - size + 1):
        if line[at : at + size].casefold() in shingles:
            shared[at : at + size] = [True] * size
    kept = [
        _MASK if hidden else letter
        for at, (letter, hidden) in enumerate(zip(line, shared, strict=True))
        if not (hidden and at > 0 and shared[at - 1])
    ]
    return "".join(kept)


ANSWER_LIMIT: Final = 1024 * 1024
"""The most bytes of an answer's body that are read."""

LONGEST_WAIT: Final = timedelta(hours=1)
"""The longest wait; a larger Retry-After is reduced to this."""

API_HEADERS: Final = MappingProxyType(
    {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "reminderd"}
)
"""The headers of every request to a provider's API."""

_KEEPALIVE_SECONDS: Final = 1.0
"""How long a connection is reused. A request on one that the other side is just closing would be unconfirmed."""

_LONGEST_REASON: Final = 200

_EXPLAINING: Final = ("error", "code", "title", "message", "detail", "details", "reason")
"""The fields in which providers explain an error."""


@frozen(kw_only=True)
class HttpAnswer:
    """The other side answered, at least with a status and headers."""

    status: int
    headers: httpx.Headers
    body: bytes
    complete: bool
    """Whether the whole body arrived, in time and within `ANSWER_LIMIT`."""


@frozen(kw_only=True)
class HttpFailure:
    """There was no answer."""

    reason: str
    sent: bool
    """Whether a byte of the request may have left us."""


HttpResult: TypeAlias = HttpAnswer | HttpFailure


class HttpClient:
    """The connections to one provider.

    A request is sent once, and only to its URL: there are no cookies, no proxies from the environment, no redirects,
    and no second try on another connection (decision 0032).
    """

    def __init__(
        self,
        *,
        timeout: timedelta,
        max_connections: int,
        reads_certificates: bool = True,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """Keep the settings; connections are made when they are needed.

        Args:
            timeout: for one request and its whole answer.
            max_connections: the most requests at a time; further ones wait within their timeout.
            reads_certificates: whether the certificates are read at once, so that an error is seen at the start. If all
                URLs are http, this is not needed, and reading takes long. A URL with https always gets TLS.
            trust: whose certificates are accepted; by default those of certifi's authorities, even if the environment
                names others.

        Raises:
            OSError: the certificates can't be read.
        """
        self._seconds = timeout.total_seconds()
        self._places = trio.CapacityLimiter(max_connections)
        self._trust = trust
        if reads_certificates:
            self._trusted()
        self._idle: list[HttpConnection] = []
        """Connections that wait for another request; the one that was used last is at the end."""

    async def ask(
        self, method: str, url: str, *, headers: Mapping[str, str], content: bytes | None = None
    ) -> HttpResult:
        """Send a request once, and read its answer; this ends within the timeout, whatever the other side does.

        Raises:
            httpx.InvalidURL: the text is not a URL.
        """
        target = target_of(url)
        if target is None:
            return HttpFailure(reason="not sent: expected http:// or https://", sent=False)
        exchange = Exchange(method, target, headers, content, ANSWER_LIMIT)
        failure = ""
        # One deadline for everything: a deadline for each operation would start again with every byte.
        with trio.move_on_after(self._seconds):
            async with self._places:
                failure = await self._carry(exchange)
        if exchange.head is not None:
            return HttpAnswer(
                status=exchange.head.status_code,
                headers=httpx.Headers(list(exchange.head.headers)),
                body=bytes(exchange.body[:ANSWER_LIMIT]),
                complete=exchange.is_complete,
            )
        waited_for = "answer" if exchange.is_sent else "connection"
        return HttpFailure(reason=failure or f"no {waited_for} within {self._seconds:g} s", sent=exchange.is_sent)

    async def aclose(self) -> None:
        """Close the connections that wait for another request; call it when no request is in flight."""
        with trio.CancelScope(shield=True):  # closing waits for nothing
            while self._idle:
                await self._idle.pop().aclose()

    async def _carry(self, exchange: Exchange) -> str:
        """Send the request and read its answer; return why that failed, or an empty text if it did not."""
        connection: HttpConnection | None = None
        try:
            connection = await self._connection(exchange.target.origin)
            await connection.carry(exchange)
        except ERRORS as error:
            if connection is not None and not exchange.is_sent:
                # The error itself repeats the header, which may be a key.
                return "not sent: HTTP does not allow the URL or one of the headers"
            stage = "could not connect" if connection is None else "connection lost"
            return f"{stage}: {_innermost(error)}"[:_LONGEST_REASON]
        finally:
            if connection is not None:
                await self._keep_or_close(connection)
        return ""

    async def _connection(self, origin: Origin) -> HttpConnection:
        """Return an idle connection to this server, or a new one."""
        while (connection := self._pop_idle(origin)) is not None:
            if not connection.is_expired and await connection.is_silent():
                return connection
            await connection.aclose()
        while len(self._idle) + self._places.borrowed_tokens > self._places.total_tokens:
            await self._idle.pop(0).aclose()  # it is to another server, and its place is needed
        return await connect(origin, self._trusted() if origin.is_tls else None)

    def _trusted(self) -> ssl.SSLContext:
        """Return the TLS settings: whose certificates are accepted, and HTTP/1.1 as the only protocol."""
        if self._trust is None:
            self._trust = httpx.create_ssl_context(trust_env=False)
        self._trust.set_alpn_protocols(["http/1.1"])
        return self._trust

    def _pop_idle(self, origin: Origin) -> HttpConnection | None:
        for at in reversed(range(len(self._idle))):
            if self._idle[at].origin == origin:
                return self._idle.pop(at)
        return None

    async def _keep_or_close(self, connection: HttpConnection) -> None:
        if connection.prepare_next(_KEEPALIVE_SECONDS):
            self._idle.append(connection)
        else:
            await connection.aclose()
        while self._idle and self._idle[0].is_expired:
            await self._idle.pop(0).aclose()


def check_api_url(api_url: str) -> None:
    """Reject the URL of an API whose host can't be written for DNS; `keys.url` has rejected a text that is no URL.

    Raises:
        ValueError: the URL can't be used.
    """
    try:
        httpx.URL(api_url).host.encode("idna")
    except (httpx.InvalidURL, UnicodeError):
        raise ValueError("api_url: not a URL") from None


def _innermost(error: Exception) -> str:
    """Return the message of the innermost error that has one, as the outer errors of a TLS failure have none."""
    message = ""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, BaseExceptionGroup):  # several addresses were tried
            link = link.exceptions[0]
        message = str(link) or message
        link = link.__cause__ or link.__context__
    # h11's message ends with the bytes that it can't read, and these may repeat what we have sent.
    return message.partition(": bytearray(")[0] or type(error).__name__


def accepted_or_unclear(answer: HttpAnswer, *, id_field: str) -> PlacingAnswer:
    """Return what a 2xx to a request for a call proves: accepted if it names the call, otherwise unconfirmed.

    Args:
        answer: the provider's answer.
        id_field: the name of the JSON field with the provider's id of the call; there may also be a field `status`.
    """
    if not answer.complete:
        return Unclear(f"{answer.status}, but the answer was incomplete")
    try:
        found = json_object(answer.body)
    except InvalidPayloadError:
        return Unclear(f"{answer.status}, but the answer is not a JSON object")
    call_id, status = found.get(id_field), found.get("status")
    if not (isinstance(call_id, str) and is_usable(call_id)):
        return Unclear(f"{answer.status}, but without a usable {id_field}")
    if not (isinstance(status, str) and is_usable(standard_status(status), limit=STATUS_LIMIT)):
        return Accepted(call_id)
    return Accepted(call_id, standard_status(status))


def object_in(
    outcome: HttpResult, *, absent: NotFound | NoAnswer, private: tuple[str, ...]
) -> dict[str, Any] | NotFound | NoAnswer:
    """Return the JSON object that answers a look-up; without one, return what that proves.

    Args:
        outcome: the result of the request.
        absent: what a 404 proves.
        private: texts that no reason may repeat.
    """
    if isinstance(outcome, HttpFailure):
        return NoAnswer(outcome.reason)
    if outcome.status == 404:
        return absent
    if not 200 <= outcome.status < 300:
        return NoAnswer(reason_of(outcome, private=private))
    if not outcome.complete:
        return NoAnswer(f"{outcome.status}, but the answer was incomplete")
    try:
        return json_object(outcome.body)
    except InvalidPayloadError as error:
        return NoAnswer(str(error))


def retry_after(header: str | None, now: datetime) -> timedelta | None:
    """Read a Retry-After header (RFC 9110, 10.2.3: seconds or a date): 0 to one hour; None if absent or malformed."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        # A number with more digits is certainly above the limit.
        return min(timedelta(seconds=int(text)), LONGEST_WAIT) if len(text) < 9 else LONGEST_WAIT
    try:
        at = parsedate_to_datetime(text)
        wait = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
    except (ValueError, OverflowError):  # OverflowError: a date that its zone moves beyond the year 9999
        return None
    return min(max(wait, timedelta(0)), LONGEST_WAIT)


def reason_of(answer: HttpAnswer, *, private: tuple[str, ...]) -> str:
    """Return an answer's status and explanation as one line of at most 200 characters.

    Args:
        answer: the provider's answer.
        private: keys, the message and the number, of which no part longer than a word may be repeated.
    """
    phrase = _phrase(answer.status)
    explanation = redacted(_explanation(answer.body, phrase)[: 2 * MESSAGE_LIMIT], private)
    line = f"{answer.status} {phrase}".strip()
    return (f"{line}: {explanation}" if explanation else line)[:_LONGEST_REASON]


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _explanation(body: bytes, phrase: str) -> str:
    """Return the explanations in the body, except one that only repeats the phrase of the status."""
    try:
        found = list(_explanations(json_object(body)))
    except InvalidPayloadError:
        text = body.decode(errors="replace").strip()
        found = [] if text.startswith(("<", "{", "[")) else [text]  # a web page or broken JSON explains nothing
    return "; ".join(text for text in found if text.rstrip(".").casefold() != phrase.casefold())


def _explanations(answer: dict[str, Any]) -> Iterator[str]:
    for name in _EXPLAINING:
        match answer.get(name):
            case str() as text if text:
                yield text
            case int() as code if name == "code":
                yield str(code)
            case {"message": str() as text}:
                yield text
            case [*items]:
                yield from (item for item in items if isinstance(item, str))
