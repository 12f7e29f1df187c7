import re
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import asdict, fields

from reminderd.config import Config, MessagesConfig, script_of, templates_of
from reminderd.core.script.advice import advice
from reminderd.core.script.languages import BUILT_IN
from reminderd.core.script.prompts import Prompt
from reminderd.core.script.templates import Script, spoken

Load = Callable[..., Config]
Mistakes = Callable[..., list[str]]

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
OURS = ("clinic", "phone", "language", "voice")


def test_there_is_a_key_for_every_part_but_the_message() -> None:
    names = [attribute.name for attribute in fields(MessagesConfig)]
    assert names == [*OURS, *(part.value for part in Prompt if part is not Prompt.MESSAGE), "templates"]


def test_nothing_is_required(load: Load) -> None:
    assert load().messages == MessagesConfig()
    assert script_of(load(), from_number="+12025550100") == Script(from_number="+12025550100")


def test_what_is_given_is_said(load: Load) -> None:
    config = load(
        """
        [messages]
        clinic = "Praxis Dr. Özdemir"
        phone = "+49 (0)30 123-456"
        language = "de-DE"
        voice = "Polly.Vicki-Neural"
        greeting = "Hier ist {clinic}."
        """
    )
    script = script_of(config, from_number="+4930999999")
    assert (script.language, script.voice) == ("de-DE", "Polly.Vicki-Neural")
    assert script.phone == "+4930123456"
    assert spoken(Prompt.GREETING, script, "") == "Hier ist Praxis Dr. Özdemir."
    assert spoken(Prompt.GOODBYE, script, "") == "Sie erreichen uns unter 0 3 0, 1 2 3 4 5 6. Auf Wiederhören."


def test_the_environment_can_give_it_too(load: Load) -> None:
    config = load(None, {"REMINDERD__MESSAGES__GOODBYE": "Bye from {clinic}.", "REMINDERD__MESSAGES__CLINIC": "Brown"})
    assert spoken(Prompt.GOODBYE, script_of(config, from_number=""), "") == "Bye from Brown."


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("clinic", "a" * 101, "is 101 characters long; expected at most 100 characters"),
        ("clinic", "Dr.\\nBrown", "has a control character in it"),
        ("phone", "030 123456", "without country code, and [clinic].country is not set"),
        ("phone", "{phone}", "has letters in it"),
        ("language", "", 'is no tag of a language; expected a BCP 47 tag like "en-US"'),
        ("language", "en_US", "is no tag of a language"),
        ("language", "English", "is no tag of a language"),
        ("language", "en-", "is no tag of a language"),
        ("voice", "Polly Joanna", "is no voice's name"),
        ("voice", "a" * 101, "is no voice's name"),
        (
            "greeting",
            "{clinc}",
            "has a placeholder, number 1, that is unknown, did you mean clinic?; expected ",
        ),
        ("greeting", "{Phone}", "has a placeholder, number 1, that is unknown, did you mean phone?"),
        ("greeting", "{message}", "has {message} in it, which is spoken separately"),
        ("greeting", "{clinic.__class__}", "has a brace in it that belongs to no placeholder"),
        ("greeting", "{clinic", "has a brace in it that belongs to no placeholder"),
        ("greeting", "clinic}", "has a brace in it that belongs to no placeholder"),
        ("greeting", "{}", "has a brace in it that belongs to no placeholder"),
        ("greeting", "{{clinic}}", "has a brace in it that belongs to no placeholder"),
        ("greeting", "{clinic}" * 4, "has {clinic} in it too often"),
        (
            "greeting",
            "Hello ***NAME***",
            "has a placeholder or markup in it, from character 7 on, that would be",
        ),
        ("goodbye", "Bye.<br>", "has a placeholder or markup in it, from character 5 on, that would be"),
        ("menu", "Brown &amp; Co", "has a placeholder or markup in it, from character 7 on, that would be"),
        ("greeting", "{clinic}: %NAME%", "has a placeholder or markup in it, from character 11 on, that would"),
        ("clinic", "[Clinic]", "has a placeholder or markup in it, from character 1 on, that would be"),
        ("voicemail", "{message}{message}", "has {message} in it too often"),
        ("menu", "a\\u0007", "has a control character in it"),
        ("menu", "a\\u007f", "has a control character in it"),
        ("goodbye", "a" * 1001, "is 1,001 characters long; expected at most 1,000 characters"),
    ],
)
def test_what_could_not_be_said_is_one_mistake(mistakes: Mistakes, key: str, value: str, said: str) -> None:
    (line,) = mistakes(f'[messages]\n{key} = "{value}"')
    assert line.startswith(f"config.toml: [messages].{key}: {said}")
    assert "; expected " in line
    assert len(line) < 300


def test_a_template_is_a_name_and_a_text(load: Load) -> None:
    config = load(
        '[calling]\ntimezone = "US/Eastern"\n[messages]\nclinic = "Dr. Brown"\n'
        '[messages.templates]\ncheck_up2 = "On {date} at {time}, {clinic}."'
    )
    assert templates_of(config).by_name == {"check_up2": "On {date} at {time}, {clinic}."}
    assert templates_of(config).clinic == "Dr. Brown"


@pytest.mark.parametrize(
    ("templates", "said"),
    [
        (
            '"Check up" = "Hello."',
            "has a name, number 1, that can't be one; expected a section of names",
        ),
        ('checkup = " "', "is empty in checkup; expected "),
        ('checkup = "{phone}"', "has a placeholder, number 1, that is unknown, in checkup"),
        ('checkup = "{dat}"', "has a placeholder, number 1, that is unknown, did you mean date?, in checkup"),
        ('checkup = "{message}"', "has a placeholder, number 1, that is unknown, in checkup"),
        (
            'checkup = "Dear [NameF]"',
            "has a placeholder or markup in it, from character 6 on, that would be read aloud as it stands, in checkup",
        ),
        ("checkup = 5", "has something other than text in it; expected "),
    ],
)
def test_a_template_that_could_not_be_spoken_is_one_mistake(mistakes: Mistakes, templates: str, said: str) -> None:
    (line,) = mistakes(f"[messages.templates]\n{templates}")
    assert line.startswith(f"config.toml: [messages].templates: {said}")


def test_templates_that_are_no_section_are_a_mistake(mistakes: Mistakes) -> None:
    (line,) = mistakes('[messages]\ntemplates = "checkup"')
    assert line.startswith("config.toml: [messages].templates: is text; expected a section of names")


def test_bytes_of_the_environment_that_are_no_text_are_a_mistake(mistakes: Mistakes) -> None:
    (line,) = mistakes(None, {"REMINDERD__MESSAGES__CLINIC": "Dr. \udcff"})
    assert "environment REMINDERD__MESSAGES__CLINIC: has a control character in it" in line


def test_all_mistakes_are_told_at_once(mistakes: Mistakes) -> None:
    every = "\n".join(f'{attribute.name} = "{{"' for attribute in fields(MessagesConfig) if attribute.name != "clinic")
    assert len(mistakes(f"[messages]\n{every}")) == len(fields(MessagesConfig)) - 1


@pytest.mark.parametrize("language", ["en-US", "es-419", "cmn-Hans-CN", "en-GB-WLS", "de", "DE-at", "sr-Latn-RS"])
def test_any_languages_tag_is_taken(load: Load, language: str) -> None:
    assert load(f'[messages]\nlanguage = "{language}"').messages.language == language


def test_a_voicemail_may_have_the_message_in_it_and_the_linter_warns(load: Load) -> None:
    config = load('[messages]\nvoicemail = "{clinic}, {phone}: {message}"')
    assert any("has {message} in it" in line for line in advice(script_of(config, from_number="")))


def test_the_example_writes_out_what_is_built_in() -> None:
    written = dict(re.findall(r'^#   (\w+) = "(.*)"$', EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE))
    assert written == {part.value: text for part, text in BUILT_IN["en"].templates.items()}


def test_what_the_example_writes_out_can_be_given(load: Load) -> None:
    written = re.findall(r'^#   (\w+ = ".*")$', EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE)
    messages = asdict(load("[messages]\n" + "\n".join(written)).messages)
    assert all(messages[part] for part in Prompt if part is not Prompt.MESSAGE)
