"""An answer of 2xx to a request to place a call: accepted, if it names the call; else nobody knows."""

from reminderd.core.answers import Accepted, Answer, Unclear, spelled
from reminderd.providers.base import InvalidPayloadError
from reminderd.providers.exchange import Heard
from reminderd.providers.payload import STATUS_LIMIT, json_object, usable


def acceptance(heard: Heard, *, id_field: str) -> Answer:
    """What a 2xx means whose JSON has the provider's id of the call in `id_field`, and perhaps a `status`."""
    if not heard.complete:
        return Unclear(f"{heard.status}, but the answer was incomplete")
    try:
        answer = json_object(heard.body)
    except InvalidPayloadError:
        return Unclear(f"{heard.status}, but the answer is not a JSON object")
    call_id, status = answer.get(id_field), answer.get("status")
    if not (isinstance(call_id, str) and usable(call_id)):
        return Unclear(f"{heard.status}, but without a usable {id_field}")
    if not (isinstance(status, str) and usable(spelled(status), limit=STATUS_LIMIT)):
        return Accepted(call_id)
    return Accepted(call_id, spelled(status))
