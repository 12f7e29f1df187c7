"""Twilio's REST API in the name of one account: its requests, what their answers mean, and the account's check."""

from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

from attrs import field, frozen

from reminderd.core.answers import (
    AccountRefused,
    Answer,
    Candidates,
    Found,
    LookUpAnswer,
    NoAnswer,
    NotFound,
    NotPlaced,
    Refused,
    Report,
    Unclear,
    spelled,
)
from reminderd.providers.base import DURATION_LIMIT, STATUS_LIMIT, InvalidPayloadError, json_object, usable
from reminderd.providers.http import (
    HttpAnswer,
    HttpClient,
    HttpFailure,
    HttpResult,
    acceptance,
    check_api_url,
    object_in,
    reason,
    retry_after,
)


@frozen(kw_only=True)
class Account:
    """Who we are to Twilio."""

    sid: str
    auth_token: str = field(repr=False)
    """Signs our requests, and verifies Twilio's."""
    secondary_auth_token: str = field(default="", repr=False)
    """Verifies Twilio's requests, too, while one token replaces the other; empty: there is none."""
    from_number: str
    """E.164; the number that patients see."""

    @property
    def auth_tokens(self) -> tuple[str, ...]:
        """Return the tokens with which Twilio may sign."""
        return tuple(token for token in (self.auth_token, self.secondary_auth_token) if token)


class TwilioApi:
    """The resources of one account, each by its path below the account's own."""

    def __init__(self, *, account: Account, api_url: str, timeout: timedelta, max_connections: int) -> None:
        """Keep the settings; connections are made when they are needed.

        Args:
            account: whose.
            api_url: where Twilio is, without a version and a path.
            timeout: for one request and its whole answer.
            max_connections: requests at one time; more wait within their timeout.

        Raises:
            ValueError: the URL can't be used.
        """
        check_api_url(api_url)
        self.account = account
        self._base = f"{api_url.rstrip('/')}/2010-04-01/Accounts/{account.sid}"
        self._http = HttpClient(timeout=timeout, max_connections=max_connections)

    async def post(self, path: str, fields: Sequence[tuple[str, str]]) -> HttpResult:
        """Send a form."""
        headers = {**self._headers(), "Content-Type": "application/x-www-form-urlencoded"}
        return await self._http.ask("POST", self._base + path, headers=headers, content=urlencode(fields).encode())

    async def get(self, path: str, *, absent: NotFound | NoAnswer) -> dict[str, Any] | NotFound | NoAnswer:
        """Read a resource; `absent` is what a 404 proves. An empty path, or `.json`, is the account itself."""
        outcome = await self._http.ask("GET", self._base + path, headers=self._headers())
        return object_in(outcome, absent=absent, private=self.account.auth_tokens)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    def _headers(self) -> dict[str, str]:
        credentials = b64encode(f"{self.account.sid}:{self.account.auth_token}".encode()).decode()
        return {
            "Authorization": f"Basic {credentials}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "reminderd",
        }


async def mistakes_in(api: TwilioApi) -> list[str]:
    """Return what is wrong with the account or the number that calls come from, a sentence each."""
    account = await _read(api, ".json", what="the account")
    if isinstance(account, str):
        return [account]
    status = account.get("status")
    account_mistakes = [] if status == "active" else [f"the account is {status}; expected active"]
    return account_mistakes + await _number_mistakes(api)


async def _number_mistakes(api: TwilioApi) -> list[str]:
    query = f"PhoneNumber={quote(api.account.from_number, safe='')}"
    bought = await _read(api, f"/IncomingPhoneNumbers.json?{query}", what="the account's numbers")
    if isinstance(bought, str):
        return [bought]
    match bought.get("incoming_phone_numbers"):
        case [{"capabilities": {"voice": True}}, *_]:
            return []
        case [_, *_]:
            return ["from_number can't make calls; expected a number with the capability voice"]
    verified = await _read(api, f"/OutgoingCallerIds.json?{query}", what="the account's verified numbers")
    if isinstance(verified, str):
        return [verified]
    if verified.get("outgoing_caller_ids"):
        return []
    return ["from_number is not this account's; expected one bought at Twilio, or verified there"]


async def _read(api: TwilioApi, path: str, *, what: str) -> dict[str, Any] | str:
    """Return a resource, or a sentence why it can't be read."""
    answer = await api.get(path, absent=NotFound())
    match answer:
        case NotFound():
            return f"{what} can't be read: there is no such account_sid"
        case NoAnswer(reason):
            return f"{what} can't be read: {reason}"
        case _:
            return answer


NUMBER: Final = frozenset({21211, 21217, 21214, 21202, 13223, 13224, 13225, 32203})
"""This number can't be called by anybody: invalid, unreachable, premium, blocked."""

NUMBER_FOR_US: Final = frozenset({13227, 21203, 21215, 21216, 21219, 573002, 573005})
"""This number can't be called as our account stands, and others may well be: its country is not allowed, Twilio blocks
it, or a trial account may not call it."""

ACCOUNT: Final = frozenset(
    {10001, 10002, 20001, 20003, 20005, 20010, 20403, 20422, 21205, 21208, 21209, 21210, 21212, 21213, 21609, 21626}
)
"""Nobody is called as things stand: credentials, a suspended account, the caller's number, what a trial lacks, or a
parameter that is the same for every call, as our URLs are."""

BUSY: Final = frozenset({10004, 20429})
"""Too many at once: not processed, and safe to send again."""

CLOCKS_DIFFER: Final = timedelta(seconds=60)
"""How far Twilio's clock may be behind ours; a call that was created earlier is an older one."""


def answer_to_placing(outcome: HttpResult, *, private: tuple[str, ...], now: datetime) -> Answer:
    """Decide what the answer to `POST …/Calls.json` proves, and so whether the patient may be called again.

    Twilio knows no idempotency key: whatever may have been processed is unconfirmed, and never requested again.

    Args:
        outcome: what came back.
        private: texts that no reason may repeat.
        now: to count a Retry-After date from.
    """
    if isinstance(outcome, HttpFailure):
        return Unclear(outcome.reason) if outcome.sent else NotPlaced(outcome.reason)
    if 200 <= outcome.status < 300:
        return acceptance(outcome, id_field="sid")
    why = reason(outcome, private=private)
    if outcome.status >= 500 or outcome.status in {408, 409}:
        return Unclear(why)
    code = code_in(outcome)
    if outcome.status == 429 or code in BUSY:
        return NotPlaced(why, retry_after(outcome.headers.get("retry-after"), now), rate_limited=True)
    if code in NUMBER:
        return Refused(why)
    is_status_of_account = outcome.status in {401, 402, 403, 404, 405} or outcome.status < 400
    if code in ACCOUNT or (is_status_of_account and code not in NUMBER_FOR_US):
        return AccountRefused(why)
    # Only the number differs from one call to the next. So an unknown code is about the number or about every call:
    # whether other numbers are accepted will show.
    return NotPlaced(why, number_refused=True)


def code_in(answer: HttpAnswer) -> int | None:
    """Return Twilio's own number for an error, or None."""
    try:
        code = json_object(answer.body).get("code")
    except InvalidPayloadError:
        return None
    return code if type(code) is int else None


def found_in(answer: dict[str, Any], external_call_id: str) -> LookUpAnswer:
    """Return what a Call resource says of the call that was looked up."""
    report = _report(answer)
    if report is None:
        return NoAnswer("the answer is not a call with a sid and a status")
    if report.external_call_id != external_call_id:
        return NoAnswer("the answer speaks of another call")
    return Found(report)


def candidates_in(
    answer: dict[str, Any], *, phone_number: str, from_number: str, asked_from: datetime
) -> LookUpAnswer | Candidates:
    """Return the calls of a list, newest first, that could be the one that was requested.

    Twilio keeps no id of ours. A call is a candidate if it goes from our number to this one and was made through the
    API, not before it was requested.
    """
    calls = answer.get("calls")
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        return NoAnswer("calls: not a list of calls")
    created = [moment(call.get("date_created")) for call in calls]
    if None in created:
        return NoAnswer("a call is listed without the time of its creation")
    earliest = asked_from - CLOCKS_DIFFER
    recent = [call for call, at in zip(calls, created, strict=True) if at is not None and at >= earliest]
    if recent and len(recent) == len(calls) and answer.get("next_page_uri"):
        return NoAnswer("more calls to this number are listed than fit on a page")
    expected = {"to": phone_number, "from": from_number, "direction": "outbound-api"}
    ours = [call for call in recent if all(call.get(name) == value for name, value in expected.items())]
    reports = [_report(call) for call in ours]
    if None in reports:
        return NoAnswer("a call is listed without a sid or a status")
    return Candidates(tuple(report for report in reports if report is not None)) if reports else NotFound()


def whole_number(text: object, limit: int) -> int | None:
    """Return a number as Twilio writes it, in digits; None if it is not one, or above the limit."""
    is_digits = isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 10
    number = int(text) if is_digits and isinstance(text, str) else None
    return number if number is not None and number <= limit else None


def _report(call: dict[str, Any]) -> Report | None:
    sid, status, answered_by = call.get("sid"), call.get("status"), call.get("answered_by")
    if not (isinstance(sid, str) and usable(sid) and isinstance(status, str)):
        return None
    word = spelled(status)
    if not usable(word, limit=STATUS_LIMIT):
        return None
    return Report(
        external_call_id=sid,
        status=word,
        duration_seconds=whole_number(call.get("duration"), DURATION_LIMIT),
        answered_by=answered_by if isinstance(answered_by, str) and usable(answered_by) else None,
        ended_at=moment(call.get("end_time")),
    )


def moment(text: object) -> datetime | None:
    """Return a moment as Twilio writes it, by RFC 2822 and in UTC; None if it is not one."""
    try:
        at = parsedate_to_datetime(text if isinstance(text, str) else "")
    except (TypeError, ValueError, OverflowError):  # OverflowError: a zone beyond all measure
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
