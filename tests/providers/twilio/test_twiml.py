"""Compare our answers with Twilio's reference: verbs, what they may contain, attributes and their values.

https://www.twilio.com/docs/voice/twiml: say, pause, gather, hangup.
"""

import re
from urllib.parse import quote
from xml.etree.ElementTree import Element, fromstring

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from reminderd.core.model import MESSAGE_LIMIT
from reminderd.core.script.prompts import Prompt, Question, SpokenReply
from reminderd.core.script.scripts import Script, spoken_text
from reminderd.providers.twilio.webhooks import fallback, twiml

KEYS_URL = "https://clinic.example/webhooks/twilio/keys/call-1?question=menu&repeats=0"
WORDING = Script(clinic="Dr. Brown's office", phone="+12025550190")
SCRIPT = (Prompt.GREETING, Prompt.MESSAGE, Prompt.MENU)
LIMIT = 64_000

VERBS: dict[str, tuple[set[str], dict[str, str]]] = {
    "Response": ({"Gather", "Say", "Pause", "Hangup"}, {}),
    "Gather": (
        {"Say", "Pause"},  # and Play, which we don't use
        {
            "action": r"https?://.+",
            "method": "GET|POST",
            "numDigits": "[1-9][0-9]*",
            "timeout": "[1-9][0-9]*",
            "actionOnEmptyResult": "true|false",
            "finishOnKey": "[0-9#*]?",
        },
    ),
    "Say": (set(), {"language": "[A-Za-z]{2,3}(-[A-Za-z0-9]+)*", "voice": r"man|woman|(Polly|Google)\.[\w-]+"}),
    "Pause": (set(), {"length": "[1-9][0-9]*"}),
    "Hangup": (set(), {}),
}
"""Each verb that we use: what may stand in it, and its attributes with their values."""


def parsed(document: bytes) -> Element:
    """Return the answer, checked against all of Twilio's rules."""
    assert document.startswith(b"<?xml version='1.0' encoding='utf-8'?>")
    assert len(document) < LIMIT
    response = fromstring(document.decode())  # noqa: S314 - our own
    assert response.tag == "Response"
    for verb in response.iter():
        inside, attributes = VERBS[verb.tag]
        assert {child.tag for child in verb} <= inside
        for name, value in verb.attrib.items():
            assert re.fullmatch(attributes[name], value), (verb.tag, name, value)
        text = (verb.text or "").strip()
        assert bool(text) == (verb.tag == "Say")
        assert len(text.encode()) <= 3000
        assert len(quote(text, safe="")) <= 4500
    assert response[-1].tag == "Hangup"
    return response


def said(verb: Element) -> list[str]:
    return [say.text or "" for say in verb.iter("Say")]


def answer(
    *parts: Prompt, question: Question | None = None, script: Script = WORDING, message: str = "Tomorrow at nine."
) -> Element:
    return parsed(twiml(SpokenReply(parts=parts, question=question), script=script, message=message, keys_url=KEYS_URL))


def test_a_question_is_inside_a_gather_so_a_key_can_be_pressed_at_any_time() -> None:
    gather, hangup = answer(*SCRIPT, question=Question.MENU)
    assert (gather.tag, hangup.tag) == ("Gather", "Hangup")
    assert said(gather) == [spoken_text(part, WORDING, "Tomorrow at nine.") for part in SCRIPT]
    assert gather.attrib == {
        "action": KEYS_URL,
        "method": "POST",
        "numDigits": "1",
        "timeout": "8",
        "actionOnEmptyResult": "true",
        "finishOnKey": "",
    }


def test_without_a_question_the_call_ends_after_the_last_part() -> None:
    assert [verb.tag for verb in answer(Prompt.CONFIRMED, Prompt.GOODBYE)] == ["Say", "Say", "Hangup"]


@pytest.mark.parametrize("question", [None, Question.CANCEL])
def test_without_parts_the_call_hangs_up(question: Question | None) -> None:
    assert [verb.tag for verb in answer(question=question)] == ["Hangup"]


def test_a_machine_hears_the_message_twice_and_a_person_may_press_a_key_in_between() -> None:
    gather, hangup = answer(Prompt.VOICEMAIL, question=Question.VOICEMAIL)
    assert (gather.tag, gather.get("action"), gather.get("numDigits")) == ("Gather", KEYS_URL, "1")
    assert int(gather.get("timeout", "")) < 8, "a machine records the silence"
    assert hangup.tag == "Hangup"
    first, pause, second = gather
    assert pause.tag == "Pause"
    assert first.text == second.text == spoken_text(Prompt.VOICEMAIL, WORDING, "")


def test_the_fallback_is_the_neutral_text_without_the_message() -> None:
    telling = evolve(WORDING, templates={Prompt.VOICEMAIL: "{clinic}: {message}."})
    assert [verb.tag for verb in parsed(fallback(WORDING))] == ["Say", "Hangup"]
    assert said(parsed(fallback(WORDING))) == [spoken_text(Prompt.VOICEMAIL, WORDING, "")]
    assert said(parsed(fallback(telling))) == ["Dr. Brown's office: ."]


def test_the_clinics_language_and_voice_are_used() -> None:
    (say, _) = answer(Prompt.CONFIRMED)
    assert say.attrib == {"language": "en-US"}
    (say, _) = answer(Prompt.CONFIRMED, script=Script(language="de-DE", voice="Polly.Vicki-Neural"))
    assert say.attrib == {"language": "de-DE", "voice": "Polly.Vicki-Neural"}
    assert say.text == "Vielen Dank. Ihr Termin ist bestätigt."


@pytest.mark.parametrize("part", Prompt)
@pytest.mark.parametrize("question", [None, *Question])
def test_every_part_can_be_spoken(part: Prompt, question: Question | None) -> None:
    assert spoken_text(part, WORDING, "Tomorrow at nine.") in said(answer(part, question=question))


def test_xml_in_a_message_is_escaped() -> None:
    message = "</Say><Dial>+12025550</Dial> & < > \" ' ]]> 你好 \u200b &amp; <![CDATA["
    (say, _) = answer(Prompt.MESSAGE, message=message)
    assert say.text == message


def test_characters_that_xml_cannot_contain_are_left_out() -> None:
    (say, _) = answer(Prompt.MESSAGE, message="a\0b\x07c\ud800d\ufffe\uffffe\tf\r\ng\x85h\N{WAVING HAND SIGN}")
    assert say.text == "abcde f g h\N{WAVING HAND SIGN}"


@pytest.mark.parametrize("message", ["", " \n", "\0\x07", "\u200b"])
def test_an_inaudible_message_makes_no_say_verb(message: str) -> None:
    assert [verb.tag for verb in answer(Prompt.MESSAGE, message=message)] == ["Hangup"]


@pytest.mark.parametrize(
    "unit", ["& < > \" ' 你好 \u200b", "&", "<", "x", "\N{WAVING HAND SIGN}", "你", "word ", "A sentence. "]
)
def test_a_message_of_4000_characters_is_spoken_whole_in_pieces_that_twilio_accepts(unit: str) -> None:
    message = (unit * MESSAGE_LIMIT)[:MESSAGE_LIMIT].strip()
    pieces = said(answer(Prompt.MESSAGE, message=message))
    assert "".join(pieces).replace(" ", "") == message.replace(" ", "")
    assert " ".join(pieces) == message or " " not in unit


def test_a_long_message_is_split_after_a_sentence_or_between_words() -> None:
    assert all(piece.endswith(".") for piece in said(answer(Prompt.MESSAGE, message="Come at nine. " * 280)))
    assert all(piece.endswith("word") for piece in said(answer(Prompt.MESSAGE, message="word " * 800)))


@pytest.mark.parametrize("unit", ["&", "\N{WAVING HAND SIGN}", "你"])
@pytest.mark.parametrize("parts", [SCRIPT, (Prompt.UNKNOWN_KEY, *SCRIPT), (Prompt.VOICEMAIL,)])
def test_the_longest_configured_texts_stay_within_twilios_limit(unit: str, parts: tuple[Prompt, ...]) -> None:
    placeholders = "{clinic}{phone}" * 3
    template = placeholders + unit * (1000 - len(placeholders))
    own: dict[Prompt, str] = dict.fromkeys(Prompt, template)
    script = Script(
        clinic=unit * 100,
        phone="+4915112345678",
        voice="Polly." + "V" * 94,
        templates=own | {Prompt.VOICEMAIL: ("{message}" + template)[:1000]},
    )
    answer(*parts, question=Question.MENU, script=script, message=unit * MESSAGE_LIMIT)


anything = st.text(st.characters(), max_size=400)  # lone surrogates too


@given(
    message=anything,
    clinic=anything,
    greeting=anything,
    parts=st.lists(st.sampled_from(Prompt), max_size=4),
    question=st.none() | st.sampled_from(Question),
)
def test_every_reply_is_valid_twiml(
    message: str, clinic: str, greeting: str, parts: list[Prompt], question: Question | None
) -> None:
    script = evolve(WORDING, clinic=clinic, templates={Prompt.GREETING: greeting})
    response = answer(*parts, question=question, script=script, message=message)
    assert len(response) == 1 or (question is None) == (response.find("Gather") is None)
