from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reminderd.core.schedule.dates import (
    OFFSETS,
    DayOrder,
    day_names,
    day_of,
    day_orders,
    has_half,
    midnight,
    moment_of_text,
)

BERLIN = ZoneInfo("Europe/Berlin")
FIRST_OF_MARCH = datetime(2027, 3, 1, 15, 0, tzinfo=UTC)
DMY, MDY = DayOrder.DAY_FIRST, DayOrder.MONTH_FIRST


@pytest.mark.parametrize(
    "text",
    [
        "2027-03-01 16:00",
        " 2027-03-01T16:00:00 ",
        "2027-03-01T15:00Z",
        "2027-03-01T10:00:00-05:00",
        "20270301T1600",
        "2027-03-01 16:00:00.0009",
        "2027/03/01 16:00",
        "2027/3/1 4:00 PM",
        "01.03.2027 16:00",
        "1.3.2027, 16:00 Uhr",
        "01.03.2027 16:00:00",
        "01.03.2027 16h00",
        "01.03.2027 16h",
        "1.3.2027 16 Uhr",
        "1.3.2027 4 pm",
        "1.3.2027 04:00\N{NO-BREAK SPACE}p.\N{NO-BREAK SPACE}m.",
        "01.03.2027 16:00:00,000",
        "2027-03-01 16:00:00,000",
        "2027-03-01 16:00:00 +0100",
        "2027-03-01 15:00 Z",
        "20270301T150000Z",
        "2027-03-01 1600",
        "01.03.27 16:00",
        "1. 3. 2027 16:00",
        "01.03.2027 16.00 Uhr",
        "01.03.2027 um 16:00 Uhr",
        "01.03.2027, 1600",
        "Mo. 01.03.2027 16:00",
        "March 1, 2027 4:00 PM",
        "Mon, Mar 1, 2027 4:00 PM",
        "1-Mar-2027 16:00",
        "1st March 2027 at 4 p.m.",
        "Montag, 1. März 2027 um 16:00 Uhr",
        "lunes, 1 de marzo de 2027 a las 16:00",
        "lundi 1er mars 2027 à 16h00",
        "2027-03-01 16:00 - 16:30",
        "01.03.2027 16:00\N{EN DASH}16:30",
        "2027-03-01 4 pm - 5 pm",
        "2027-03-01, 16:00-16:30",
        "2027-03-01 16:00-17:15",
    ],
)
@pytest.mark.parametrize("order", [None, DMY, MDY])
def test_these_spellings_mean_four_in_the_afternoon_on_the_first_of_march(text: str, order: DayOrder | None) -> None:
    assert moment_of_text(text, BERLIN, order) == FIRST_OF_MARCH


@pytest.mark.parametrize(
    ("text", "order"),
    [("1/3/2027 16:00", DMY), ("01-03-2027 16:00", DMY), ("3/1/2027 4:00 PM", MDY), ("03-01-2027 16:00", MDY)],
)
def test_a_date_with_slashes_needs_an_order(text: str, order: DayOrder) -> None:
    assert moment_of_text(text, BERLIN, order) == FIRST_OF_MARCH
    with pytest.raises(ValueError, match="day first or month first"):
        moment_of_text(text, BERLIN)


@pytest.mark.parametrize(
    ("text", "order"), [("1/3/27 16:00", DMY), ("3/1/27 4.00 PM", MDY), ("Mon, 3/1/2027 4:00 PM", MDY)]
)
def test_a_year_of_two_digits_is_of_this_century(text: str, order: DayOrder) -> None:
    assert moment_of_text(text, BERLIN, order) == FIRST_OF_MARCH


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2027-03-01 09:00-09:30", "a slot or a time with an offset"),
        ("2027-03-01 03:00-05:00", "a slot or a time with an offset"),
        ("2027-03-01 0900-0930", "a slot or a time with an offset"),
        ("2027-03-01 17:15-16:30", "no place in the world has the offset -16:30"),
        ("2027-03-01 09:00+30", r"no place in the world has the offset \+30"),
        ("2027-03-01 09:00+0:30", "not a time"),
        ("2027-03-01T14:00-15:00", "no place in the world has the offset -15:00"),
        ("2027-03-01 14:00:00-15:00", "no place in the world has the offset -15:00"),
        ("2027-03-01 09-10", "an hour without minutes; expected a time like 09:00"),
        ("2027-03-01, 09:00-05:00", "a slot that ends before it begins"),
        ("2027-03-01, 9:00 - 9:30 AM", "a slot that ends before it begins, or begins AM or PM"),
        ("2027-03-01, 09:00+01:00", "not a time"),
    ],
)
def test_an_offset_must_exist_and_be_unambiguous(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        moment_of_text(text, BERLIN)


def test_a_slot_is_read_as_its_start_if_it_cannot_be_an_offset() -> None:
    assert moment_of_text("2027-03-01 14:00-15:00", BERLIN) == datetime(2027, 3, 1, 13, tzinfo=UTC)
    assert moment_of_text("2027-03-01 16:00-05:00", BERLIN) == datetime(2027, 3, 1, 21, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2027-03-01 12:30-01:00", "2027-03-01 11:00-01:00", "2027-03-01 10:30-01:00"])
def test_a_twelve_hour_slot_across_noon_is_not_an_offset(text: str) -> None:
    with pytest.raises(ValueError, match="a slot or a time with an offset"):
        moment_of_text(text, BERLIN)


def test_the_known_offsets_are_those_of_all_zones() -> None:
    months = [datetime(2027, month, 15, tzinfo=UTC) for month in range(1, 13)]
    zones = [ZoneInfo(name) for name in available_timezones() - {"Factory"} if not name.startswith("Etc/")]
    found = {month.astimezone(zone).utcoffset() for zone in zones for month in months}
    assert found <= OFFSETS
    assert {offset for offset in OFFSETS if offset not in found} <= {timedelta(hours=-12)}


def test_midnight_without_an_offset_is_refused_where_a_bare_date_is() -> None:
    assert moment_of_text("2027-03-01 00:00", BERLIN) == datetime(2027, 2, 28, 23, tzinfo=UTC)
    for text in ("2027-03-01 00:00", "3/13/2027 12:00:00 AM"):
        with pytest.raises(ValueError, match="midnight, as a date without a time of day is saved"):
            moment_of_text(text, BERLIN, MDY, midnight=False)
    assert moment_of_text("2027-03-01T00:00+01:00", BERLIN, midnight=False) == datetime(2027, 2, 28, 23, tzinfo=UTC)


def test_each_month_and_weekday_name_has_one_meaning() -> None:
    for kind in ("months", "days"):
        pairs = set(day_names(kind))
        assert len(pairs) == len({name for name, _ in pairs})


def test_a_date_that_is_the_same_in_both_orders_needs_no_order() -> None:
    assert moment_of_text("3/3/2027 12:00 AM", BERLIN) == datetime(2027, 3, 2, 23, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not a time"),
        ("soon", "not a time"),
        ("2027-03-01", "not a time"),
        ("01.03.2027", "not a time"),
        ("46447.6667", "a spreadsheet's own number"),
        ("46447,6667", "a spreadsheet's own number"),
        ("46447", "a spreadsheet's own number"),
        ("46447 0.6667", "a spreadsheet's own number"),
        ("15.03.2027 0.38", "a spreadsheet's own number"),
        ("3/15/2027, 0.6666667", "a spreadsheet's own number"),
        ("2027-03-15, 0,5", "a spreadsheet's own number"),
        ("01-03-27 16:00", "no year of four digits"),
        ("027/03/01 16:00", "no year of four digits"),
        ("2027/03/2027 16:00", "no year of four digits"),
        ("2027-W11-1T16:00", "not a time"),
        ("2027-03-15x16:00", "not a time"),
        ("2027-03-15\N{NO-BREAK SPACE}16:00", "not a time"),
        ("2027-13-15 16:00", "no such day or hour"),
        ("2027-03-15 24:00", "no such day or hour"),
        ("15.03.2027 24:00", "no such day or hour"),
        ("2027-03-15 16", "an hour without minutes; expected a time like 16:00"),
        ("16:00", "not a time"),
        ("Tomorrow 4 pm", "not a time"),
        ("Tu. 15.03.2027 16:00", "not a time"),
        ("Mon 16:00", "not a time"),
        ("Di. 15.03.2027 16:00", "another day of the week"),
        ("15 Foo 2027 16:00", "not a time"),
        ("Foo 15, 2027 16:00", "not a time"),
        ("1803916800000", "not a time"),
        ("31.02.2027 16:00", "no such day or hour"),
        ("01.13.2027 16:00", "no such day or hour"),
        ("01.03.2027 25:00", "no such day or hour"),
        ("01.03.2027 16:00 PM", "no such day or hour"),
        ("01.03.2027 0:30 AM", "no such day or hour"),
        ("01.03.2027 16", "an hour without minutes; expected a time like 16:00"),
        ("01.03.2027, 8", "an hour without minutes; expected a time like 08:00"),
        ("01.03.2027 25", "no such day or hour"),
        ("9030-03-01 16:00", "the year 9030"),
        ("1970-03-01 16:00", "the year 1970"),
        ("2027-03-28 02:30", "does not exist in Europe/Berlin"),
        ("28.03.2027 02:30", "does not exist in Europe/Berlin"),
        ("1/3.2027 16:00", "not a time"),
        ("\N{ARABIC-INDIC DIGIT ONE}.03.2027 16:00 x", "not a time"),
    ],
)
def test_a_text_that_is_not_a_time_gives_a_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        moment_of_text(text, BERLIN, DMY)


def test_a_local_time_that_occurs_twice_is_the_first_one() -> None:
    assert moment_of_text("2027-10-31 02:30", BERLIN) == datetime(2027, 10, 31, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "half"),
    [
        ("3/15/2027, 9:00 AM", True),
        ("15.03.2027 4 p.m.", True),
        ("3/15/2027 1:30", False),
        ("15.03.2027, 9.30", False),
        ("15.03.2027, 09.30", None),  # the zero shows that it is a time of 24 hours
        ("15.03.2027, 01.30", False),  # but nobody has an appointment then: a spreadsheet added the zero
        ("3/15/2027 06:59", False),
        ("3/15/2027 11:30:00 ", False),
        ("3/15/2027 12:30", None),
        ("3/15/2027 16:30", None),
        ("2027-03-15 09:30", None),
        ("2027-03-15", None),
        ("", None),
    ],
)
def test_only_a_time_before_noon_may_lack_its_pm(text: str, half: bool | None) -> None:
    assert has_half(text) is half


@pytest.mark.parametrize(
    ("text", "orders"),
    [
        ("13/1/2027 16:00", {DMY}),
        ("1/13/2027 16:00", {MDY}),
        (" 1-13-2027", {MDY}),
        ("1/13/27", {MDY}),
        ("Mon, 3/15/2027", {MDY}),
        ("Mar 1, 2027", set()),
        ("1/2/2027", {DMY, MDY}),
        ("2/2/2027", set()),
        ("13/14/2027", set()),
        ("2027/1/13", set()),
        ("13.1.2027", set()),
        ("2027-01-13 16:00", set()),
    ],
)
def test_a_date_can_be_read_in_these_orders(text: str, orders: set[DayOrder]) -> None:
    assert day_orders(text) == orders


@given(
    st.datetimes(datetime(1971, 1, 2), datetime(2999, 1, 1)),  # noqa: DTZ001 - written as local time
    st.sampled_from(
        [
            ("%Y-%m-%d %H:%M", None),
            ("%Y-%m-%dT%H:%M:%S", None),
            ("%d.%m.%Y %H:%M", None),
            ("%d/%m/%Y %I:%M:%S %p", DMY),
            ("%m/%d/%Y %I:%M %p", MDY),
        ]
    ),
)
def test_a_written_time_is_read_back(local: datetime, how: tuple[str, DayOrder | None]) -> None:
    form, order = how
    local = local.replace(microsecond=0, second=local.second if "%S" in form else 0)
    assert moment_of_text(local.strftime(form), ZoneInfo("UTC"), order) == local.replace(tzinfo=UTC)


@given(
    st.text() | st.from_regex(r"[0-9]{1,4}[./-][0-9]{1,2}[./-][0-9]{1,4} [0-9:hapmAPM. ]{0,12}"),
    st.none() | st.sampled_from(DayOrder),
)
def test_any_text_gives_a_time_in_milliseconds_or_a_reason(text: str, order: DayOrder | None) -> None:
    found = time_or_reason(text, order)
    if isinstance(found, str):
        assert "expected" in found or "give another time" in found
    else:
        assert (found.tzinfo, found.microsecond % 1000) == (UTC, 0)


def time_or_reason(text: str, order: DayOrder | None) -> datetime | str:
    try:
        return moment_of_text(text, BERLIN, order)
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("today", 7), ("tomorrow", 8), ("yesterday", 6), ("2030-01-09", 9)],
)
def test_a_day_is_named_by_a_word_or_written_out(text: str, expected: int) -> None:
    assert day_of(text, date(2030, 1, 7)) == date(2030, 1, expected)


@pytest.mark.parametrize(
    ("text", "why"),
    [("", "not a date"), ("7.1.2030", "not a date"), ("2030-02-30", "not a date"), ("0001-01-01", "the year 1;")],
)
def test_what_names_no_day_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        day_of(text, date(2030, 1, 7))


@pytest.mark.parametrize(
    ("zone", "day", "begins"),
    [
        ("Europe/Berlin", date(2027, 3, 28), datetime(2027, 3, 27, 23, tzinfo=UTC)),
        ("Europe/Berlin", date(2027, 3, 29), datetime(2027, 3, 28, 22, tzinfo=UTC)),
        pytest.param(
            "Africa/Cairo", date(2024, 4, 26), datetime(2024, 4, 25, 22, tzinfo=UTC), id="clocks go from 24:00 to 01:00"
        ),
    ],
)
def test_a_day_begins_at_its_first_moment(zone: str, day: date, begins: datetime) -> None:
    first = midnight(day, ZoneInfo(zone)).astimezone(UTC)
    assert first == begins
    before = (first - timedelta(seconds=1)).astimezone(ZoneInfo(zone))
    assert (before.date(), first.astimezone(ZoneInfo(zone)).date()) == (day - timedelta(days=1), day)
