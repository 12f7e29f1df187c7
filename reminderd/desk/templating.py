"""Build the environment that renders the pages' templates in one language, and serve their few static files."""

from collections.abc import Mapping
from functools import cache, partial
from hashlib import sha256
from importlib import resources
from typing import Final

from attrs import frozen
from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.ext import i18n
from markupsafe import Markup
from quart import Response, request

from reminderd.core.outcomes import Group, Outcome, group_of
from reminderd.core.phone import shown_number
from reminderd.core.schedule.cadence import cadence_in_words
from reminderd.desk.addresses import Addresses
from reminderd.desk.catalog import Catalog
from reminderd.desk.mistakes import mistake_of
from reminderd.store.queries import LEAST_DIGITS

EXTENSIONS: Final = (i18n,)
"""The extensions that the templates use."""
_OF_CATALOG: Final = ("sentence", "time", "hour", "moment", "exactly", "day", "short_day", "number", "percent")
"""Methods of the catalog that are filters."""
_TYPES: Final = {
    "desk.css": "text/css; charset=utf-8",
    "desk.js": "text/javascript; charset=utf-8",
    "htmx.min.js": "text/javascript; charset=utf-8",
    "htmx.LICENSE": "text/plain; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
"""All static files: no other file is ever looked for on the disk."""

_A_YEAR: Final = "public, max-age=31536000, immutable"


def environment_of(catalog: Catalog, addresses: Addresses, *, country: str) -> Environment:
    """Return the environment for the catalog's language; phone numbers are shown as they are dialed in the country."""
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
        **{name: getattr(catalog, name) for name in _OF_CATALOG},
        "mistake": partial(mistake_of, catalog),
        "attributes": _attributes,
        "dialed": partial(shown_number, country=country),
        "record": lambda record_id: f"/r/{addresses.address_of(record_id)}",
        "badge_of": _badge_of,
        "cadence": lambda name: catalog.sentence(cadence_in_words(name)),
    }
    found.globals |= {"language": catalog.language, "static": url_of_file, "shown_digits": LEAST_DIGITS}
    return found


_BADGES: Final = {Group.NEEDS_HUMAN: "human", Group.IN_CALL: "calling", Group.WAITING: "waiting", Group.DONE: "good"}
_OVER: Final = frozenset({Outcome.CANCELLED, Outcome.OPTED_OUT})


def _badge_of(word: str) -> str:
    """Return the kind of badge for an `Outcome`."""
    return "over" if word in _OVER else _BADGES[group_of(Outcome(word))]


def _attributes(given: Mapping[str, object]) -> Markup:
    """Return attributes of an element, each with a space before it: `aria_label` is `aria-label`, True has no value."""
    shown = {name.replace("_", "-"): value for name, value in given.items() if value not in (None, False)}
    return Markup().join(
        Markup(" {}").format(name) if value is True else Markup(' {}="{}"').format(name, value)
        for name, value in shown.items()
    )


@frozen
class _File:
    content: bytes
    digest: str


def url_of_file(name: str) -> str:
    """Return the URL of a file, which changes with its content."""
    return f"/static/{name}?v={_file(name).digest}"


async def static_file(name: str) -> Response:
    """Answer a request for a file."""
    if name not in _TYPES:
        return Response("", 404)
    file = _file(name)
    kept = _A_YEAR if request.args.get("v") == file.digest else "no-cache"
    return Response(file.content, content_type=_TYPES[name], headers={"Cache-Control": kept})


@cache
def _file(name: str) -> _File:
    content = (resources.files("reminderd.desk") / "static" / name).read_bytes()
    return _File(content, sha256(content).hexdigest()[:12])
