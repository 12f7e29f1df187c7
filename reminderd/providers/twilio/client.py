"""Twilio as a provider: places calls, looks them up and drops them, and knows its own webhooks.

Source: https://www.twilio.com/docs/voice/api/call-resource; the judge of every request is the OpenAPI document
`twilio_api_v2010.json` in twilio/twilio-oai.
"""

from copy import copy
from datetime import timedelta
from typing import Final
from urllib.parse import quote, urlencode

from attrs import frozen

from reminderd.clock import Clock, SystemClock
from reminderd.core.answers import Answer, Candidates, Capabilities, Finding, NoAnswer, NotFound, Report
from reminderd.providers.base import Placement, Webhook
from reminderd.providers.look_ups import object_in
from reminderd.providers.twilio import signature
from reminderd.providers.twilio.answer import answer_to_placing
from reminderd.providers.twilio.api import Account, Api
from reminderd.providers.twilio.calls import candidates_in, found_in
from reminderd.providers.twilio.forms import read_report

PATH: Final = "/webhooks/twilio"
"""Under the public base URL: where Twilio finds us."""

_CLOCK: Final = SystemClock()
_EVENTS: Final = ("initiated", "ringing", "answered", "completed")
_DETECTS_WITHIN: Final = timedelta(seconds=30)
"""How long Twilio tries to tell machines apart: the default of MachineDetectionTimeout, which we leave as it is."""
_A_PAGE: Final = 50


@frozen(kw_only=True)
class CallSettings:
    """What every call is placed with."""

    ring_for: timedelta = timedelta(seconds=30)
    """How long the phone may ring; Twilio may add five seconds."""
    last_at_most: timedelta = timedelta(seconds=180)
    machine_detection: str | None = None
    """`Enable` or `DetectMessageEnd`, as Twilio calls them; None: machines are not told apart."""


class TwilioProvider:
    """The client of Twilio's Voice API; see `Provider` for what each of its methods promises."""

    name = "twilio"

    def __init__(
        self,
        *,
        account: Account,
        public_base_url: str,
        api_url: str,
        timeout: timedelta,
        max_connections: int,
        settings: CallSettings | None = None,
        clock: Clock = _CLOCK,
    ) -> None:
        """Open nothing yet; connections are made when they are needed.

        Args:
            account: who we are to it.
            public_base_url: where it finds us, as it will sign it.
            api_url: where it is, without a version and a path.
            timeout: for one request and its whole answer.
            max_connections: requests at one time; more wait within their timeout.
            settings: what every call is placed with.
            clock: to count a Retry-After date from.

        Raises:
            ValueError: a URL can't be used.
        """
        self._account = account
        self._base_urls: tuple[str, ...] = (public_base_url.rstrip("/"),)
        self._settings = settings or CallSettings()
        self.capabilities = Capabilities(
            look_up=True,
            drop=True,
            asks_what_to_say=True,
            listens_for=timedelta(0) if self._settings.machine_detection is None else _DETECTS_WITHIN,
        )
        self._clock = clock
        self.api = Api(account=account, api_url=api_url, timeout=timeout, max_connections=max_connections)

    def with_account(self, account: Account, *, public_base_url: str) -> "TwilioProvider":
        """The same client, its connections included, with other tokens of the same account, or at another address.

        What this one has begun ends with its own; calls that carry an earlier address may still report there.
        """
        changed = copy(self)
        base_url = public_base_url.rstrip("/")
        earlier = (one for one in self._base_urls if one != base_url)
        changed._account, changed.api = account, self.api.with_account(account)  # noqa: SLF001 - its own copy
        changed._base_urls = (base_url, *earlier)  # noqa: SLF001
        return changed

    async def place(self, placement: Placement) -> Answer:
        """Ask for one call, once: Twilio knows no idempotency key. Our id travels in the URLs that it calls."""
        outcome = await self.api.post("/Calls.json", self._order(placement))
        private = (*self._account.auth_tokens, placement.phone_number, placement.message)
        return answer_to_placing(outcome, private=private, now=self._clock.now())

    async def fetch(self, external_call_id: str) -> Finding:
        """Ask by Twilio's own id. What it tells may be some seconds old."""
        answer = await self.api.get(_path(external_call_id), absent=NotFound())
        return found_in(answer, external_call_id) if isinstance(answer, dict) else answer

    async def find(self, placement: Placement) -> Finding | Candidates:
        """Ask for the calls to this number, of which the one that was placed for us must be told apart."""
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

    async def drop(self, external_call_id: str) -> Finding:
        """Cancel a call that is queued or rings; one that was answered meanwhile (error 21220) is left alone."""
        outcome = await self.api.post(_path(external_call_id), [("Status", "canceled")])
        answer = object_in(outcome, absent=NotFound(), private=self._account.auth_tokens)
        found = found_in(answer, external_call_id) if isinstance(answer, dict) else answer
        # Whatever else came back, or got lost: how the call stands then is Twilio's to tell.
        return await self.fetch(external_call_id) if isinstance(found, NoAnswer) else found

    @property
    def account(self) -> str:
        """The account's SID."""
        return self._account.sid

    def verified(self, webhook: Webhook) -> bool:
        """Whether a webhook was signed with one of the account's tokens."""
        return signature.verified(
            auth_tokens=self._account.auth_tokens,
            base_urls=self._base_urls,
            target=webhook.target,
            headers=webhook.headers,
            body=webhook.body,
        )

    def parse(self, webhook: Webhook) -> Report:
        """The report in a webhook.

        Raises:
            InvalidPayloadError: it is not Twilio's; every mistake is listed.
        """
        return read_report(webhook)

    def keys_url(self, call_id: str, *, question: str, repeats: int) -> str:
        """Return where a key is reported, with what was asked before it."""
        return f"{self._url('keys', call_id)}?{urlencode({'question': question, 'repeats': repeats})}"

    async def aclose(self) -> None:
        """Close every connection."""
        await self.api.aclose()

    def _order(self, placement: Placement) -> list[tuple[str, str]]:
        settings = self._settings
        order = [
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
            order.append(("MachineDetection", settings.machine_detection))
        return order

    def _url(self, what: str, call_id: str) -> str:
        return f"{self._base_urls[0]}{PATH}/{what}/{quote(call_id, safe='')}"


def _path(external_call_id: str) -> str:
    return f"/Calls/{quote(external_call_id, safe='')}.json"
