"""Which calls a list shows, and which page of them, by the query that asks for it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from reminderd.sandbox.twilio.call import STATUSES, TwilioCall
from reminderd.sandbox.twilio.form import Fields, choice, number
from reminderd.sandbox.twilio.resources import page_of_calls

_FILTERS: Final = frozenset({"To", "From", "Status"})

LISTED_BY: Final = _FILTERS | {"PageSize", "Page"}
"""The parameters that a list takes."""

_PAGE_SIZE, _MOST_PAGE_SIZE, _MOST_PAGE = 50, 1000, 1_000_000


def listed(account_sid: str, calls: Sequence[TwilioCall], fields: Fields) -> Mapping[str, Any]:
    """The page that the query's fields ask for; of calls in the order in which they were placed the newest come first.

    Raises:
        ApiError: a field has a value that Twilio does not take.
    """
    filters = {name: values[0] for name, values in fields.items() if name in _FILTERS}
    choice(fields, "Status", STATUSES, "")
    matching = [call for call in reversed(calls) if _matches(call, filters)]
    page_size = number(fields, "PageSize", 1, _MOST_PAGE_SIZE, _PAGE_SIZE)
    page = number(fields, "Page", 0, _MOST_PAGE, 0)
    return page_of_calls(account_sid, matching, filters=filters, page=page, page_size=page_size)


def _matches(call: TwilioCall, filters: Mapping[str, str]) -> bool:
    told = {"To": call.phone_number, "From": call.order.sender, "Status": call.status}
    return all(told[name] == value for name, value in filters.items())
