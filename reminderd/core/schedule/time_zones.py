"""Read time zones of places, with their daylight-saving time, and decide when a daily job in a zone is due.

An offset is not accepted as a time zone.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from attrs import frozen
from babel.core import get_global

EXPECTED: Final = "expected the tz database's name of a place, like America/New_York"

_NOWHERE: Final = ("Etc/", "SystemV/", "posix/", "right/")
_COUNTRIES: Final = frozenset(
    {"Cuba", "Egypt", "Eire", "GB", "GB-Eire", "Hongkong", "Iceland", "Iran", "Israel", "Jamaica", "Japan", "Kwajalein"}
    | {"Libya", "NZ", "NZ-CHAT", "Navajo", "PRC", "Poland", "Portugal", "ROC", "ROK", "Singapore", "Turkey", "W-SU"}
)
"""Old names of places without a slash; all other names without a slash are offsets or abbreviations."""

_NO_COUNTRY: Final = frozenset({"001", "ZZ"})
"""Unicode's CLDR codes for the world, and for unknown."""

_LONGEST: Final = 60
"""How many characters of a name are compared with the names of places."""

_MEANT: Final[Mapping[str, str]] = {
    r"E[SD]T|EST5EDT|Eastern|Etc/GMT\+[45]": "America/New_York",
    r"C[SD]T|CST6CDT|Central Standard|Central Daylight|Central Time|Etc/GMT\+6": "America/Chicago",
    r"M[SD]T|MST7MDT|Mountain|Etc/GMT\+7": "America/Denver",
    r"P[SD]T|PST8PDT|Pacific|Etc/GMT\+8": "America/Los_Angeles",
    r"AK[SD]T|Alaska\w*|Etc/GMT\+9": "America/Anchorage",
    r"HST|Hawaii\w*|Etc/GMT\+10": "Pacific/Honolulu",
    r"A[SD]T|Atlantic": "America/Halifax",
    r"CES?T|ME[SZ]Z?|MET|Romance|W\. Europe|Central Europe\w*|Etc/GMT-[12]": "Europe/Berlin",
    r"EES?T|E\. Europe|FLE": "Europe/Athens",
    r"GMT[+-]?0?|UTC|UCT|BST|WES?T|Greenwich|Universal|Zulu|Etc/\w+": "Europe/London",
}
"""What people write instead of a place, with the place that they probably mean; the first match counts."""


def place_zone(name: str) -> ZoneInfo:
    """Return the zone of that name, aliases like `US/Eastern` included.

    Raises:
        ValueError: it is not the zone of a place; the message says what is wrong and what is expected.
    """
    found = known_zone(name)
    if found is not None:
        return found
    loaded = _loaded(name)
    meant = _meant(name)
    if loaded is None:
        raise ValueError(f"not a time zone; {EXPECTED if meant is None else f'expected a zone like {meant}'}")
    like = meant or "America/New_York"
    if _is_fixed(loaded) and not _is_fixed(ZoneInfo(like)):
        raise ValueError(f"{name} has no daylight saving time; expected a zone like {like}")
    raise ValueError(f"{name} is not the time zone of a place; expected a zone like {like}")


def known_zone(name: str) -> ZoneInfo | None:
    """Return the zone of that name if it is the zone of a place, else None, also for any other text."""
    is_place = name in _COUNTRIES or ("/" in name and not name.startswith(_NOWHERE))
    return _loaded(name) if is_place else None


def territory_of(zone: ZoneInfo) -> str | None:
    """Return the ISO 3166 code of the country or territory of a zone; None if not known."""
    name = zone.key
    found = get_global("zone_territories").get(get_global("zone_aliases").get(name, name))
    return None if found is None or found in _NO_COUNTRY else str(found)


@lru_cache(maxsize=1_000)  # looking for a zone that does not exist takes as long as reading a row
def _loaded(name: str) -> ZoneInfo | None:
    """Return the zone of that name, or None."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; NULs and `../`; the name of a folder of zones
        return None


@lru_cache(maxsize=1_000)
def _meant(name: str) -> str | None:
    """Return the place that a person probably means, or None; cached, as a whole file may have the same mistake."""
    for written, place in _MEANT.items():
        if re.match(rf"\s*(?:{written})(?![\w/])", name, re.IGNORECASE):
            return place
    places = _places()
    close = get_close_matches(name.strip().casefold()[:_LONGEST], places, n=1, cutoff=0.8)
    return places[close[0]] if close else None


@lru_cache(maxsize=1)
def _places() -> Mapping[str, str]:
    """Return the names of all zones of places, by that name and by the name of their city, in small letters."""
    names = sorted(name for name in available_timezones() if known_zone(name) is not None)
    cities = {name.rpartition("/")[2].replace("_", " ").casefold(): name for name in names}
    return cities | {name.casefold(): name for name in names}


def _is_fixed(zone: ZoneInfo) -> bool:
    """Return whether a zone has one offset all year."""
    offsets = {datetime(2026, month, 1, tzinfo=UTC).astimezone(zone).utcoffset() for month in (1, 7)}
    return len(offsets) == 1


_DAY = timedelta(days=1)


@frozen(kw_only=True)
class Daily:
    """A time of day in a time zone, at which something is due daily."""

    at: time
    zone: ZoneInfo

    def due(self, last: datetime | None, now: datetime) -> datetime:
        """Return when it is due next, if it was last done at `last`; in the past, or `now`, if it is due already."""
        today = now.astimezone(self.zone).date()
        yesterdays, todays, tomorrows = (self.on(today + days * _DAY) for days in (-1, 0, 1))
        latest = todays if todays <= now else yesterdays
        if last is None:
            return now
        if last < latest:
            return latest
        return todays if todays > now else tomorrows

    def on(self, day: date) -> datetime:
        """Return the time on a day; if the clock skips that time, later by as much as the clock skips."""
        return datetime.fromtimestamp(datetime.combine(day, self.at, tzinfo=self.zone).timestamp(), self.zone)
