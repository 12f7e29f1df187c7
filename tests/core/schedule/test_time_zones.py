import csv
import re
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

import pytest
from babel.core import get_global

from reminderd.core.phone import ANY_NUMBER, patient_number
from reminderd.core.requests import Reading, RequestText, read_request
from reminderd.core.schedule.time_zones import known_zone, place_zone, territory_of

ZONES = Path(__file__).parents[1] / "files" / "zones.csv"


def cases() -> list[tuple[str, dict[str, str]]]:
    with ZONES.open(encoding="utf-8", newline="") as file:
        return [(row["ref"], row) for row in csv.DictReader(file)]


@pytest.mark.parametrize(("name", "row"), cases())
def test_a_rows_time_zone_must_be_a_place(name: str, row: dict[str, str]) -> None:
    text = RequestText(
        phone_number=row["phone"], message=row["message"], scheduled_at=row["at"], timezone=row["timezone"], ref=name
    )
    found = read_request(text, Reading(zone=None, normalize=lambda number: patient_number(number, ANY_NUMBER)))
    if isinstance(found, list):
        assert row["right"].startswith("refused")
        (mistake,) = found
        assert mistake.startswith("timezone: ")
        assert "America/New_York" in mistake or "suggested" not in row["right"]
    else:
        assert f"{found.scheduled_at:%Y-%m-%d %H:%M %Z}" == row["right"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("EST", "EST has no daylight saving time; expected a zone like America/New_York"),
        ("MST", "MST has no daylight saving time; expected a zone like America/Denver"),
        ("HST", "HST is not the time zone of a place; expected a zone like Pacific/Honolulu"),
        ("UTC", "UTC has no daylight saving time; expected a zone like Europe/London"),
        ("Etc/GMT+6", "Etc/GMT+6 has no daylight saving time; expected a zone like America/Chicago"),
        ("EST5EDT", "EST5EDT is not the time zone of a place; expected a zone like America/New_York"),
        ("CET", "CET is not the time zone of a place; expected a zone like Europe/Berlin"),
        (
            "posix/Europe/Berlin",
            "posix/Europe/Berlin is not the time zone of a place; expected a zone like Europe/Berlin",
        ),
        ("PDT", "not a time zone; expected a zone like America/Los_Angeles"),
        ("W. Europe Standard Time", "not a time zone; expected a zone like Europe/Berlin"),
        ("europe/berln", "not a time zone; expected a zone like Europe/Berlin"),
        ("New York", "not a time zone; expected a zone like America/New_York"),
        ("+01:00", "not a time zone; expected the tz database's name of a place"),
        ("Mars/Base", "not a time zone; expected the tz database's name of a place"),
    ],
)
def test_a_zone_that_is_not_a_place_is_refused_with_a_suggestion(name: str, says: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(says)}"):
        place_zone(name)


@pytest.mark.parametrize(
    "name", ["", "Mars/Base", "../etc/passwd", "Europe", "Europe/Ber\0lin", "x" * 300, "localtime"]
)
def test_garbage_is_not_a_zone(name: str) -> None:
    assert known_zone(name) is None
    with pytest.raises(ValueError, match="expected"):
        place_zone(name)


@pytest.mark.parametrize("name", ["America/New_York", "US/Eastern", "Asia/Calcutta", "Cuba", "GB", "Europe/Kyiv"])
def test_old_zone_names_of_a_place_are_accepted(name: str) -> None:
    assert place_zone(name) == ZoneInfo(name)


def test_only_zones_that_are_places_are_accepted() -> None:
    aliases = get_global("zone_aliases")
    taken = {name for name in available_timezones() if known_zone(name) is not None}
    assert not [name for name in taken if aliases.get(name, name).startswith("Etc/")]
    assert not [name for name in available_timezones() - taken if "/" in name and not name.startswith("Etc/")]


@pytest.mark.parametrize(
    ("name", "code"),
    [("America/New_York", "US"), ("US/Eastern", "US"), ("Europe/Kyiv", "UA"), ("Antarctica/Troll", None)],
)
def test_a_zone_has_a_country(name: str, code: str | None) -> None:
    assert territory_of(ZoneInfo(name)) == code


def test_a_zone_newer_than_the_map_has_no_known_country() -> None:
    with (resources.files("tzdata") / "zoneinfo" / "Europe" / "Berlin").open("rb") as file:
        assert territory_of(ZoneInfo.from_file(file, key="Moon/Tranquility")) is None


def test_a_time_without_an_offset_needs_a_zone() -> None:
    def read(timezone: str | None, at: str) -> object:
        text = RequestText(phone_number="+12025550147", message="Hello.", scheduled_at=at, timezone=timezone)
        return read_request(text, Reading(zone=None, normalize=str))

    assert read(None, "2027-07-01 16:00") == [
        "scheduled_at: a local time, and [calling].timezone is not set; expected an offset like -05:00, or that key"
    ]
    assert len(read("Mars/Base", "2027-07-01 16:00")) == 1  # type: ignore[arg-type] # a list: the zone's mistake alone
    moment = datetime(2027, 7, 1, 20, tzinfo=UTC)
    assert read(None, "2027-07-01 16:00-04:00").scheduled_at == moment  # type: ignore[attr-defined] # a request
    assert read("America/New_York", "2027-07-01 16:00").scheduled_at == moment  # type: ignore[attr-defined] # a request
