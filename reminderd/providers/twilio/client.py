"""Twilio's client: places calls, looks them up and drops them, and verifies webhooks.

Source: https://www.twilio.com/docs/voice/api/call-resource. The tests check every request against the OpenAPI document
`twilio_api_v2010.json` in twilio/twilio-oai.
"""

from base64 import b64encode
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode

from reminderd.clock import Clock, SystemClock
from reminderd.core.answers import Candidates, Capabilities, LookUpAnswer, NoAnswer, NotFound, PlacingAnswer, Report
from reminderd.providers.base import Placement, Recorder, Route, Webhook
from reminderd.providers.base_settings import ClientOptions
from reminderd.providers.http import API_HEADERS, HttpClient, HttpResult, check_api_url, object_in
from reminderd.providers.twilio.settings import TwilioSettings
from reminderd.providers.twilio.voice_api import answer_to_placing, candidates_in, found_in
from reminderd.providers.twilio.webhooks import PATH, read_report, routes, verified

_CLOCK: Final = SystemClock()
_EVENTS: Final = ("initiated", "ringing", "answered", "completed")
_DETECTS_WITHIN: Final = timedelta(seconds=30)
"""How long Twilio tries to detect a machine: the default of MachineDetectionTimeout, which we do not change."""
_A_PAGE: Final = 50
_FORM: Final = "application/x-www-form-urlencoded"


class TwilioProvider:
    """Speaks Twilio's Voice API; see `Provider` for what each method promises."""

    name = "twilio"
    forged_status = 403
    """The status with which Twilio's own helper libraries answer."""

    def __init__(self, settings: TwilioSettings, options: ClientOptions, *, clock: Clock = _CLOCK) -> None:
        """Keep the settings; connections are made when they are needed. A Retry-After date is counted from `clock`.

        Raises:
            ValueError: the URL can't be used.
        """
        check_api_url(settings.api_url)
        self._settings = settings
        self.account = settings.account_sid
        self._auth_tokens = tuple(filter(None, (settings.auth_token, settings.secondary_auth_token)))
        """The tokens with which Twilio may sign: two while a new token replaces the old one."""
        self._base_urls = tuple(url.rstrip("/") for url in options.public_base_urls)
        self.capabilities = Capabilities(
            look_up=True,
            drop=True,
            asks_what_to_say=True,
            listens_for=timedelta(0) if settings.machine_detection == "off" else _DETECTS_WITHIN,
        )
        self._clock = clock
        self._resources = f"{settings.api_url}/2010-04-01/Accounts/{settings.account_sid}"
        credentials = b64encode(f"{settings.account_sid}:{settings.auth_token}".encode()).decode()
        self._headers = {"Authorization": f"Basic {credentials}", **API_HEADERS}
        self._http = HttpClient(
            timeout=options.timeout,
            max_connections=options.max_connections,
            reads_certificates=not settings.api_url.startswith("http:"),
        )

    async def place(self, placement: Placement) -> PlacingAnswer:
        """Request one call, only once, as Twilio knows no idempotency key. Our id is in the URLs that it calls."""
        outcome = await self._post("/Calls.json", self._request(placement))
        private = (*self._auth_tokens, placement.phone_number, placement.message)
        return answer_to_placing(outcome, private=private, now=self._clock.now())

    async def fetch(self, external_call_id: str) -> LookUpAnswer:
        """Look up by Twilio's own id. The answer may be some seconds old."""
        answer = await self._get(_path(external_call_id), absent=NotFound())
        return found_in(answer, external_call_id) if isinstance(answer, dict) else answer

    async def find(self, placement: Placement) -> LookUpAnswer | Candidates:
        """Look up the calls to this number; the core decides which of them can be the one that was requested."""
        # Twilio's other filters go by days, or hide calls that are still queued.
        query = urlencode({"To": placement.phone_number, "PageSize": _A_PAGE})
        answer = await self._get(f"/Calls.json?{query}", absent=NoAnswer("404: it knows no such list"))
        if not isinstance(answer, dict):
            return answer
        return candidates_in(
            answer,
            phone_number=placement.phone_number,
            from_number=self._settings.from_number,
            asked_from=placement.asked_from,
        )

    async def drop(self, external_call_id: str) -> LookUpAnswer:
        """Cancel a call that is queued or ringing; a call that was answered meanwhile (error 21220) continues."""
        outcome = await self._post(_path(external_call_id), [("Status", "canceled")])
        answer = object_in(outcome, absent=NotFound(), private=self._auth_tokens)
        found = found_in(answer, external_call_id) if isinstance(answer, dict) else answer
        # After any other answer, or without one, a look-up shows the call's state.
        return await self.fetch(external_call_id) if isinstance(found, NoAnswer) else found

    def verified(self, webhook: Webhook) -> bool:
        """Return whether a webhook was signed with one of the account's tokens."""
        return verified(
            auth_tokens=self._auth_tokens,
            base_urls=self._base_urls,
            target=webhook.target,
            headers=webhook.headers,
            body=webhook.body,
        )

    def parse(self, webhook: Webhook) -> Report:
        """Return the report in a webhook.

        Raises:
            InvalidPayloadError: the webhook does not follow Twilio's documentation; every mistake is listed.
        """
        return read_report(webhook)

    def routes(self, recorder: Recorder) -> Sequence[Route]:
        """Return where its webhooks arrive."""
        return routes(recorder, self._url)

    async def check_account(self) -> list[str]:
        """Read the account and its number."""
        account = await self._read(".json", what="the account")
        if isinstance(account, str):
            return [account]
        status = account.get("status")
        account_mistakes = [] if status == "active" else [f"the account is {status}; expected active"]
        return account_mistakes + await self._number_mistakes()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def _number_mistakes(self) -> list[str]:
        query = f"PhoneNumber={quote(self._settings.from_number, safe='')}"
        bought = await self._read(f"/IncomingPhoneNumbers.json?{query}", what="the account's numbers")
        if isinstance(bought, str):
            return [bought]
        match bought.get("incoming_phone_numbers"):
            case [{"capabilities": {"voice": True}}, *_]:
                return []
            case [_, *_]:
                return ["from_number can't make calls; expected a number with the capability voice"]
        verified = await self._read(f"/OutgoingCallerIds.json?{query}", what="the account's verified numbers")
        if isinstance(verified, str):
            return [verified]
        if verified.get("outgoing_caller_ids"):
            return []
        return ["from_number is not this account's; expected one bought at Twilio, or verified there"]

    async def _read(self, path: str, *, what: str) -> dict[str, Any] | str:
        """Return a resource, or a sentence on why it can't be read."""
        match await self._get(path, absent=NotFound()):
            case NotFound():
                return f"{what} can't be read: there is no such account_sid"
            case NoAnswer(reason):
                return f"{what} can't be read: {reason}"
            case answer:
                return answer

    async def _post(self, path: str, fields: Sequence[tuple[str, str]]) -> HttpResult:
        """Send a form to a resource, which is named by its path below the account's own."""
        headers = {**self._headers, "Content-Type": _FORM}
        return await self._http.ask("POST", self._resources + path, headers=headers, content=urlencode(fields).encode())

    async def _get(self, path: str, *, absent: NotFound | NoAnswer) -> dict[str, Any] | NotFound | NoAnswer:
        """Read a resource; `absent` is what a 404 proves. The path `.json` is the account itself."""
        outcome = await self._http.ask("GET", self._resources + path, headers=self._headers)
        return object_in(outcome, absent=absent, private=self._auth_tokens)

    def _request(self, placement: Placement) -> list[tuple[str, str]]:
        settings = self._settings
        fields = [
            ("To", placement.phone_number),
            ("From", settings.from_number),
            ("Url", self._url("answer", placement.call_id)),
            ("Method", "POST"),
            # A GET, and the same for every call, so that a file can answer it while we can't.
            ("FallbackUrl", f"{self._base_urls[0]}{PATH}/fallback"),
            ("FallbackMethod", "GET"),
            ("StatusCallback", self._url("status", placement.call_id)),
            ("StatusCallbackMethod", "POST"),
            *(("StatusCallbackEvent", event) for event in _EVENTS),
            ("Timeout", str(settings.ring_seconds)),
            ("TimeLimit", str(settings.max_call_seconds)),
        ]
        if settings.machine_detection != "off":
            fields.append(("MachineDetection", settings.machine_detection))
        return fields

    def _url(self, what: str, call_id: str) -> str:
        return f"{self._base_urls[0]}{PATH}/{what}/{quote(call_id, safe='')}"


def _path(external_call_id: str) -> str:
    return f"/Calls/{quote(external_call_id, safe='')}.json"
