"""What Twilio's answer to a request for a call means: a small table of error codes, and a default for each HTTP class.

Twilio itself advises against much logic on codes, as they get split; so only those are named here whose class is not
that of their HTTP status. Meanings: https://www.twilio.com/docs/api/errors/<code>.
"""

from datetime import datetime
from typing import Final

from reminderd.core.answers import AccountTrouble, Answer, NotPlaced, Refused, Unclear
from reminderd.providers.acceptance import acceptance
from reminderd.providers.base import InvalidPayloadError
from reminderd.providers.exchange import Heard, Outcome, Unheard
from reminderd.providers.payload import json_object
from reminderd.providers.retry_after import retry_after
from reminderd.providers.words import reason

NUMBER: Final = frozenset({21211, 21217, 21214, 21202, 13223, 13224, 13225, 32203})
"""This number can't be called, whoever asks: invalid, unreachable, premium, blocked."""

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


def answer_to_placing(outcome: Outcome, *, private: tuple[str, ...], now: datetime) -> Answer:
    """The meaning of what came back for `POST …/Calls.json`.

    Twilio knows no idempotency key: whatever may have been processed is unclear, and never asked for again.

    Args:
        outcome: what came back.
        private: texts that no reason may repeat.
        now: to count a Retry-After date from.
    """
    if isinstance(outcome, Unheard):
        return Unclear(outcome.reason) if outcome.sent else NotPlaced(outcome.reason)
    if 200 <= outcome.status < 300:
        return acceptance(outcome, id_field="sid")
    said = reason(outcome, private=private)
    if outcome.status >= 500 or outcome.status in {408, 409}:
        return Unclear(said)
    code = code_in(outcome)
    if outcome.status == 429 or code in BUSY:
        return NotPlaced(said, retry_after(outcome.headers.get("retry-after"), now), rate_limited=True)
    if code in NUMBER:
        return Refused(said)
    is_status_of_account = outcome.status in {401, 402, 403, 404, 405} or outcome.status < 400
    if code in ACCOUNT or (is_status_of_account and code not in NUMBER_FOR_US):
        return AccountTrouble(said)
    # Only the number differs from one call to the next. So what nobody knows is about it, or about every call: whether
    # other numbers are accepted will tell.
    return NotPlaced(said, number_refused=True)


def code_in(heard: Heard) -> int | None:
    """Twilio's own number for an error, or None."""
    try:
        code = json_object(heard.body).get("code")
    except InvalidPayloadError:
        return None
    return code if type(code) is int else None
