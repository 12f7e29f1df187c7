"""What patients hear, as text."""

import pytest
from attrs import evolve

from reminderd.core.script.preview import ANY_MESSAGE, Preview, passages_heard, preview
from reminderd.core.script.prompts import Prompt, seconds
from reminderd.core.script.scripts import Script, Scripts
from reminderd.core.script.templates import TemplateError, Templates, Values

OWN = Script(clinic="Dr. Brown's office", phone="+12025550190")
OURS = Templates(
    by_name={"bill": "Please call.", "visit": "{name}, come to {place}."},
    by_language={"es": {"bill": "Llame, por favor."}},
    scripts=Scripts(own=OWN, by_language={"es": evolve(OWN, language="es-US", otherwise=OWN)}),
)
VALUES = Values(name="Ana", provider="Dr. Lee", place="Room 4")


def shown(language: str | None = None, *names: str, templates: Templates = OURS) -> Preview:
    return preview(templates, VALUES, language, names or tuple(templates.by_name))


def test_a_person_hears_greeting_message_and_menu_and_a_machine_its_text_twice() -> None:
    found = shown()
    headings = [one.heading for one in found.passages]
    assert headings[:3] == ["a person, with the template bill", "a person, with the template visit", "a machine"]
    greeting, message, menu = found.passages[1].texts
    assert greeting == "Hello, this is Dr. Brown's office, calling with an appointment reminder."
    assert message == "Ana, come to Room 4."
    assert menu.startswith("Press 1 to confirm")
    assert found.passages[1].seconds == seconds(f"{greeting} {message} {menu}")
    first, again = found.passages[2].texts
    assert first == again
    assert found.passages[2].seconds == 2 * seconds(first) + 1
    assert found.warnings == ()


def test_one_message_is_shown_as_a_person_and_a_machine_hear_it() -> None:
    person, machine = passages_heard(OWN, "Come at nine.", leaves_voicemail=True)
    assert passages_heard(OWN, "Come at nine.", leaves_voicemail=False) == (person,)
    assert (person.heading, machine.heading) == ("a person", "a machine")
    assert person.texts[1] == "Come at nine."
    assert machine.texts[0] == machine.texts[1]


def test_every_prompt_is_shown() -> None:
    assert len(shown(None, "bill").passages) == 2 + len(Prompt) - 4  # the first two have four of them


def test_a_language_is_shown_with_its_own_templates_and_a_warning_of_those_that_it_lacks() -> None:
    found = shown("es-MX")
    assert found.script.language == "es-US"
    assert [one.texts[1] for one in found.passages if one.heading.startswith("a person")] == ["Llame, por favor."]
    (warning,) = found.warnings
    assert warning.startswith("template: visit is not written in es-MX")


def test_without_a_template_in_the_language_a_message_stands_for_any() -> None:
    assert shown("pl").passages[0].texts[1] == ANY_MESSAGE
    assert shown(templates=Templates(scripts=OURS.scripts)).passages[0].texts[1] == ANY_MESSAGE


def test_a_language_without_texts_is_warned_of() -> None:
    found = shown("so", templates=Templates(scripts=OURS.scripts))
    assert found.script is OWN
    assert found.warnings == ("there are no texts in so; expected a section [messages.so]",)


def test_the_advice_on_a_script_names_its_section() -> None:
    silent = {Prompt.MENU: "Press 1, 2 or 3."}
    scripts = Scripts(
        own=evolve(OWN, templates=silent),
        by_language={"es": evolve(OWN, language="es-US", templates=silent, otherwise=OWN)},
    )
    (own,) = shown(templates=Templates(scripts=scripts)).warnings
    (spanish,) = shown("es", templates=Templates(scripts=scripts)).warnings
    assert own.startswith("[messages].menu does not mention key 9")
    assert spanish.startswith("[messages.es].menu does not mention key 9")


def test_a_call_of_more_than_a_minute_is_warned_of() -> None:
    found = shown(templates=Templates(by_name={"long": "so " * 150}, scripts=OURS.scripts))
    assert found.warnings == ("long: the call takes 79 seconds: keep it within 60",)


def test_an_unknown_template_is_refused() -> None:
    with pytest.raises(TemplateError, match="template: unknown; expected one of bill, visit"):
        shown(None, "visits")
