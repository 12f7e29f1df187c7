from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reminderd.core.spoken_times import DayOrder, day_orders, moment

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
    ],
)
@pytest.mark.parametrize("order", [None, DMY, MDY])
def test_these_mean_four_in_the_afternoon_on_the_first_of_march(text: str, order: DayOrder | None) -> None:
    assert moment(text, BERLIN, order) == FIRST_OF_MARCH


@pytest.mark.parametrize(
    ("text", "order"),
    [("1/3/2027 16:00", DMY), ("01-03-2027 16:00", DMY), ("3/1/2027 4:00 PM", MDY), ("03-01-2027 16:00", MDY)],
)
def test_with_slashes_the_order_is_told(text: str, order: DayOrder) -> None:
    assert moment(text, BERLIN, order) == FIRST_OF_MARCH
    with pytest.raises(ValueError, match="day first or month first"):
        moment(text, BERLIN)


def test_a_date_that_is_the_same_in_either_order_needs_none() -> None:
    assert moment("3/3/2027 12:00 AM", BERLIN) == datetime(2027, 3, 2, 23, 0, tzinfo=UTC)


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
        ("01.03.27 16:00", "no year of four digits"),
        ("31.02.2027 16:00", "no such day or hour"),
        ("01.13.2027 16:00", "no such day or hour"),
        ("01.03.2027 25:00", "no such day or hour"),
        ("01.03.2027 16:00 PM", "no such day or hour"),
        ("01.03.2027 0:30 AM", "no such day or hour"),
        ("01.03.2027 16", "no such day or hour"),
        ("9030-03-01 16:00", "the year 9030"),
        ("1970-03-01 16:00", "the year 1970"),
        ("2027-03-28 02:30", "does not exist in Europe/Berlin"),
        ("28.03.2027 02:30", "does not exist in Europe/Berlin"),
        ("1/3.2027 16:00", "not a time"),
        ("\N{ARABIC-INDIC DIGIT ONE}.03.2027 16:00 x", "not a time"),
    ],
)
def test_what_is_no_time_says_why(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        moment(text, BERLIN, DMY)


def test_a_local_time_that_comes_twice_is_its_first() -> None:
    assert moment("2027-10-31 02:30", BERLIN) == datetime(2027, 10, 31, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "orders"),
    [
        ("13/1/2027 16:00", {DMY}),
        ("1/13/2027 16:00", {MDY}),
        (" 1-13-2027", {MDY}),
        ("1/2/2027", {DMY, MDY}),
        ("2/2/2027", set()),
        ("13/14/2027", set()),
        ("2027/1/13", set()),
        ("13.1.2027", set()),
        ("2027-01-13 16:00", set()),
    ],
)
def test_the_orders_in_which_a_date_can_be_read(text: str, orders: set[DayOrder]) -> None:
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
def test_what_was_written_is_read_again(local: datetime, how: tuple[str, DayOrder | None]) -> None:
    form, order = how
    local = local.replace(microsecond=0, second=local.second if "%S" in form else 0)
    assert moment(local.strftime(form), ZoneInfo("UTC"), order) == local.replace(tzinfo=UTC)


@given(
    st.text() | st.from_regex(r"[0-9]{1,4}[./-][0-9]{1,2}[./-][0-9]{1,4} [0-9:hapmAPM. ]{0,12}"),
    st.none() | st.sampled_from(DayOrder),
)
def test_any_text_is_a_time_in_whole_milliseconds_or_a_reason(text: str, order: DayOrder | None) -> None:
    found = time_or_reason(text, order)
    if isinstance(found, str):
        assert "expected" in found or "give another time" in found
    else:
        assert (found.tzinfo, found.microsecond % 1000) == (UTC, 0)


def time_or_reason(text: str, order: DayOrder | None) -> datetime | str:
    try:
        return moment(text, BERLIN, order)
    except ValueError as error:
        return str(error)
