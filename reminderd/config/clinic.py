"""The section `[clinic]`: where the clinic is, and the numbers of which countries it may call."""

from attrs import frozen
from babel import Locale

from reminderd.config.keys import key
from reminderd.core.phone import is_country

_EXPECTED = 'a two-letter country code (ISO 3166) like "US" or "DE"'


def _code(text: str) -> str:
    return text.strip().upper()


def _codes(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(_code, texts))


def _country_error(text: str) -> str | None:
    code = _code(text)
    if not code or is_country(code):
        return None
    return f"is no country code{_did_you_mean(text)}"


def _countries_error(texts: tuple[str, ...]) -> str | None:
    wrong = ((place, text) for place, text in enumerate(texts, 1) if not is_country(_code(text)))
    return next((f"has an entry, number {n}, that is no country code{_did_you_mean(text)}" for n, text in wrong), None)


def _did_you_mean(text: str) -> str:
    """Return `, did you mean …?` for a country's English name, and for the code that people give the United Kingdom."""
    name = text.strip().casefold()
    codes = {known.casefold(): code for code, known in Locale("en").territories.items() if is_country(code)}
    code = codes.get(name) or {"uk": "GB", "usa": "US"}.get(name)
    return f", did you mean {code}?" if code else ""


@frozen(kw_only=True)
class ClinicConfig:
    """Where the clinic is. A country that is not set is not known."""

    country: str = key("", _EXPECTED, _country_error, converter=_code)
    allowed_countries: tuple[str, ...] = key(
        (), 'a list of two-letter country codes (ISO 3166) like ["US", "DE"]', _countries_error, converter=_codes
    )
