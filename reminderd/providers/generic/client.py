"""The client of a provider that speaks the generic contract (docs/webhooks.md)."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

from reminderd.clock import Clock, SystemClock
from reminderd.core.answers import (
    AccountRefused,
    Capabilities,
    Found,
    LookUpAnswer,
    NoAnswer,
    NotFound,
    NotPlaced,
    PlacingAnswer,
    Refused,
    Report,
    Unclear,
)
from reminderd.providers.base import InvalidPayloadError, Placement, Recorder, Route, Webhook, json_object
from reminderd.providers.base_settings import ClientOptions
from reminderd.providers.generic.settings import GenericSettings
from reminderd.providers.generic.webhooks import read_report, routes, verifier
from reminderd.providers.http import (
    API_HEADERS,
    HttpClient,
    HttpFailure,
    HttpResult,
    accepted_or_unclear,
    check_api_url,
    object_in,
    reason_of,
    retry_after,
)

_CLOCK: Final = SystemClock()
_NO_LOOK_UP: Final = NoAnswer("this provider has no look-up")


class GenericProvider:
    """Speaks the generic contract; see `Provider` for what each method promises."""

    forged_status = 401

    def __init__(self, settings: GenericSettings, options: ClientOptions, *, clock: Clock = _CLOCK) -> None:
        """Keep the settings; connections are made when they are needed. A Retry-After date is counted from `clock`.

        Raises:
            ValueError: the URL or the secret of webhooks can't be used.
        """
        check_api_url(settings.api_url)
        self.name = settings.name
        # The sandbox has another URL at each start, but counts as the same account.
        self.account = settings.api_url if settings.name == GenericSettings.name else settings.name
        self.capabilities = Capabilities(
            honors_key=settings.honors_idempotency_key,
            key_lifetime=timedelta(seconds=settings.idempotency_key_seconds),
            look_up=settings.look_up,
        )
        self._calls_url = f"{settings.api_url}/calls"
        self._api_key = settings.api_key
        self._headers = {"Authorization": f"Bearer {settings.api_key}", **API_HEADERS}
        self._verify_webhook = verifier(settings.webhook_auth, settings.webhook_secret)
        self._clock = clock
        self._http = HttpClient(
            timeout=options.timeout,
            max_connections=options.max_connections,
            reads_certificates=not settings.api_url.startswith("http:"),
        )

    async def place(self, placement: Placement) -> PlacingAnswer:
        """Request one call: `POST /calls`."""
        order: dict[str, object] = {
            "phone_number": placement.phone_number,
            "message": placement.message,
            "metadata": {"reminder_id": placement.reminder_id, "attempt_id": placement.call_id},
        }
        if placement.language is not None:
            order["language"] = placement.language
        outcome = await self._http.ask(
            "POST",
            self._calls_url,
            headers={**self._headers, "Content-Type": "application/json", "Idempotency-Key": placement.call_id},
            content=json.dumps(order).encode(),
        )
        private = (self._api_key, placement.phone_number, placement.message)
        return answer_to_placing(outcome, private=private, now=self._clock.now())

    async def fetch(self, external_call_id: str) -> LookUpAnswer:
        """Look up by the provider's own id: `GET /calls/{call_id}`."""
        answer = await self._look_up(f"{self._calls_url}/{quote(external_call_id, safe='')}", absent=NotFound())
        if not isinstance(answer, dict):
            return answer
        found = _found(answer)
        if isinstance(found, Found) and found.report.external_call_id != external_call_id:
            return NoAnswer("the answer speaks of another call")
        return found

    async def find(self, placement: Placement) -> LookUpAnswer:
        """Look up by our id: `GET /calls?attempt_id=…`. A 404 proves nothing, as not every provider offers this."""
        url = f"{self._calls_url}?attempt_id={quote(placement.call_id, safe='')}"
        answer = await self._look_up(url, absent=NoAnswer("404: it knows no such list"))
        if not isinstance(answer, dict):
            return answer
        return _only_match(answer.get("calls"), placement.call_id)

    async def drop(self, external_call_id: str) -> LookUpAnswer:
        """Look the call up, as the contract has no request that drops a call."""
        return await self.fetch(external_call_id)

    def verified(self, webhook: Webhook) -> bool:
        """Return whether a webhook is from the provider."""
        return self._verify_webhook(webhook.headers, webhook.body)

    def parse(self, webhook: Webhook) -> Report:
        """Return the report in a webhook's raw body.

        Raises:
            InvalidPayloadError: the body does not follow the contract; every mistake is listed.
        """
        return read_report(json_object(webhook.body))

    def routes(self, recorder: Recorder) -> Sequence[Route]:
        """Return where its webhooks arrive."""
        return routes(recorder)

    async def check_account(self) -> list[str]:
        """Look up a call that does not exist: the answer shows whether the provider works and accepts us.

        A provider without look-ups may answer 404, 405 or 501.
        """
        outcome = await self._http.ask("GET", f"{self._calls_url}/{uuid4()}", headers=self._headers)
        if isinstance(outcome, HttpFailure):
            return [f"the provider can't be reached: {outcome.reason}"]
        if outcome.status in {401, 402, 403} or 300 <= outcome.status < 400:
            return [f"the provider refuses us: {reason_of(outcome, private=(self._api_key,))}"]
        if outcome.status >= 500 and outcome.status != HTTPStatus.NOT_IMPLEMENTED:
            return [f"the provider is out of order: {reason_of(outcome, private=(self._api_key,))}"]
        return []

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def _look_up(self, url: str, *, absent: NotFound | NoAnswer) -> dict[str, Any] | NotFound | NoAnswer:
        if not self.capabilities.look_up:
            return _NO_LOOK_UP
        outcome = await self._http.ask("GET", url, headers=self._headers)
        return object_in(outcome, absent=absent, private=(self._api_key,))


def answer_to_placing(outcome: HttpResult, *, private: tuple[str, ...], now: datetime) -> PlacingAnswer:
    """Decide what the answer to `POST /calls` proves, and so whether the patient may be called again.

    The status decides: outside 2xx an answer whose body was cut off still means what its status means.

    Args:
        outcome: the result of the request.
        private: texts that no reason may repeat.
        now: to count a Retry-After date from.
    """
    if isinstance(outcome, HttpFailure):
        return Unclear(outcome.reason) if outcome.sent else NotPlaced(outcome.reason)
    if 200 <= outcome.status < 300:
        return accepted_or_unclear(outcome, id_field="call_id")
    wait = retry_after(outcome.headers.get("retry-after"), now)
    match outcome.status:
        case 429:
            return NotPlaced(reason_of(outcome, private=private), wait, rate_limited=True)
        case 503 if wait is not None:
            return NotPlaced(reason_of(outcome, private=private), wait)
        case 401 | 402 | 404 | 405:
            return AccountRefused(reason_of(outcome, private=private))
        case 403:
            return NotPlaced(reason_of(outcome, private=private), number_refused=True)
        case status if 300 <= status < 400:
            return AccountRefused(reason_of(outcome, private=private))
        case 408 | 409:
            return Unclear(reason_of(outcome, private=private))
        case status if 400 <= status < 500:
            return Refused(reason_of(outcome, private=private))
        case _:
            return Unclear(reason_of(outcome, private=private))


def _only_match(entries: object, attempt_id: str) -> LookUpAnswer:
    """Return what a list of calls proves about the one that carries our id."""
    if not isinstance(entries, list):
        return NoAnswer("calls: not a list")
    if not entries:
        return NotFound()
    ours = [entry for entry in entries if _attempt(entry) == attempt_id]
    if not ours:
        # The provider ignored the filter, or returns no ids: our call may be in the list, or on another page.
        return NoAnswer("calls were listed, but none carries our attempt_id")
    findings = [_found(entry) for entry in ours]
    for finding in findings:
        if not isinstance(finding, Found):
            return finding
    if len({finding.report.external_call_id for finding in findings if isinstance(finding, Found)}) > 1:
        return NoAnswer("ambiguous: several calls carry our attempt_id")
    return findings[-1]


def _attempt(entry: object) -> object:
    match entry:
        case {"metadata": {"attempt_id": attempt_id}}:
            return attempt_id
        case _:
            return None


def _found(answer: dict[str, Any]) -> LookUpAnswer:
    try:
        return Found(read_report(answer, looked_up=True))
    except InvalidPayloadError as error:
        return NoAnswer(str(error))
