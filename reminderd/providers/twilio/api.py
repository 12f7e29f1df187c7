"""Twilio's REST API in the name of one account, and the check of that account: read, and nothing changed."""

from base64 import b64encode
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode

from attrs import field, frozen

from reminderd.core.answers import NoAnswer, NotFound
from reminderd.providers.http import Exchange, Outcome, check_api_url, object_in


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
        self._exchange = Exchange(timeout=timeout, max_connections=max_connections)

    async def post(self, path: str, fields: Sequence[tuple[str, str]]) -> Outcome:
        """Send a form."""
        headers = {**self._headers(), "Content-Type": "application/x-www-form-urlencoded"}
        return await self._exchange.ask("POST", self._base + path, headers=headers, content=urlencode(fields).encode())

    async def get(self, path: str, *, absent: NotFound | NoAnswer) -> dict[str, Any] | NotFound | NoAnswer:
        """Read a resource; `absent` is what a 404 proves. An empty path, or `.json`, is the account itself."""
        outcome = await self._exchange.ask("GET", self._base + path, headers=self._headers())
        return object_in(outcome, absent=absent, private=self.account.auth_tokens)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._exchange.aclose()

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
