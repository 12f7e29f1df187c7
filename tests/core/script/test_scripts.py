"""The script with which a call in some language is spoken."""

import pytest

from reminderd.core.script.prompts import Prompt
from reminderd.core.script.scripts import Script, Scripts, spoken_text

GERMAN = Script(clinic="Praxis Özdemir", phone="+4930123456", language="de-DE", voice="Polly.Vicki-Neural")
RUSSIAN = Script(
    clinic="Клиника", language="ru-RU", voice="Google.ru", templates={Prompt.GREETING: "{clinic}."}, otherwise=GERMAN
)
SPANISH = Script(clinic="Consulta Özdemir", language="es-ES", templates={Prompt.GOODBYE: "Adiós."}, otherwise=GERMAN)
OURS = Scripts(own=GERMAN, by_language={"ru": RUSSIAN, "es-ES": SPANISH})


@pytest.mark.parametrize(
    ("language", "script"),
    [(None, GERMAN), ("de", GERMAN), ("de-AT", GERMAN), ("ru", RUSSIAN), ("RU-ru", RUSSIAN), ("es-MX", SPANISH)],
)
def test_the_clinics_script_for_a_language_is_spoken_for_every_region(language: str | None, script: Script) -> None:
    assert OURS.of(language) is script
    assert OURS.has(language)


@pytest.mark.parametrize(
    ("language", "voice"), [("pl", "pl-PL"), ("pt-PT", "pt-PT"), ("PT-pt", "pt-PT"), ("en-ZA", "en-US")]
)
def test_a_built_in_language_uses_the_clinics_name_and_number_but_no_other_voice(language: str, voice: str) -> None:
    script = OURS.of(language)
    assert (script.language, script.voice) == (voice, "")
    assert (script.clinic, script.phone) == (GERMAN.clinic, GERMAN.phone)
    assert OURS.has(language)


def test_the_polish_greeting_names_the_clinic() -> None:
    assert spoken_text(Prompt.GREETING, OURS.of("pl"), "") == (
        "Dzień dobry, tu Praxis Özdemir, dzwonimy, aby przypomnieć o wizycie."
    )


def test_a_language_without_texts_is_spoken_in_the_clinics_own() -> None:
    assert OURS.of("so") is GERMAN
    assert not OURS.has("so")


def test_a_missing_prompt_is_the_built_in_one_of_the_language() -> None:
    assert spoken_text(Prompt.GOODBYE, SPANISH, "") == "Adiós."
    assert spoken_text(Prompt.CONFIRMED, SPANISH, "") == "Gracias. Su cita queda confirmada."


def test_a_prompt_without_a_built_in_text_is_the_clinics_own() -> None:
    assert spoken_text(Prompt.GREETING, RUSSIAN, "") == "Клиника."
    assert spoken_text(Prompt.CONFIRMED, RUSSIAN, "") == "Vielen Dank. Ihr Termin ist bestätigt."
    nobody = Script(language="ru-RU", otherwise=Script(language="de-DE"))
    assert spoken_text(Prompt.NOT_NEEDED, nobody, "").startswith("Guten Tag, hier ist Ihre Praxis.")
