"""What an answer to a look-up can prove, whoever was asked."""

from typing import Any

from reminderd.core.answers import NoAnswer, NotFound
from reminderd.providers.base import InvalidPayloadError
from reminderd.providers.exchange import Outcome, Unheard
from reminderd.providers.payload import json_object
from reminderd.providers.words import reason


def object_in(
    outcome: Outcome, *, absent: NotFound | NoAnswer, private: tuple[str, ...]
) -> dict[str, Any] | NotFound | NoAnswer:
    """The JSON object that answers a look-up, or what the lack of one proves.

    Args:
        outcome: what came back.
        absent: what a 404 proves.
        private: texts that no reason may repeat.
    """
    if isinstance(outcome, Unheard):
        return NoAnswer(outcome.reason)
    if outcome.status == 404:
        return absent
    if not 200 <= outcome.status < 300:
        return NoAnswer(reason(outcome, private=private))
    if not outcome.complete:
        return NoAnswer(f"{outcome.status}, but the answer was incomplete")
    try:
        return json_object(outcome.body)
    except InvalidPayloadError as error:
        return NoAnswer(str(error))
