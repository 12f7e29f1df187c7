import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from attrs import asdict, fields

from reminderd.config import Config, reload_changes, templates_of, with_provider
from reminderd.config.schema import MessagesConfig, scripts_of
from reminderd.core.script.languages import BUILT_IN
from reminderd.core.script.preview import advice
from reminderd.core.script.prompts import Prompt
from reminderd.core.script.scripts import Script, spoken_text
from reminderd.core.script.templates import Values
from reminderd.providers.twilio.settings import TwilioSettings

Load = Callable[..., Config]
Errors = Callable[..., list[str]]

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
OURS = ("clinic", "phone", "language", "voice")


def test_there_is_a_key_for_every_part_but_the_message() -> None:
    names = [attribute.name for attribute in fields(MessagesConfig)]
    assert names == [*OURS, *(part.value for part in Prompt if part is not Prompt.MESSAGE), "templates", "languages"]


def test_no_messages_key_is_required(load: Load) -> None:
    assert load().messages == MessagesConfig()
    calling = with_provider(load(), TwilioSettings(from_number="+12025550100"))
    assert scripts_of(calling).own == Script(from_number="+12025550100")


def test_the_clinics_own_prompts_are_spoken(load: Load) -> None:
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
    script = scripts_of(with_provider(config, TwilioSettings(from_number="+4930999999"))).own
    assert (script.language, script.voice) == ("de-DE", "Polly.Vicki-Neural")
    assert script.phone == "+4930123456"
    assert spoken_text(Prompt.GREETING, script, "") == "Hier ist Praxis Dr. Özdemir."
    assert spoken_text(Prompt.GOODBYE, script, "") == "Sie erreichen uns unter 0 3 0, 1 2 3 4 5 6. Auf Wiederhören."


def test_the_environment_can_set_prompts(load: Load) -> None:
    config = load(None, {"REMINDERD__MESSAGES__GOODBYE": "Bye from {clinic}.", "REMINDERD__MESSAGES__CLINIC": "Brown"})
    assert spoken_text(Prompt.GOODBYE, scripts_of(config).own, "") == "Bye from Brown."


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("clinic", "a" * 101, "is 101 characters long; expected at most 100 characters"),
        ("clinic", "Dr.\\nBrown", "contains a control character"),
        ("phone", "030 123456", "without country code, and [clinic].country is not set"),
        ("phone", "{phone}", "has letters in it"),
        ("language", "", 'is not a language tag; expected a BCP 47 tag like "en-US"'),
        ("language", "en_US", "is not a language tag"),
        ("language", "English", "is not a language tag"),
        ("language", "en-", "is not a language tag"),
        ("voice", "Polly Joanna", "is not the name of a voice"),
        ("voice", "a" * 101, "is not the name of a voice"),
        (
            "greeting",
            "{clinc}",
            "placeholder 1 is unknown (did you mean clinic?); expected ",
        ),
        ("greeting", "{Phone}", "placeholder 1 is unknown (did you mean phone?)"),
        ("greeting", "{message}", "contains {message}, which is spoken separately"),
        ("greeting", "{clinic.__class__}", "contains a brace that belongs to no placeholder"),
        ("greeting", "{clinic", "contains a brace that belongs to no placeholder"),
        ("greeting", "clinic}", "contains a brace that belongs to no placeholder"),
        ("greeting", "{}", "contains a brace that belongs to no placeholder"),
        ("greeting", "{{clinic}}", "contains a brace that belongs to no placeholder"),
        ("greeting", "{clinic}" * 4, "contains {clinic} too often"),
        (
            "greeting",
            "Hello ***NAME***",
            "contains a placeholder or markup at character 7 that would be",
        ),
        ("goodbye", "Bye.<br>", "contains a placeholder or markup at character 5 that would be"),
        ("menu", "Brown &amp; Co", "contains a placeholder or markup at character 7 that would be"),
        ("greeting", "{clinic}: %NAME%", "contains a placeholder or markup at character 11 that would"),
        ("clinic", "[Clinic]", "contains a placeholder or markup at character 1 that would be"),
        ("voicemail", "{message}{message}", "contains {message} too often"),
        ("menu", "a\\u0007", "contains a control character"),
        ("menu", "a\\u007f", "contains a control character"),
        ("goodbye", "a" * 1001, "is 1,001 characters long; expected at most 1,000 characters"),
    ],
)
def test_a_messages_value_that_cannot_be_spoken_is_one_error(
    errors: Errors, key: str, value: str, message: str
) -> None:
    (line,) = errors(f'[messages]\n{key} = "{value}"')
    assert line.startswith(f"config.toml: [messages].{key}: {message}")
    assert "; expected " in line
    assert len(line) < 300


def test_templates_are_read_with_their_names(load: Load) -> None:
    config = load(
        '[calling]\ntimezone = "US/Eastern"\n[messages]\nclinic = "Dr. Brown"\n'
        '[messages.templates]\ncheck_up2 = "On {date} at {time}, {clinic}."'
    )
    assert templates_of(config).by_name == {"check_up2": "On {date} at {time}, {clinic}."}
    assert templates_of(config).scripts.own.clinic == "Dr. Brown"


@pytest.mark.parametrize(
    ("templates", "message"),
    [
        (
            '"Check up" = "Hello."',
            "entry 1 has a name that is not allowed; expected a section of names",
        ),
        ('checkup = " "', "the text is empty, in checkup; expected "),
        ('checkup = "-"', "the text has no letter or digit, in checkup; expected "),
        ('checkup = "{phone}"', "placeholder 1 is unknown, in checkup"),
        ('checkup = "{dat}"', "placeholder 1 is unknown (did you mean date?), in checkup"),
        ('checkup = "{message}"', "placeholder 1 is unknown, in checkup"),
        (
            'checkup = "Dear [NameF]"',
            "contains a placeholder or markup at character 6 that would be read aloud as written, in checkup",
        ),
        ("checkup = 5", "contains something other than text; expected "),
    ],
)
def test_a_template_that_cannot_be_spoken_is_one_error(errors: Errors, templates: str, message: str) -> None:
    (line,) = errors(f"[messages.templates]\n{templates}")
    assert line.startswith(f"config.toml: [messages].templates: {message}")


def test_templates_must_be_a_section(errors: Errors) -> None:
    (line,) = errors('[messages]\ntemplates = "checkup"')
    assert line.startswith("config.toml: [messages].templates: is text; expected a section of names")


def test_a_variable_that_is_not_valid_text_is_an_error(errors: Errors) -> None:
    (line,) = errors(None, {"REMINDERD__MESSAGES__CLINIC": "Dr. \udcff"})
    assert "environment REMINDERD__MESSAGES__CLINIC: contains a control character" in line


def test_all_errors_of_the_messages_are_reported_at_once(errors: Errors) -> None:
    every = "\n".join(f'{attribute.name} = "{{"' for attribute in fields(MessagesConfig) if attribute.name != "clinic")
    assert len(errors(f"[messages]\n{every}")) == len(fields(MessagesConfig)) - 1


OTHERS = """
[calling]
timezone = "Europe/Berlin"
[messages]
clinic = "Praxis Özdemir"
phone = "+49 30 123456"
language = "de-DE"
voice = "Polly.Vicki-Neural"
templates = { visit = "Am {date}.", bill = "Rufen Sie an." }
[messages.es]
voice = "Polly.Lucia"
greeting = "Hola, {clinic}."
[messages.es.templates]
visit = "El {date}."
[messages.ru]
clinic = "Клиника"
"""


def test_a_section_for_a_language_has_texts_a_voice_and_templates_of_its_own(load: Load) -> None:
    config = load(OTHERS)
    scripts, templates = scripts_of(config), templates_of(config)
    spanish, russian = scripts.of("es-MX"), scripts.of("ru-RU")
    assert (spanish.language, spanish.voice, spanish.clinic) == ("es-ES", "Polly.Lucia", "Praxis Özdemir")
    assert spoken_text(Prompt.GREETING, spanish, "") == "Hola, Praxis Özdemir."
    assert spoken_text(Prompt.GOODBYE, spanish, "") == "Puede llamarnos al 0 3 0, 1 2 3 4 5 6. Adiós."
    assert (russian.language, russian.voice) == ("ru-RU", "")
    assert spoken_text(Prompt.GREETING, russian, "").startswith("Guten Tag, hier ist Клиника")
    when = Values(appointment=datetime(2027, 3, 2, 15, tzinfo=UTC))
    assert templates.message("visit", when, "es").text == "El martes, 2 de marzo."
    assert templates.message("bill", when, "es").warning is not None


def test_a_section_for_a_language_may_change_while_the_daemon_runs(load: Load) -> None:
    found = reload_changes(load(OTHERS), load(OTHERS.replace("Hola", "Buenos días")))
    assert (found.at_once, found.later) == ((("messages", "languages"),), ())
    assert spoken_text(Prompt.GREETING, scripts_of(found.config).of("es"), "") == "Buenos días, Praxis Özdemir."


@pytest.mark.parametrize(
    ("sections", "place", "message"),
    [
        ('[messages.es]\ngreeting = "{message}"', "[messages.es].greeting", "contains {message}, which is spoken"),
        (
            '[messages.es]\nphone = "+34 912 345 678"',
            "[messages.es].phone",
            "unknown key (did you mean [messages].phone",
        ),
        ('[messages.es]\ngreting = "Hola"', "[messages.es].greting", "unknown key (did you mean greeting?)"),
        ('[messages.es.templates]\nvisit = ""', "[messages.es].templates", "the text is empty, in visit"),
        (
            '[messages.es.templates]\nvisits = "Hola."\n[messages.templates]\nvisit = "Hello."',
            "[messages.es].templates",
            "entry 1 is not in [messages.templates] (did you mean visit?); expected one of visit",
        ),
        (
            '[messages.es.templates]\nvisit = "Hola."',
            "[messages.es].templates",
            "entry 1 is not in [messages.templates]",
        ),
        ("[messages.xx]", "[messages.xx]", "is not a known language; expected a language tag (BCP 47)"),
        ("[messages.ES]", "[messages.ES]", "is not a language tag in its usual form; expected one like"),
        ("[messages.en]", "[messages.en]", "is the clinic's own language; expected its texts in [messages]"),
        ("[messages.en-US]", "[messages.en-US]", "is the clinic's own language; expected its texts in [messages]"),
        ('[messages]\nlanguage = "es-US"\n[messages.es]', "[messages.es]", "is the clinic's own language"),
        (
            '[messages.languages.es]\ngreeting = "Hola"',
            "[messages.languages]",
            "unknown section; expected each language",
        ),
        (
            '[messages]\nlanguages = "es"',
            "[messages].languages",
            "is not a section; expected sections like [messages.es]",
        ),
        ("[messages.template]", "[messages.template]", "unknown section"),
        ("[messages.es]\nvoice = 5", "[messages.es].voice", "is a whole number; expected a name like"),
    ],
)
def test_a_mistake_in_a_language_names_its_section_and_key(
    errors: Errors, sections: str, place: str, message: str
) -> None:
    (line,) = errors(sections)
    assert line.startswith(f"config.toml: {place}: {message}")


def test_every_mistake_in_every_language_is_listed(errors: Errors) -> None:
    assert len(errors('[messages.es]\nmenu = "{"\nvoice = "?"\n[messages.xx]\n[messages.pl]\nmenu = "}"')) == 4


def test_a_template_of_another_language_with_a_date_needs_the_clinics_time_zone(errors: Errors) -> None:
    found = errors('[messages]\ntemplates = { visit = "Come." }\n[messages.es]\ntemplates = { visit = "El {date}." }')
    assert [line.partition(":")[0] for line in found] == ["config.toml"]
    assert "[calling].timezone: is missing, but needed for [messages.templates] with {date} or {time}" in found[0]


def test_the_example_explains_every_key_of_a_language_that_has_no_other_example() -> None:
    written = re.findall(r"^#     ([a-z_]+) = [^#]*$", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE)
    assert written == ["clinic", "voice", "greeting", "templates"]


@pytest.mark.parametrize("language", ["en-US", "es-419", "cmn-Hans-CN", "en-GB-WLS", "de", "DE-at", "sr-Latn-RS"])
def test_any_language_tag_is_valid(load: Load, language: str) -> None:
    assert load(f'[messages]\nlanguage = "{language}"').messages.language == language


def test_a_voicemail_with_the_message_is_valid_but_causes_a_warning(load: Load) -> None:
    config = load('[messages]\nvoicemail = "{clinic}, {phone}: {message}"')
    assert any("has {message} in it" in line for line in advice(scripts_of(config).own))


def test_the_prompts_in_the_examples_comments_are_the_built_in_ones() -> None:
    written = dict(re.findall(r'^#   (\w+) = "(.*)"$', EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE))
    assert written == {part.value: text for part, text in BUILT_IN["en"].templates.items()}


def test_the_prompts_in_the_examples_comments_are_valid(load: Load) -> None:
    written = re.findall(r'^#   (\w+ = ".*")$', EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE)
    messages = asdict(load("[messages]\n" + "\n".join(written)).messages)
    assert all(messages[part] for part in Prompt if part is not Prompt.MESSAGE)
