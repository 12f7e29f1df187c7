"""Twilio's client: places calls, looks them up and drops them, and verifies webhooks.

Source: https://www.twilio.com/docs/voice/api/call-resource. The tests check every request against the OpenAPI document
`twilio_api_v2010.json` in twilio/twilio-oai.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from urllib.parse import quote, urlencode

from attrs import frozen

from reminderd.clock import Clock, SystemClock
from reminderd.core.answers import Answer, Candidates, Capabilities, LookUpAnswer, NoAnswer, NotFound, Report
from reminderd.providers.base import Placement, Recorder, Route, Webhook
from reminderd.providers.http import object_in
from reminderd.providers.twilio.voice_api import (
    Account,
    TwilioApi,
    answer_to_placing,
    candidates_in,
    found_in,
    mistakes_in,
)
from reminderd.providers.twilio.webhooks import PATH, read_report, routes, verified

_CLOCK: Final = SystemClock()
_EVENTS: Final = ("initiated", "ringing", "answered", "completed")
_DETECTS_WITHIN: Final = timedelta(seconds=30)
"""How long Twilio tries to detect a machine: the default of MachineDetectionTimeout, which we do not change."""
_A_PAGE: Final = 50


@frozen(kw_only=True)
class CallSettings:
    """What every call is placed with."""

    ring_for: timedelta = timedelta(seconds=30)
    """How long the phone may ring; Twilio may add five seconds."""
    last_at_most: timedelta = timedelta(seconds=180)
    machine_detection: str | None = None
    """`Enable` or `DetectMessageEnd`, as Twilio calls them; None: machines are not detected."""


class TwilioProvider:
    """Speaks Twilio's Voice API; see `Provider` for what each method promises."""

    name = "twilio"
    forged_status = 403
    """As Twilio's own helper libraries answer."""

    def __init__(
        self,
        *,
        account: Account,
        public_base_urls: Sequence[str],
        api_url: str,
        timeout: timedelta,
        max_connections: int,
        settings: CallSettings | None = None,
        clock: Clock = _CLOCK,
    ) -> None:
        """Keep the settings; connections are made when they are needed.

        Args:
            account: the clinic's account.
            public_base_urls: where it reaches us, as it signs it, the present address first; calls
                under way may carry an earlier one.
            api_url: its address, without a version and a path.
            timeout: for one request and its whole answer.
            max_connections: requests at one time; more wait within their timeout.
            settings: what every call is placed with.
            clock: to count a Retry-After date from.

        Raises:
            ValueError: a URL can't be used.
        """
        self._account = account
        self._base_urls = tuple(url.rstrip("/") for url in public_base_urls)
        self._settings = settings or CallSettings()
        self.capabilities = Capabilities(
            look_up=True,
            drop=True,
            asks_what_to_say=True,
            listens_for=timedelta(0) if self._settings.machine_detection is None else _DETECTS_WITHIN,
        )
        self._clock = clock
        self.api = TwilioApi(account=account, api_url=api_url, timeout=timeout, max_connections=max_connections)

    async def place(self, placement: Placement) -> Answer:
        """Request one call, once: Twilio knows no idempotency key. Our id travels in the URLs that it calls."""
        outcome = await self.api.post("/Calls.json", self._request(placement))
        private = (*self._account.auth_tokens, placement.phone_number, placement.message)
        return answer_to_placing(outcome, private=private, now=self._clock.now())

    async def fetch(self, external_call_id: str) -> LookUpAnswer:
        """Look up by Twilio's own id. The answer may be some seconds old."""
        answer = await self.api.get(_path(external_call_id), absent=NotFound())
        return found_in(answer, external_call_id) if isinstance(answer, dict) else answer

    async def find(self, placement: Placement) -> LookUpAnswer | Candidates:
        """Look up the calls to this number; the core decides which of them can be the one that was requested."""
        # Twilio's other filters go by days, or hide calls that are still queued.
        query = urlencode({"To": placement.phone_number, "PageSize": _A_PAGE})
        answer = await self.api.get(f"/Calls.json?{query}", absent=NoAnswer("404: it knows no such list"))
        if not isinstance(answer, dict):
            return answer
        return candidates_in(
            answer,
            phone_number=placement.phone_number,
            from_number=self._account.from_number,
            asked_from=placement.asked_from,
        )

    async def drop(self, external_call_id: str) -> LookUpAnswer:
        """Cancel a call that is queued or ringing; one that was answered meanwhile (error 21220) goes on."""
        outcome = await self.api.post(_path(external_call_id), [("Status", "canceled")])
        answer = object_in(outcome, absent=NotFound(), private=self._account.auth_tokens)
        found = found_in(answer, external_call_id) if isinstance(answer, dict) else answer
        # Whatever else came back, or got lost: a look-up shows the call's state then.
        return await self.fetch(external_call_id) if isinstance(found, NoAnswer) else found

    @property
    def account(self) -> str:
        """Return the account's SID."""
        return self._account.sid

    def verified(self, webhook: Webhook) -> bool:
        """Return whether a webhook was signed with one of the account's tokens."""
        return verified(
            auth_tokens=self._account.auth_tokens,
            base_urls=self._base_urls,
            target=webhook.target,
            headers=webhook.headers,
            body=webhook.body,
        )

    def parse(self, webhook: Webhook) -> Report:
        """Return the report in a webhook.

        Raises:
            InvalidPayloadError: it does not follow Twilio's documentation; every mistake is listed.
        """
        return read_report(webhook)

    def routes(self, recorder: Recorder) -> Sequence[Route]:
        """Return where its webhooks arrive."""
        return routes(recorder, self._url)

    async def check_account(self) -> list[str]:
        """Read the account and its number."""
        return await mistakes_in(self.api)

    async def aclose(self) -> None:
        """Close every connection."""
        await self.api.aclose()

    def _request(self, placement: Placement) -> list[tuple[str, str]]:
        settings = self._settings
        fields = [
            ("To", placement.phone_number),
            ("From", self._account.from_number),
            ("Url", self._url("answer", placement.call_id)),
            ("Method", "POST"),
            # A GET, and the same for every call, so that a file can answer it while we can't.
            ("FallbackUrl", f"{self._base_urls[0]}{PATH}/fallback"),
            ("FallbackMethod", "GET"),
            ("StatusCallback", self._url("status", placement.call_id)),
            ("StatusCallbackMethod", "POST"),
            *(("StatusCallbackEvent", event) for event in _EVENTS),
            ("Timeout", str(round(settings.ring_for.total_seconds()))),
            ("TimeLimit", str(round(settings.last_at_most.total_seconds()))),
        ]
        if settings.machine_detection is not None:
            fields.append(("MachineDetection", settings.machine_detection))
        return fields

    def _url(self, what: str, call_id: str) -> str:
        return f"{self._base_urls[0]}{PATH}/{what}/{quote(call_id, safe='')}"


def _path(external_call_id: str) -> str:
    return f"/Calls/{quote(external_call_id, safe='')}.json"
