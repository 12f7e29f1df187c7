import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reminderd.core.phone import digits_to_speak
from reminderd.core.script.languages import BUILT_IN
from reminderd.core.script.prompts import Prompt
from reminderd.core.script.scripts import PLACEHOLDERS, Script, spoken_text

BROWN = Script(clinic="Dr. Brown's office", phone="+12025550190", from_number="+12025550100")
TELLING = re.compile(
    "psycho|appointment|remind|cita|record|termin|erinner|rendez-vous|rappeler votre|consulta|lembr|appuntament"
    "|promemoria|ricord|afspraak|herinner|wizyt|przypom"
)
"""Words that would show that the patient has an appointment to a person who listens to the machine."""
FIXED: list[Prompt] = [part for part in Prompt if part is not Prompt.MESSAGE]
WITH_PHONE = (Prompt.MENU, Prompt.VOICEMAIL, Prompt.OPTED_OUT, Prompt.GOODBYE)


@pytest.mark.parametrize("language", BUILT_IN)
def test_every_language_has_every_prompt(language: str) -> None:
    words = BUILT_IN[language]
    assert list(words.templates) == FIXED
    for template in words.templates.values():
        assert set(re.findall(r"\{(.*?)\}", template)) <= {"clinic", "phone"}
    for part in WITH_PHONE:
        assert "{phone}" in words.templates[part]
    for part in (Prompt.GREETING, Prompt.VOICEMAIL, Prompt.NOT_NEEDED):
        assert "{clinic}" in words.templates[part]


def test_a_patient_hears_the_clinic_the_message_and_the_number_digit_by_digit() -> None:
    message = "Your appointment is tomorrow at nine."
    assert spoken_text(Prompt.GREETING, BROWN, message) == (
        "Hello, this is Dr. Brown's office, calling with an appointment reminder."
    )
    assert spoken_text(Prompt.MESSAGE, BROWN, message) == message
    assert spoken_text(Prompt.GOODBYE, BROWN, message) == "You can reach us at 2 0 2, 5 5 5, 0 1 9 0. Goodbye."


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("+12025550190", "2 0 2, 5 5 5, 0 1 9 0"),
        ("+4930123456", "0 3 0, 1 2 3 4 5 6"),
        ("+33123456789", "0 1, 2 3, 4 5, 6 7, 8 9"),
        ("+34912345678", "9 1 2, 3 4, 5 6, 7 8"),
    ],
)
def test_a_number_is_dictated_as_it_is_dialed_in_its_own_country(number: str, said: str) -> None:
    assert digits_to_speak(number) == said


def test_without_a_phone_patients_are_asked_to_call_the_number_that_calls_them() -> None:
    script = Script(from_number="+12025550100")
    assert spoken_text(Prompt.GOODBYE, script, "") == "You can reach us at 2 0 2, 5 5 5, 0 1 0 0. Goodbye."


def test_without_name_and_number_the_prompts_are_still_sentences() -> None:
    assert spoken_text(Prompt.VOICEMAIL, Script(), "") == (
        "Hello, this is your clinic. Please call us back at our usual number. Thank you."
    )
    assert spoken_text(Prompt.VOICEMAIL, Script(language="de-AT"), "") == (
        "Guten Tag, hier ist Ihre Praxis. Bitte rufen Sie uns zurück unter unserer gewohnten Nummer. Vielen Dank."
    )


@pytest.mark.parametrize("language", BUILT_IN)
def test_the_voicemail_does_not_say_what_the_call_was_about(language: str) -> None:
    said = spoken_text(Prompt.VOICEMAIL, Script(language=language), "psychotherapy").lower()
    assert TELLING.search(said) is None


def test_the_clinics_own_prompts_override_the_languages() -> None:
    script = Script(clinic="Brown", templates={Prompt.GREETING: "{clinic} here: {message} ({phone})"}, language="fr")
    assert spoken_text(Prompt.GREETING, script, "Come.") == "Brown here: Come. (numéro habituel)"
    assert spoken_text(Prompt.CONFIRMED, script, "") == "Merci. Votre rendez-vous est confirmé."


@given(st.text(), st.text(min_size=1))
def test_filled_in_values_are_not_filled_in_again(message: str, clinic: str) -> None:
    script = Script(clinic=clinic, templates={Prompt.GREETING: "{clinic}|{message}"})
    assert spoken_text(Prompt.GREETING, script, message) == f"{clinic}|{message}"
    assert spoken_text(Prompt.MESSAGE, script, message) == message


def test_a_message_that_looks_like_a_template_is_spoken_as_it_is() -> None:
    message = " ".join(f"{{{name}}}" for name in PLACEHOLDERS) + " {0} {"
    assert spoken_text(Prompt.MESSAGE, BROWN, message) == message


@pytest.mark.parametrize(("language", "first"), [("en-GB", "en"), ("ES-mx", "es"), ("de", "de"), ("pt-AO", "pt")])
def test_the_region_of_a_language_does_not_matter(language: str, first: str) -> None:
    assert Script(language=language).is_built_in
    assert Script(language=language).built_in is BUILT_IN[first]


def test_an_unknown_language_falls_back_to_english() -> None:
    assert not Script(language="ru-RU").is_built_in
    assert Script(language="ru-RU").built_in is BUILT_IN["en"]
