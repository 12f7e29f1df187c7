"""Describe how calls end in each provider's words, and whose messages were heard by then, by the provider's own record.

Nothing here uses the program's own reading of a report: the tests compare that reading with `heard_by_report`.
"""

import json
import re
from collections.abc import Mapping
from email.utils import format_datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from attrs import frozen

from reminderd.core.answers import Report
from reminderd.core.script.prompts import Prompt
from reminderd.core.script.scripts import Script, Scripts
from reminderd.providers.base import Webhook, json_object
from reminderd.providers.generic.webhooks import read_report
from reminderd.providers.twilio import webhooks as forms
from tests.support.builders import NOW, SECOND

if TYPE_CHECKING:
    from tests.chaos.carrier import CarrierCall, Subject

GREETING_TAKES: Final = 2.0
"""Seconds that the greeting takes, by the clinic's rules."""
GREETING: Final = Scripts(own=Script(templates={Prompt.GREETING: "so " * 5}))
"""A greeting that takes this time."""

_WORDS_PER_SECOND: Final = 2.5
_CHARACTERS_PER_SECOND: Final = 15
_ROUNDED: Final = 0.5
"""How far a reported duration may be off, in seconds: providers report whole seconds."""
MESSAGES: Final = re.compile(r"This is [\w-]+\. Version \d+\.|Visit [\w-]+ on [^.]*\.")
"""The messages of reminders and of appointments."""


class Who(StrEnum):
    """What has answered."""

    PERSON = "person"
    MACHINE = "machine"
    FAX = "fax"


ANSWERERS: Final[Mapping[str | None, Who]] = {
    None: Who.PERSON,
    "human": Who.PERSON,
    "Unknown": Who.PERSON,
    "machine_start": Who.MACHINE,
    "Voicemail": Who.MACHINE,
    "ANSWERING-MACHINE": Who.MACHINE,
    "machine_end_beep": Who.MACHINE,
    "fax": Who.FAX,
    "FAX": Who.FAX,
}
"""What has answered, by each spelling of the providers."""

MOST_ANSWERERS: Final = (*(None,) * 6, *("human",) * 4, *ANSWERERS)


@frozen(kw_only=True)
class Ending:
    """The end of a call, and how the provider reports it."""

    word: str = "completed"
    """The status, as a gateway of the generic contract spells it."""
    means: str = "completed"
    lasts: float = 1.5
    """How long an answered line stays open, relative to the time that the spoken text takes."""
    is_empty: bool = False
    """Whether it is reported with a duration of 0."""
    sip: int | None = None
    answered_by: str | None = None
    """Who answered, if this is only known at the end."""
    asks_first: bool = False
    """Whether Twilio asks what follows the message, and states in this request that the call is over."""


HEARD: Final = Ending()

ENDINGS: Final = (
    *(HEARD,) * 5,
    Ending(word="COMPLETE"),
    Ending(word="Completed", lasts=0.85),
    Ending(lasts=0.85),
    Ending(lasts=0.85, asks_first=True),
    Ending(lasts=0.0),
    Ending(is_empty=True, lasts=0.0),
    Ending(word="complete", is_empty=True, lasts=0.0),
    Ending(answered_by="machine_end_beep"),
    Ending(answered_by="Voicemail"),
    Ending(answered_by="FAX"),
    Ending(word="hung-up", means="hung-up", lasts=0.85),
    Ending(word="User Hangup", means="hung-up", lasts=0.85),
    Ending(word="busy", means="busy"),
    Ending(word="user_busy", means="busy"),
    Ending(word="no-answer", means="no-answer"),
    Ending(word="Unanswered", means="no-answer"),
    Ending(word="timeout", means="no-answer"),
    Ending(word="CANCELLED", means="canceled"),
    Ending(word="declined", means="declined"),
    Ending(word="call_rejected", means="declined"),
    Ending(word="failed", means="failed"),
    Ending(word="Error", means="failed"),
    Ending(word="failed", means="failed", sip=480),
    Ending(word="failed", means="failed", sip=603),
    Ending(word="busy", means="busy", sip=603),
)

PROGRESS: Final = ("ringing", "IN_PROGRESS", "held", "answered")

_OF_TWILIO: Final[Mapping[str, tuple[str, int | None]]] = {"hung-up": ("completed", None), "declined": ("failed", 603)}
"""The ends for which Twilio has no word."""


def takes(speech: str) -> float:
    """Return how many seconds it takes to speak the greeting and these messages, in whole milliseconds.

    It is 2.5 words a second, where each digit is a word, or 15 characters a second if that takes longer.
    """
    words = sum(max(1, sum(one.isdigit() for one in word)) for word in speech.split())
    return round(GREETING_TAKES + max(words / _WORDS_PER_SECOND, len(speech) / _CHARACTERS_PER_SECOND), 3)


def heard_by_report(call: "CarrierCall", *, voicemail_is_reached: bool) -> frozenset["Subject"]:
    """Return whose messages were heard in an ended call, by its report; a key may prove that others were heard, too."""
    ending, who = call.ending, ANSWERERS[call.answered_by]
    if ending is None or ending.is_empty or not call.picked_up:
        return frozenset()
    if not call.account.capabilities.asks_what_to_say:
        is_left_to_machine = who is Who.MACHINE and voicemail_is_reached and ending.means in {"completed", "hung-up"}
        is_heard = who is Who.PERSON and ending.means == "completed"
        return frozenset(call.spoken if is_heard or is_left_to_machine else ())
    if in_words_of_twilio(ending)[0] != "completed" or call.spoken_from is None or call.ended is None:
        return frozenset()
    if call.spoken_to is Who.MACHINE:
        return frozenset(call.spoken if voicemail_is_reached and seconds_reported(call) > 0 else ())
    open_for = call.ended - call.spoken_from + _ROUNDED
    ends = [found.end() for found in MESSAGES.finditer(call.speech)]
    spoken = zip(call.spoken, ends, strict=True)
    return frozenset(subject for subject, end in spoken if open_for >= takes(call.speech[:end]))


def seconds_reported(call: "CarrierCall") -> int:
    """Return the duration that the provider reports for an ended call."""
    is_empty = call.ending is None or call.ending.is_empty or call.ended is None or call.answered_at is None
    return 0 if is_empty else round((call.ended or 0.0) - (call.answered_at or 0.0))


def in_words_of_twilio(ending: Ending) -> tuple[str, int | None]:
    """Return the status and the SIP code that Twilio reports for this end."""
    word, sip = _OF_TWILIO.get(ending.means, (ending.means, None))
    return word, sip or ending.sip


def reported_by_gateway(call: "CarrierCall", *, word: str | None = None) -> Report:
    """Return what a gateway of the generic contract reports about a call, as we read it; `word` is its progress."""
    ending = call.ending if word is None else None
    status = word or ("in-progress" if call.picked_up else "ringing")
    body: dict[str, Any] = {
        "call_id": call.call_id,
        "status": status if ending is None else ending.word,
        "metadata": {"reminder_id": call.reminder_id},
        "answered_by": call.answered_by,
    }
    if call.account.echoes_attempt_id:
        body["metadata"]["attempt_id"] = call.key
    if ending is not None:
        body |= {"sip_response_code": ending.sip, "transcript": call.transcript}
        if ending.is_empty:
            body["duration"] = 0
        elif ending.means == "completed":
            body["duration"] = max(1, seconds_reported(call))
    return read_report(json_object(json.dumps(body).encode()))


def reported_by_twilio(call: "CarrierCall", *, word: str | None = None) -> Report:
    """Return what Twilio reports about a call, as we read its form; `word` is for progress."""
    ending = call.ending if word is None else None
    form = {"CallSid": call.call_id, "CallStatus": word or ("in-progress" if call.picked_up else "ringing")}
    if call.answered_by is not None:
        form["AnsweredBy"] = call.answered_by
    if ending is not None:
        status, sip = in_words_of_twilio(ending)
        ended_at = NOW + (call.ended or 0.0) * SECOND
        form |= {
            "CallStatus": status,
            "CallDuration": str(seconds_reported(call)),
            "Timestamp": format_datetime(ended_at),
        }
        if sip is not None:
            form["SipResponseCode"] = str(sip)
    target = f"/webhooks/twilio/status/{call.key}"
    return forms.read_report(Webhook(target=target, headers={}, body=urlencode(form).encode()))
