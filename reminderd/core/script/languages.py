"""The texts that are built in, by language, and how a patient's language is read and matched with them.

None of them has been read by a native speaker yet, as far as we know; docs/messages.md says so to clinics.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from attrs import frozen
from babel import Locale
from babel.core import get_global

from reminderd.core.script.prompts import Prompt
from reminderd.core.tables.words import unaccented


@frozen(kw_only=True)
class Language:
    """What is built in for one language."""

    templates: Mapping[Prompt, str]
    """For every part but the message."""
    clinic: str
    """Spoken instead of a clinic's name that is not known."""
    phone: str
    """Spoken instead of a number that is not known."""
    numerals: Mapping[str, tuple[str, ...]]
    """The keys of the menu as words, by their digit, in small letters."""
    tags: tuple[str, ...]
    """The tags that voices speak it by, as most providers have them; the usual one first."""


_ENGLISH: Final = Language(
    templates={
        Prompt.GREETING: "Hello, this is {clinic}, calling with an appointment reminder.",
        Prompt.MENU: (
            "Press 1 to confirm, 2 to ask us to cancel, 3 to hear this again, or 9 to stop these calls. "
            "You can reach us at {phone}."
        ),
        Prompt.VOICEMAIL: "Hello, this is {clinic}. Please call us back at {phone}. Thank you.",
        Prompt.CONFIRMED: "Thank you. Your appointment is confirmed.",
        Prompt.CANCEL_QUESTION: "To ask for your appointment to be cancelled, press 2 again. To keep it, press 1.",
        Prompt.CANCEL_REQUESTED: "Thank you. Our staff will be told that you want to cancel, and will confirm it.",
        Prompt.OPTED_OUT: (
            "You will not receive more reminder calls from us. If you change your mind, please call us at {phone}."
        ),
        Prompt.NOT_NEEDED: "Hello, this is {clinic}. This call is no longer needed. Goodbye.",
        Prompt.UNKNOWN_KEY: "Sorry, that key does nothing here.",
        Prompt.GOODBYE: "You can reach us at {phone}. Goodbye.",
    },
    clinic="your clinic",
    phone="our usual number",
    numerals={"1": ("one",), "2": ("two",), "3": ("three",), "9": ("nine",)},
    tags=("en-US", "en-GB", "en-AU", "en-CA", "en-IN"),
)

_SPANISH: Final = Language(
    templates={
        Prompt.GREETING: "Hola, le llamamos de {clinic} para recordarle su cita.",
        Prompt.MENU: (
            "Pulse 1 para confirmar, 2 para pedir que la cancelemos, 3 para escuchar el mensaje otra vez, "
            "o 9 para no recibir más estas llamadas. Puede llamarnos al {phone}."
        ),
        Prompt.VOICEMAIL: "Hola, le llamamos de {clinic}. Por favor, llámenos al {phone}. Gracias.",
        Prompt.CONFIRMED: "Gracias. Su cita queda confirmada.",
        Prompt.CANCEL_QUESTION: "Para pedir que cancelemos su cita, pulse 2 otra vez. Para mantenerla, pulse 1.",
        Prompt.CANCEL_REQUESTED: "Gracias. Avisaremos al personal de que desea cancelar, y se lo confirmarán.",
        Prompt.OPTED_OUT: (
            "No recibirá más llamadas de recordatorio de nuestra parte. Si cambia de opinión, llámenos al {phone}."
        ),
        Prompt.NOT_NEEDED: "Hola, le llamamos de {clinic}. Esta llamada ya no es necesaria. Adiós.",
        Prompt.UNKNOWN_KEY: "Lo sentimos, esa tecla no es válida.",
        Prompt.GOODBYE: "Puede llamarnos al {phone}. Adiós.",
    },
    clinic="su clínica",
    phone="número habitual",
    numerals={"1": ("uno",), "2": ("dos",), "3": ("tres",), "9": ("nueve",)},
    tags=("es-ES", "es-MX", "es-US"),
)

_GERMAN: Final = Language(
    templates={
        Prompt.GREETING: "Guten Tag, hier ist {clinic} mit einer Erinnerung an Ihren Termin.",
        Prompt.MENU: (
            "Drücken Sie die 1, um zu bestätigen, die 2, um uns um eine Absage zu bitten, die 3, um alles noch einmal "
            "zu hören, oder die 9, um diese Anrufe abzubestellen. Sie erreichen uns unter {phone}."
        ),
        Prompt.VOICEMAIL: "Guten Tag, hier ist {clinic}. Bitte rufen Sie uns zurück unter {phone}. Vielen Dank.",
        Prompt.CONFIRMED: "Vielen Dank. Ihr Termin ist bestätigt.",
        Prompt.CANCEL_QUESTION: (
            "Um uns zu bitten, Ihren Termin abzusagen, drücken Sie noch einmal die 2. Um ihn zu behalten, drücken Sie "
            "die 1."
        ),
        Prompt.CANCEL_REQUESTED: "Vielen Dank. Wir geben Ihren Wunsch weiter; die Absage wird Ihnen noch bestätigt.",
        Prompt.OPTED_OUT: (
            "Sie erhalten keine Erinnerungsanrufe mehr von uns. Wenn Sie es sich anders überlegen, rufen Sie uns bitte "
            "an unter {phone}."
        ),
        Prompt.NOT_NEEDED: "Guten Tag, hier ist {clinic}. Dieser Anruf hat sich erledigt. Auf Wiederhören.",
        Prompt.UNKNOWN_KEY: "Diese Taste ist leider nicht belegt.",
        Prompt.GOODBYE: "Sie erreichen uns unter {phone}. Auf Wiederhören.",
    },
    clinic="Ihre Praxis",
    phone="unserer gewohnten Nummer",
    numerals={"1": ("eins",), "2": ("zwei", "zwo"), "3": ("drei",), "9": ("neun",)},
    tags=("de-DE",),
)

_FRENCH: Final = Language(
    templates={
        Prompt.GREETING: "Bonjour, ici {clinic}, pour vous rappeler votre rendez-vous.",
        Prompt.MENU: (
            "Tapez 1 pour confirmer, 2 pour nous demander d'annuler, 3 pour réécouter, "
            "ou 9 pour ne plus recevoir ces appels. Vous pouvez nous joindre au {phone}."
        ),
        Prompt.VOICEMAIL: "Bonjour, ici {clinic}. Merci de nous rappeler au {phone}.",
        Prompt.CONFIRMED: "Merci. Votre rendez-vous est confirmé.",
        Prompt.CANCEL_QUESTION: (
            "Pour demander l'annulation de votre rendez-vous, tapez 2 à nouveau. Pour le garder, tapez 1."
        ),
        Prompt.CANCEL_REQUESTED: "Merci. Notre équipe en sera informée et vous confirmera l'annulation.",
        Prompt.OPTED_OUT: (
            "Vous ne recevrez plus d'appels de rappel de notre part. Si vous changez d'avis, appelez-nous au {phone}."
        ),
        Prompt.NOT_NEEDED: "Bonjour, ici {clinic}. Cet appel n'est plus nécessaire. Au revoir.",
        Prompt.UNKNOWN_KEY: "Désolé, cette touche n'a pas de fonction.",
        Prompt.GOODBYE: "Vous pouvez nous joindre au {phone}. Au revoir.",
    },
    clinic="votre cabinet médical",
    phone="numéro habituel",
    numerals={"1": ("un",), "2": ("deux",), "3": ("trois",), "9": ("neuf",)},
    tags=("fr-FR", "fr-CA"),
)

_PORTUGUESE: Final = Language(
    templates={
        Prompt.GREETING: "Olá, ligamos de {clinic} para lembrar a sua consulta.",
        Prompt.MENU: (
            "Pressione 1 para confirmar, 2 para pedir o cancelamento, 3 para ouvir novamente, "
            "ou 9 para não receber mais estas chamadas. O nosso telefone é {phone}."
        ),
        Prompt.VOICEMAIL: "Olá, ligamos de {clinic}. Por favor, ligue para {phone}. Obrigado.",
        Prompt.CONFIRMED: "Obrigado. A sua consulta está confirmada.",
        Prompt.CANCEL_QUESTION: (
            "Para pedir o cancelamento da sua consulta, pressione 2 novamente. Para mantê-la, pressione 1."
        ),
        Prompt.CANCEL_REQUESTED: "Obrigado. Transmitiremos o seu pedido; o cancelamento ainda lhe será confirmado.",
        Prompt.OPTED_OUT: (
            "Não receberá mais chamadas de lembrete da nossa parte. Se mudar de ideia, ligue para {phone}."
        ),
        Prompt.NOT_NEEDED: "Olá, ligamos de {clinic}. Esta chamada já não é necessária. Até logo.",
        Prompt.UNKNOWN_KEY: "Desculpe, essa tecla não tem função.",
        Prompt.GOODBYE: "O nosso telefone é {phone}. Até logo.",
    },
    clinic="sua clínica",
    phone="o número habitual",
    numerals={"1": ("um",), "2": ("dois",), "3": ("três",), "9": ("nove",)},
    tags=("pt-BR", "pt-PT"),
)

_ITALIAN: Final = Language(
    templates={
        Prompt.GREETING: "Buongiorno, qui è {clinic}. Chiamiamo per ricordarle il suo appuntamento.",
        Prompt.MENU: (
            "Prema 1 per confermare, 2 per chiederci di annullare, 3 per riascoltare il messaggio, "
            "o 9 per non ricevere più queste chiamate. Può chiamarci al {phone}."
        ),
        Prompt.VOICEMAIL: "Buongiorno, qui è {clinic}. La preghiamo di richiamarci al {phone}. Grazie.",
        Prompt.CONFIRMED: "Grazie. Il suo appuntamento è confermato.",
        Prompt.CANCEL_QUESTION: (
            "Per chiedere di annullare il suo appuntamento, prema di nuovo 2. Per mantenerlo, prema 1."
        ),
        Prompt.CANCEL_REQUESTED: (
            "Grazie. Informeremo il nostro personale che desidera annullare, e le sarà data conferma."
        ),
        Prompt.OPTED_OUT: (
            "Non riceverà più chiamate di promemoria da parte nostra. Se cambia idea, ci chiami al {phone}."
        ),
        Prompt.NOT_NEEDED: "Buongiorno, qui è {clinic}. Questa chiamata non è più necessaria. Arrivederci.",
        Prompt.UNKNOWN_KEY: "Spiacenti, questo tasto non è attivo.",
        Prompt.GOODBYE: "Può chiamarci al {phone}. Arrivederci.",
    },
    clinic="il suo studio medico",
    phone="numero abituale",
    numerals={"1": ("uno",), "2": ("due",), "3": ("tre",), "9": ("nove",)},
    tags=("it-IT",),
)

_DUTCH: Final = Language(
    templates={
        Prompt.GREETING: "Goedendag, u spreekt met {clinic}, met een herinnering aan uw afspraak.",
        Prompt.MENU: (
            "Druk op 1 om te bevestigen, op 2 om ons te vragen de afspraak af te zeggen, op 3 om alles nog eens te "
            "horen, of op 9 om deze telefoontjes niet meer te krijgen. U kunt ons bereiken op {phone}."
        ),
        Prompt.VOICEMAIL: "Goedendag, dit is {clinic}. Belt u ons alstublieft terug op {phone}. Dank u wel.",
        Prompt.CONFIRMED: "Dank u wel. Uw afspraak is bevestigd.",
        Prompt.CANCEL_QUESTION: (
            "Om ons te vragen uw afspraak af te zeggen, drukt u nog eens op 2. Om de afspraak te houden, drukt u op 1."
        ),
        Prompt.CANCEL_REQUESTED: (
            "Dank u wel. Wij laten onze medewerkers weten dat u wilt afzeggen; u krijgt nog een bevestiging."
        ),
        Prompt.OPTED_OUT: (
            "U krijgt van ons geen telefonische herinneringen meer. Als u zich bedenkt, belt u ons dan op {phone}."
        ),
        Prompt.NOT_NEEDED: "Goedendag, dit is {clinic}. Dit telefoontje is niet meer nodig. Tot ziens.",
        Prompt.UNKNOWN_KEY: "Sorry, deze toets heeft geen functie.",
        Prompt.GOODBYE: "U kunt ons bereiken op {phone}. Tot ziens.",
    },
    clinic="uw praktijk",
    phone="ons gebruikelijke nummer",
    numerals={"1": ("één",), "2": ("twee",), "3": ("drie",), "9": ("negen",)},
    tags=("nl-NL",),
)

_POLISH: Final = Language(
    templates={
        Prompt.GREETING: "Dzień dobry, tu {clinic}, dzwonimy, aby przypomnieć o wizycie.",
        Prompt.MENU: (
            "Proszę nacisnąć 1, aby potwierdzić, 2, aby poprosić o odwołanie wizyty, 3, aby usłyszeć wszystko "
            "ponownie, lub 9, aby nie otrzymywać więcej tych telefonów. Można do nas zadzwonić pod numer {phone}."
        ),
        Prompt.VOICEMAIL: "Dzień dobry, tu {clinic}. Prosimy o kontakt pod numerem {phone}. Dziękujemy.",
        Prompt.CONFIRMED: "Dziękujemy. Wizyta jest potwierdzona.",
        Prompt.CANCEL_QUESTION: (
            "Aby poprosić o odwołanie wizyty, proszę ponownie nacisnąć 2. Aby ją zachować, proszę nacisnąć 1."
        ),
        Prompt.CANCEL_REQUESTED: "Dziękujemy. Przekażemy Państwa prośbę; odwołanie zostanie jeszcze potwierdzone.",
        Prompt.OPTED_OUT: (
            "Nie będziemy więcej dzwonić z przypomnieniami. W razie zmiany zdania prosimy o telefon pod numer {phone}."
        ),
        Prompt.NOT_NEEDED: "Dzień dobry, tu {clinic}. To połączenie nie jest już potrzebne. Do widzenia.",
        Prompt.UNKNOWN_KEY: "Przepraszamy, ten klawisz nie ma przypisanej funkcji.",
        Prompt.GOODBYE: "Można do nas zadzwonić pod numer {phone}. Do widzenia.",
    },
    clinic="Państwa przychodnia",
    phone="recepcji",
    numerals={
        "1": ("jeden", "jedynkę"),
        "2": ("dwa", "dwójkę"),
        "3": ("trzy", "trójkę"),
        "9": ("dziewięć", "dziewiątkę"),
    },
    tags=("pl-PL",),
)

BUILT_IN: Final[Mapping[str, Language]] = MappingProxyType(
    {
        "en": _ENGLISH,
        "es": _SPANISH,
        "de": _GERMAN,
        "fr": _FRENCH,
        "pt": _PORTUGUESE,
        "it": _ITALIAN,
        "nl": _DUTCH,
        "pl": _POLISH,
    }
)
"""The built-in texts, by the first part of the language's tag."""


EXPECTED: Final = 'expected a language tag (BCP 47) like "es" or "pt-BR"'

_TAG: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,4}")
_NO_LANGUAGE: Final = frozenset({"mis", "mul", "und", "zxx", "root"})
"""Codes for several languages, for an unknown language, and for no language."""
_SHORTEST_NAME: Final = 4
"""The length of the shortest name. A shorter word is a code: Ga is one language's name, and the code of another."""
_SCRIPT: Final = 4
_REGION: Final = 2


def language_tag(text: str) -> str:
    """Return a language tag in its usual form: `pt-BR` for `PT-br`, `es` for the three-letter code `spa`.

    Raises:
        ValueError: it is no tag, or that of no known language; the message says what is expected.
    """
    if _TAG.fullmatch(text) is None:
        raise ValueError(f"not a language tag; {EXPECTED}")
    first, *rest = text.split("-")
    code = first.lower()
    code = str(get_global("language_aliases").get(code, code))
    if code not in _codes():
        raise ValueError(f"not a known language; {EXPECTED}")
    return "-".join((code, *map(_in_its_case, rest)))


@lru_cache(maxsize=1_000)  # a table has the same few words in every line
def read_language(text: str) -> str:
    """Return the tag of a language that is written as a tag, or by its name: `Spanish`, `Spanisch`, `español`.

    Names are understood in the languages that are built in.

    Raises:
        ValueError: it is neither; the message says what is expected.
    """
    written = text.strip()
    return _names().get(unaccented(written)) or language_tag(written)


def primary_language(tag: str) -> str:
    """Return the language of a tag, without its region."""
    return tag.partition("-")[0].lower()


def best_match(tag: str, among: Iterable[str]) -> str | None:
    """Return the tag among these that is the same, else the first one of the same language; None if there is none."""
    listed = tuple(among)
    same = [one for one in listed if one.lower() == tag.lower()]
    return next(iter(same or [one for one in listed if primary_language(one) == primary_language(tag)]), None)


def voice_tag(tag: str, *, near: str) -> str:
    """Return the tag by which a voice is asked for; one without a region gets one, as providers expect it.

    The region of `near`, the clinic's own language, is preferred.
    """
    if "-" in tag:
        return tag
    tags = BUILT_IN[tag].tags if tag in BUILT_IN else ()
    region = near.rpartition("-")[2]
    _, _, likely = str(get_global("likely_subtags").get(tag, "")).rpartition("_")
    usual = tags[0] if tags else f"{tag}-{likely}" if likely else tag
    return next((one for one in tags if one.endswith(f"-{region}")), usual)


def _in_its_case(subtag: str) -> str:
    if len(subtag) == _SCRIPT and subtag.isalpha():
        return subtag.title()
    return subtag.upper() if len(subtag) == _REGION else subtag.lower()


@lru_cache(maxsize=1)
def _codes() -> frozenset[str]:
    replaced = get_global("language_aliases")
    return frozenset(str(code) for code in Locale("en").languages if code not in replaced) - _NO_LANGUAGE


@lru_cache(maxsize=1)
def _names() -> Mapping[str, str]:
    """Return every name that means only one language, as `unaccented` returns it."""
    meant: dict[str, set[str]] = {}
    for written_in in BUILT_IN:
        for code, name in Locale(written_in).languages.items():
            tag = str(code).replace("_", "-")
            if primary_language(tag) in _codes() and len(name) >= _SHORTEST_NAME:
                meant.setdefault(unaccented(name), set()).add(tag)
    return {name: min(codes) for name, codes in meant.items() if len(codes) == 1}
