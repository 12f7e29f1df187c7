"""Build what renders the pages' templates: in one language, everything escaped, every undefined name an error."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.ext import i18n
from markupsafe import Markup

from reminderd.core.outcomes import Group, Outcome, group_of
from reminderd.core.phone import shown_number
from reminderd.core.schedule.cadence import cadence_in_words
from reminderd.desk.addresses import Addresses
from reminderd.desk.catalog import Catalog
from reminderd.desk.mistakes import mistake_of
from reminderd.desk.static_files import url_of_file
from reminderd.store.queries import LEAST_DIGITS

EXTENSIONS: Final = (i18n,)
"""What templates are written with."""


def environment_of(catalog: Catalog, addresses: Addresses, *, country: str) -> Environment:
    """Return what renders the templates in the catalog's language, with phone numbers as they are dialed there."""
    found = Environment(
        loader=PackageLoader("reminderd.desk"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=EXTENSIONS,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    translations = catalog.translations
    # The i18n extension adds this method.
    found.install_gettext_callables(translations.gettext, translations.ngettext, newstyle=True)  # type: ignore[attr-defined]
    found.filters |= {
        "sentence": catalog.sentence,
        "mistake": partial(mistake_of, catalog),
        "time": catalog.time,
        "hour": catalog.hour,
        "moment": catalog.moment,
        "exactly": catalog.exactly,
        "day": catalog.day,
        "short_day": catalog.short_day,
        "number": catalog.number,
        "percent": catalog.percent,
        "attributes": _attributes,
        "dialed": partial(shown_number, country=country),
        "record": partial(_record, addresses),
        "badge_of": badge_of,
        "cadence": lambda name: catalog.sentence(cadence_in_words(name)),
    }
    found.globals |= {"language": catalog.language, "static": url_of_file, "shown_digits": LEAST_DIGITS}
    return found


_BADGES: Final = {Group.NEEDS_HUMAN: "human", Group.IN_CALL: "calling", Group.WAITING: "waiting", Group.DONE: "good"}
_OVER: Final = frozenset({Outcome.CANCELLED, Outcome.OPTED_OUT})


def badge_of(word: str) -> str:
    """Return the kind of badge that shows what a reminder has come to, an `Outcome`."""
    return "over" if word in _OVER else _BADGES[group_of(Outcome(word))]


def _attributes(given: Mapping[str, object]) -> Markup:
    """Return attributes of an element, each with a space before it: `aria_label` is `aria-label`, True has no value."""
    shown = {name.replace("_", "-"): value for name, value in given.items() if value not in (None, False)}
    return Markup().join(
        Markup(" {}").format(name) if value is True else Markup(' {}="{}"').format(name, value)
        for name, value in shown.items()
    )


def _record(addresses: Addresses, record_id: str) -> str:
    """Return the path of a reminder's page."""
    return f"/r/{addresses.locked(record_id)}"
