"""Find out whether the provider fails to reach our own address: then answered calls never ask what to say."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from reminderd.core.model import Call
from reminderd.core.rules import Rules

NUMBERS_IN_A_ROW: Final = 2
"""As many different numbers whose calls never asked, with no request in between, mean that our address is failing."""

ASKS_WITHIN: Final = timedelta(seconds=2)
"""A call that lasts this long after the answer, or after machine detection, has asked, if it can."""

UNREACHED: Final = (
    "answered calls never asked what to say, so patients heard nothing: "
    "the provider does not reach the address in [web].public_base_url"
)
"""The text for people while our address is failing."""


def is_ours(call: Call, rules: Rules) -> bool:
    """Return whether a call was placed with the account that is configured now."""
    return (call.provider, call.account) == (rules.provider, rules.account)


def never_asked(call: Call, rules: Rules) -> bool:
    """Return whether a call was answered and lasted long enough, and the provider never asked us what to say.

    A caller who hangs up while the provider still listens for a machine proves nothing, and neither does a call that we
    do not know.
    """
    shows_requests = rules.capabilities.asks_what_to_say and is_ours(call, rules) and not call.adopted
    if not shows_requests or call.fetched_at is not None or call.status != "completed" or call.duration_seconds is None:
        return False
    listens = rules.capabilities.listens_for if call.answered_by is None else timedelta(0)
    return timedelta(seconds=call.duration_seconds) >= listens + ASKS_WITHIN


def is_failing(calls: Iterable[Call], rules: Rules, *, answering_since: datetime | None) -> bool:
    """Return whether our address is failing, by the newest calls that were placed with it.

    Only calls that were made after the last request for a document count: they show what the address is like now.

    Args:
        calls: the newest calls.
        rules: the clinic's rules.
        answering_since: since when we could answer every request of the provider, unlike while stopped; None: always.
    """
    known = tuple(calls)
    asked = max((call.fetched_at for call in known if call.fetched_at is not None), default=None)
    since = [call for call in known if asked is None or call.created_at > asked]
    silent = [call for call in since if never_asked(call, rules) and not _may_be_unanswered(call, answering_since)]
    return len({call.phone_number for call in silent}) >= NUMBERS_IN_A_ROW


def _may_be_unanswered(call: Call, answering_since: datetime | None) -> bool:
    """Return whether we may have been unable to answer: the call was made before that was over, and ended after."""
    if answering_since is None or call.created_at > answering_since:
        return False
    return call.received_at is None or call.received_at > answering_since
