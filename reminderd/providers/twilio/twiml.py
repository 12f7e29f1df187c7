"""Writes TwiML, the XML that says what Twilio speaks and asks in a call.

Facts: https://www.twilio.com/docs/voice/twiml/say, /gather, /pause, /hangup; https://www.twilio.com/docs/api/errors/11750
(an answer has at most 64 kB) and /13521 (how much one Say accepts).
"""

import re
from bisect import bisect
from collections.abc import Iterator
from itertools import accumulate
from typing import Final
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement, tostring

from reminderd.core.script.prompts import Prompt, Question, SpokenReply
from reminderd.core.script.scripts import Script, spoken

KEY_SECONDS: Final = 8
"""How long to wait for a key after the last word: the phone must be taken from the ear, and its keypad opened."""

KEY_SECONDS_AFTER_VOICEMAIL: Final = 2
"""The same for a machine: what it hears meanwhile is recorded."""

SAY_TAKES: Final = 3_000
"""URL-encoded characters in one Say: Twilio accepts 4,500 of these, but only 3,000 bytes for one of Polly's voices."""

PAUSE_SECONDS: Final = 1
"""Between the two times that the text for a machine is spoken."""

_NOT_IN_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 can't carry, in whatever spelling: https://www.w3.org/TR/xml/#charsets."""


def twiml(reply: SpokenReply, *, script: Script, message: str, keys_url: str) -> bytes:
    """Return the TwiML that speaks a reply, and asks for a key if it has a question; else the call ends after it.

    A key may be pressed before the last word is said. Whether one comes or not, Twilio goes on at `keys_url`; without
    a key it sends no `Digits`, or empty ones.

    Args:
        reply: what is spoken.
        script: the scripts around the message, and the language.
        message: the reminder's own; characters that XML can't carry are left out.
        keys_url: where a key is reported, complete with what travels along; unused without a question.
    """
    response = Element("Response")
    speaking = response
    if reply.parts and reply.question is not None:
        speaking = SubElement(
            response,
            "Gather",
            action=keys_url,
            method="POST",
            numDigits="1",
            timeout=str(KEY_SECONDS_AFTER_VOICEMAIL if reply.question is Question.VOICEMAIL else KEY_SECONDS),
            actionOnEmptyResult="true",
            finishOnKey="",  # else a # would look like no key at all
        )
    for part in reply.parts:
        _say(speaking, spoken(part, script, message), script)
        if part is Prompt.VOICEMAIL:
            # Machines often miss the beginning. Two Says: one with loop="2" would leave no pause between.
            SubElement(speaking, "Pause", length=str(PAUSE_SECONDS))
            _say(speaking, spoken(part, script, message), script)
    return _ended(response)


def fallback(script: Script) -> bytes:
    """Return the TwiML for when we can't be reached: the text for a machine, once; for a static file.

    Neither a person nor a machine learns more from it than who called and where to call back.
    """
    response = Element("Response")
    _say(response, spoken(Prompt.VOICEMAIL, script, ""), script)
    return _ended(response)


def _ended(response: Element) -> bytes:
    SubElement(response, "Hangup")
    document: bytes = tostring(response, encoding="utf-8", xml_declaration=True)
    return document


def _say(parent: Element, text: str, script: Script) -> None:
    how = {"language": script.language} | ({"voice": script.voice} if script.voice else {})
    speakable = _NOT_IN_XML.sub("", " ".join(text.split()))
    for piece in _pieces(speakable):
        if any(character.isprintable() and character != " " for character in piece):  # an empty Say is an error
            SubElement(parent, "Say", how).text = piece


def _pieces(text: str) -> Iterator[str]:
    """Yield the text in pieces that one Say accepts, cut after a sentence, else between words, else anywhere."""
    rest = text
    while rest:
        sizes = accumulate(len(quote(character, safe="")) for character in rest)
        fits = bisect(list(sizes), SAY_TAKES)
        head = rest[:fits]
        cut = fits if fits == len(rest) else head.rfind(". ") + 1 or head.rfind(" ") + 1 or fits
        yield rest[:cut].strip()
        rest = rest[cut:]
