"""What Twilio itself says of an account and its number: read, and nothing changed."""

from typing import Any
from urllib.parse import quote

from reminderd.core.answers import NoAnswer, NotFound
from reminderd.providers.twilio.api import Api


async def mistakes_in(api: Api) -> list[str]:
    """What is wrong with the account or the number that we call from, a sentence each; empty: nothing."""
    account = await _read(api, ".json", what="the account")
    if isinstance(account, str):
        return [account]
    status = account.get("status")
    of_account = [] if status == "active" else [f"the account is {status}; expected active"]
    return of_account + await _mistakes_of_number(api)


async def _mistakes_of_number(api: Api) -> list[str]:
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


async def _read(api: Api, path: str, *, what: str) -> dict[str, Any] | str:
    """A resource, or a sentence why it can't be read."""
    answer = await api.get(path, absent=NotFound())
    match answer:
        case NotFound():
            return f"{what} can't be read: there is no such account_sid"
        case NoAnswer(reason):
            return f"{what} can't be read: {reason}"
        case _:
            return answer
