from typing import Any

import pytest
from attrs import evolve

from reminderd.core.script.languages import BUILT_IN
from reminderd.core.script.preview import advice
from reminderd.core.script.prompts import Prompt
from reminderd.core.script.scripts import Script

CAREFUL = Script(clinic="Dr. Brown's office", phone="+12025550190", from_number="+12025550100")
FIXED: list[Prompt] = [part for part in Prompt if part is not Prompt.MESSAGE]
TWELVE_WORDS_A_SENTENCE = "We are glad to have you as a patient of our practice. "


def warnings(**templates: str) -> list[str]:
    return advice(evolve(CAREFUL, templates={Prompt(name): text for name, text in templates.items()}))


def the_warning(**templates: str) -> str:
    (found,) = warnings(**templates)
    return found


@pytest.mark.parametrize("language", BUILT_IN)
def test_the_built_in_prompts_get_no_advice(language: str) -> None:
    assert advice(evolve(CAREFUL, language=language)) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"clinic": ""}, '[messages].clinic is not set: patients hear "your clinic"'),
        ({"clinic": "", "language": "es-US"}, 'patients hear "su clínica"'),
        ({"phone": ""}, "patients are asked to call the number that the call comes from"),
        ({"phone": "", "from_number": ""}, 'patients are asked to call "our usual number"'),
    ],
)
def test_a_missing_name_or_number_gets_advice_with_what_is_spoken_instead(changes: Any, said: str) -> None:
    (found,) = advice(evolve(CAREFUL, **changes))
    assert said in found


def test_an_unknown_language_gets_advice_that_lists_what_stays_english() -> None:
    own = dict.fromkeys(FIXED, "{clinic} {phone} 1 2 3 9") | {Prompt.GOODBYE: ""}
    script = evolve(CAREFUL, language="ru-RU", templates=own)
    assert advice(script) == ["[messages]: ru-RU has no built-in texts, so these are in English: goodbye"]
    assert advice(evolve(script, templates=own | {Prompt.GOODBYE: "До свидания."})) == []


def test_advice_on_another_language_names_its_section_without_repeating_clinic_and_phone() -> None:
    german = Script(language="de-DE")
    russian = Script(language="ru-RU", otherwise=german, templates={Prompt.GREETING: "Здравствуйте."})
    found = advice(russian, "messages.ru")
    assert found[0] == "[messages.ru].greeting does not begin with the clinic: its name must be spoken first"
    assert found[1].startswith("[messages.ru]: ru-RU has no built-in texts, so these are in de-DE: menu, voicemail")
    assert len(found) == 2


@pytest.mark.parametrize(
    "greeting",
    [
        "{clinic} calling.",
        "Bonjour, vous êtes en ligne avec {clinic}.",
        "Hi! dr. brown's OFFICE is calling.",
        "Hello, this is Dr. Brown's office ({clinic}).",
    ],
)
def test_a_greeting_that_names_the_clinic_first_is_good(greeting: str) -> None:
    assert warnings(greeting=greeting) == []


@pytest.mark.parametrize(
    "greeting",
    ["Hello.", "Your appointment is tomorrow at nine at {clinic}."],
)
def test_a_greeting_that_does_not_start_with_the_clinic_gets_advice(greeting: str) -> None:
    assert "[messages].greeting does not begin with the clinic" in the_warning(greeting=greeting)


def test_a_phone_number_that_is_never_spoken_gets_advice() -> None:
    nobody = "{phone} is in none of greeting, menu and goodbye"
    assert nobody in the_warning(menu="Press 1, 2, 3 or 9.", goodbye="Goodbye.")
    assert nobody not in " ".join(warnings(menu="Press 1, 2, 3 or 9."))


@pytest.mark.parametrize("number", ["{phone}", "(202) 555-0190", "+1 202 555 0190", "2 0 2, 5 5 5, 0 1 9 0"])
def test_a_number_may_be_written_out(number: str) -> None:
    assert warnings(voicemail=f"This is {{clinic}}: {number}") == []


@pytest.mark.parametrize("voicemail", ["This is {clinic}.", "This is {clinic}: 202 555 0191."])
def test_a_voicemail_without_the_number_gets_advice(voicemail: str) -> None:
    assert "[messages].voicemail has no {phone}" in the_warning(voicemail=voicemail)


def test_without_a_number_there_is_no_advice_to_write_it_out() -> None:
    script = Script(clinic="Brown", templates={Prompt.VOICEMAIL: "Call 202 555 0190."})
    assert any("voicemail has no {phone}" in line for line in advice(script))


def test_a_message_on_voicemail_gets_advice() -> None:
    assert "[messages].voicemail has {message} in it" in the_warning(voicemail="{clinic}, {phone}: {message}")


@pytest.mark.parametrize("key", ["1", "2", "3", "9"])
def test_a_menu_that_omits_a_key_gets_advice(key: str) -> None:
    menu = "Press 1, 2, 3 or 9. Our 12 lines are open until 19:30.".replace(f" {key}", "")
    assert f"[messages].menu does not mention key {key}, which " in the_warning(menu=menu)


def test_a_key_may_be_written_as_a_word() -> None:
    assert warnings(menu="Press One, two, three or nine.") == []


def test_a_script_longer_than_a_minute_gets_advice_with_its_length() -> None:
    assert "characters and menu take 68 seconds" in the_warning(
        greeting="This is {clinic}. " + TWELVE_WORDS_A_SENTENCE * 8
    )


def test_a_voicemail_longer_than_a_minute_counts_twice() -> None:
    assert warnings(voicemail="{clinic}, {phone}. " + TWELVE_WORDS_A_SENTENCE * 4) == []
    assert "which is spoken twice, takes 69 seconds" in the_warning(
        voicemail="{clinic}, {phone}. " + TWELVE_WORDS_A_SENTENCE * 6
    )


def test_no_advice_contains_a_callable_number() -> None:
    for line in advice(evolve(CAREFUL, templates=dict.fromkeys(FIXED, "202 555 0199"))):
        assert "555" not in line
