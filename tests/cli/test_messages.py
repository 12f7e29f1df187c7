"""`reminderd messages preview`: what patients hear, as text; nobody is called."""

import pytest

from tests.cli.conftest import Terminal

CONFIG = """
[calling]
timezone = "America/New_York"
[messages]
clinic = "Dr. Brown's office"
phone = "+1 202 555 0190"
templates = { checkup = "{name}: your check-up is on {date} at {time}.", bill = "Please call {provider}." }
[messages.es-US]
voice = "Polly.Lupe-Neural"
templates = { checkup = "Su revisión, {name}, es el {date} a las {time}." }
"""


@pytest.fixture
def configured(terminal: Terminal) -> Terminal:
    (terminal.folder / "config.toml").write_text(CONFIG)
    return terminal


def test_every_template_is_shown_in_every_configured_language(configured: Terminal) -> None:
    said = configured.type("messages", "preview", "--at", "2027-03-02 16:00", "--name", "Ana").stdout
    assert "    Ana: your check-up is on Tuesday, March 2 at 4:00 PM.\n    Press 1 to confirm" in said
    assert "    Please call Dr. Lee.\n" in said
    assert "es-US, Polly.Lupe-Neural\n" in said
    assert "    Su revisión, Ana, es el martes, 2 de marzo a las 4:00 p.m.\n    Pulse 1 para confirmar" in said
    assert "warning: template: bill is not written in es-US" in said
    assert said.count("a machine: ") == 2
    assert said.endswith("note: the configured provider gets the message alone, and speaks it in its own way\n")
    assert not (configured.folder / "reminderd.db").exists()


def test_one_language_and_one_template_can_be_chosen(configured: Terminal) -> None:
    said = configured.type("messages", "preview", "--language", "Polish", "--template", "bill").stdout
    assert said.startswith("pl-PL, a voice of the provider's choice\n")
    assert "Dzień dobry, tu Dr. Brown's office" in said
    assert "check-up" not in said
    assert "Hello" not in said


def test_twilio_can_speak_every_preview(configured: Terminal) -> None:
    with (configured.folder / "config.toml").open("a") as config:
        config.write(f'[provider.twilio]\naccount_sid = "AC{0:032}"\nauth_token = "t"\nfrom_number = "+12025550100"\n')
        config.write('[web]\npublic_base_url = "https://clinic.example"\n')
    assert "note:" not in configured.type("messages", "preview").stdout


def test_programs_get_one_document(configured: Terminal) -> None:
    found = configured.json("messages", "preview", "--template", "checkup", "--at", "2027-03-02 16:00", "--name", "Ana")
    english, spanish = found["languages"]
    assert found["message_alone"] is True
    assert (english["voice"], spanish["language"], spanish["voice"]) == (None, "es-US", "Polly.Lupe-Neural")
    assert set(english["passages"][0]) == {"heading", "seconds", "texts"}
    spoken = [text for passage in english["passages"] for text in passage["texts"]]
    assert "Ana: your check-up is on Tuesday, March 2 at 4:00 PM." in " ".join(spoken)
    assert english["warnings"] == []


@pytest.mark.parametrize(
    ("words", "mistake"),
    [
        (("--template", "checkups"), "--template: unknown; expected one of checkup, bill"),
        (("--language", "?"), "Invalid value for '--language': not a language tag; expected"),
        (("--at", "soon"), "--at: not a time; expected"),
        (("--name", "{name}"), "--name: contains a brace, a placeholder or markup; expected"),
        (("--name", ""), "--name: empty; expected text to be spoken"),
    ],
)
def test_an_invalid_preview_is_wrong_usage(configured: Terminal, words: tuple[str, ...], mistake: str) -> None:
    assert mistake in configured.type("messages", "preview", *words, code=2).stderr
