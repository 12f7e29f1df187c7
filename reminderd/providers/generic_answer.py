"""What an answer of the generic contract means: the one table that decides whether a patient may be called again."""

from datetime import datetime

from reminderd.core.answers import AccountTrouble, Answer, NotPlaced, Refused, Unclear
from reminderd.providers.acceptance import acceptance
from reminderd.providers.exchange import Outcome, Unheard
from reminderd.providers.retry_after import retry_after
from reminderd.providers.words import reason


def answer_to_placing(outcome: Outcome, *, private: tuple[str, ...], now: datetime) -> Answer:
    """The meaning of what came back for `POST /calls`.

    The status decides: outside 2xx an answer whose body broke off still says what its status says.

    Args:
        outcome: what came back.
        private: texts that no reason may repeat.
        now: to count a Retry-After date from.
    """
    if isinstance(outcome, Unheard):
        return Unclear(outcome.reason) if outcome.sent else NotPlaced(outcome.reason)
    wait = retry_after(outcome.headers.get("retry-after"), now)
    match outcome.status:
        case status if 200 <= status < 300:
            return acceptance(outcome, id_field="call_id")
        case 429:
            return NotPlaced(reason(outcome, private=private), wait, rate_limited=True)
        case 503 if wait is not None:
            return NotPlaced(reason(outcome, private=private), wait)
        case 401 | 402 | 404 | 405:
            return AccountTrouble(reason(outcome, private=private))
        case 403:
            return NotPlaced(reason(outcome, private=private), number_refused=True)
        case status if 300 <= status < 400:
            return AccountTrouble(reason(outcome, private=private))
        case 408 | 409:
            return Unclear(reason(outcome, private=private))
        case status if 400 <= status < 500:
            return Refused(reason(outcome, private=private))
        case _:
            return Unclear(reason(outcome, private=private))
