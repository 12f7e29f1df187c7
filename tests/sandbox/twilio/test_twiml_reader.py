from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reminderd.sandbox.twilio.twiml_reader import Document, Gather, Hangup, Pause, Redirect, Say, TwimlError, read_twiml


def read(verbs: str) -> Document:
    return read_twiml("text/xml", f"<Response>{verbs}</Response>".encode())


def test_every_verb_is_read_with_its_attributes_and_its_defaults() -> None:
    document = read(
        """
        <Say voice="Polly.Joanna" language="en-US" loop="2">Hello &amp; welcome.</Say>
        <Pause length="2"/>
        <Gather action="/keys" method="GET" numDigits="1" timeout="6" actionOnEmptyResult="true" input="dtmf"
                finishOnKey="#"><Say>Press 1.</Say><Pause/></Gather>
        <Gather/>
        <Redirect method="GET">/more</Redirect>
        <Redirect>/more</Redirect>
        <Hangup/>
        """
    )
    assert document.complaints == ()
    assert document.verbs == (
        Say("Hello & welcome.", 2),
        Pause(2),
        Gather(
            prompts=(Say("Press 1.", 1), Pause(1)),
            action="/keys",
            method="GET",
            only_one=True,
            timeout=6,
            even_if_empty=True,
        ),
        Gather(prompts=(), action="", method="POST", only_one=False, timeout=5, even_if_empty=False),
        Redirect("/more", "GET"),
        Redirect("/more", "POST"),
        Hangup(),
    )


@pytest.mark.parametrize(
    ("verbs", "left"),
    [
        ("<Dial>+12025550100</Dial>", 0),
        ("<say>Hello.</say>", 0),
        ("Hello.", 0),
        ("<Hangup/>Hello.", 1),
        ("<Say></Say>", 0),
        ("<Say> </Say>", 0),
        ("<Redirect/>", 0),
        ("<Say>Hello <break/> you.</Say>", 1),
        ("<Pause>Hello.</Pause>", 1),
        ("<Hangup>now</Hangup>", 1),
        ("<Say>" + "x" * 4097 + "</Say>", 1),
        ("<Say language='english'>Hello.</Say>", 1),
        ("<Say loop='0'>Hello.</Say>", 1),
        ("<Say Voice='man'>Hello.</Say>", 1),
        ("<Pause length='0'/>", 1),
        ("<Pause length='two'/>", 1),
        ("<Gather timeout='0'/>", 1),
        ("<Gather numDigits='-1'/>", 1),
        ("<Gather method='PUT'/>", 1),
        ("<Gather input='speech'/>", 1),
        ("<Gather finishOnKey='1'/>", 1),
        ("<Gather actionOnEmptyResult='yes'/>", 1),
        ("<Gather action=''/>", 1),
        ("<Gather><Hangup/></Gather>", 1),
        ("<Gather>Press 1.</Gather>", 1),
        ("<Redirect timeout='1'>/more</Redirect>", 1),
        ("<Hangup reason='busy'/>", 1),
    ],
)
def test_an_unknown_part_is_a_complaint_and_the_rest_is_played(verbs: str, left: int) -> None:
    document = read(verbs)
    assert len(document.complaints) == 1
    assert len(document.verbs) == left


@pytest.mark.parametrize(
    ("content_type", "body", "code"),
    [
        ("text/plain", b"<Response/>", 12300),
        ("", b"<Response/>", 12300),
        ("text/xml", b"", 12100),
        ("text/xml", b"<Response>", 12100),
        ("text/xml", b"<Response>\xff</Response>", 12100),
        ("text/xml", b"<?xml version='1.0' encoding='klingon'?><Response/>", 12100),
        ("text/xml", b"<Response><Say>a & b</Say></Response>", 12100),
        ("text/xml", b"<html/>", 12102),
        ("text/xml", b"<Response>" + b" " * 64 * 1024 + b"</Response>", 11750),
    ],
)
def test_an_invalid_document_has_twilios_error_code(content_type: str, body: bytes, code: int) -> None:
    with pytest.raises(TwimlError) as caught:
        read_twiml(content_type, body)
    assert caught.value.code == code


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=200))
def test_a_text_is_spoken_as_it_was_written(text: str) -> None:
    document = read(f"<Say>{escape(text)}</Say>")
    assert "".join(verb.text for verb in document.verbs if isinstance(verb, Say)) == text.strip()
