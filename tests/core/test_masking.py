import pytest
from hypothesis import given
from hypothesis import strategies as st

from reminderd.core.masking import mask_name, mask_numbers, mask_numbers_in_notes, masked, replace_numbers

NUMBER = "12025550194"
BETWEEN = [*" -./\\()[]'_*+,:;|", '"', "\n", "\r\n", "\t"]
UNSEEN = ["\u00a0", "\u202f", "\u2009", "\u200b", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u2011", "\u2013", "\ufe0f"]
ESCAPED = [r"\xa0", r"\u200b", r"\n", r"\t", "%20", "&nbsp;", "&#160;", "%C2%A0"]


@pytest.mark.parametrize("gap", [*BETWEEN, *UNSEEN, *ESCAPED])
def test_a_number_is_masked_with_any_separator(gap: str) -> None:
    for spelled in (gap.join(NUMBER), gap.join(["1", "202", "555", "0194"]), f"+1{gap}202{gap * 3}5550194"):
        shown = mask_numbers(f"no line for {spelled} today")
        assert "202" not in shown
        assert "555" not in shown
        assert sum(one.isdigit() for one in shown) <= 2


FULL_WIDTH = {48 + digit: 0xFF10 + digit for digit in range(10)}
ARABIC = {48 + digit: 0x0660 + digit for digit in range(10)}


@pytest.mark.parametrize(
    "spelled",
    [
        NUMBER.translate(FULL_WIDTH),
        NUMBER.translate(ARABIC),
        "\ufe0f\u20e3".join(NUMBER),
        "+49 2012-12-12 94",
        "+1 202.55.50.194",
        "+49,301,234,567 x",
        "1 2 0:25 5 5 0 1 9 4",
        "1:20 25550194",
        "1202555 01:19 4",
        "030 12:34 56",
        "12:02-05:55 0194",
        "2,025,550,147 called",
        "49,301,234,567 said",
    ],
)
def test_numbers_that_only_look_like_a_time_or_address_are_masked(spelled: str) -> None:
    assert sum(one.isdigit() for one in mask_numbers(f"calling {spelled}")) <= 2


@given(st.lists(st.sampled_from([*BETWEEN, *UNSEEN, ""]), min_size=10, max_size=10))
def test_a_number_is_masked_with_any_mix_of_separators(gaps: list[str]) -> None:
    spelled = "".join(digit + gap for digit, gap in zip(NUMBER, [*gaps, ""], strict=True))
    assert sum(one.isdigit() for one in mask_numbers(f"for {spelled}!")) <= 2


@pytest.mark.parametrize(
    "text",
    [
        "0f8fad5b-d9cb-469f-a165-70867728950e",
        "12345678-1234-1234-1234-123456789012",
        "CA0123456789abcdef0123456789abcdef",
        "held until 2026-11-29 09:00 EST: outside the calling hours",
        "2026-11-29T09:00:05.123+01:00, 2026-11-29T08:00:05Z and 2026-11-29",
        "at 2026-11-24 10:00:00, port 12345, 123456 bytes",
        "backup made: reminderd-12025550-20261129T023000Z.db, 12,345,678 bytes, in 12.3 s",
        "clinic-20261129T023000Z.db, 12,345,678 bytes, in 12.3 s",
        "at http://127.0.0.1:4000 and http://0.0.0.0:4000, for 203.0.113.5",
        "from 2001:db8:1234:5678::/64: wrong password; no more tries for 900 s",
        "failed: busy, after 3 calls (error 21211, SIP 480)",
        "up to 23:59, 4000 reminders",
        "at 12:21:48 (3 calls), again at 09:00 (2), 10:30",
        "calling hours 08:00-12:00, 13:00\u201318:00, not 7:30-9:00",
    ],
)
def test_ids_times_counts_and_ip_addresses_are_not_masked(text: str) -> None:
    assert mask_numbers(text) == text


def test_a_number_after_a_time_is_masked_and_the_time_stays() -> None:
    assert mask_numbers("at 2026-11-29 09:00 +12025550194") == "at 2026-11-29 09:00 +*********94"


def test_an_id_is_masked_only_if_it_is_a_phone_number() -> None:
    assert mask_name("+1 202 555 0194") == "+************94"
    assert mask_name("\uff0b12025550194") == "**********94"
    assert mask_name("20261129001") == "20261129001"


def test_in_text_by_people_short_local_numbers_are_masked_too() -> None:
    assert mask_numbers_in_notes("call 12 34 56") == "call ******56"
    assert mask_numbers("error 123456") == "error 123456"


def test_the_mask_can_be_chosen() -> None:
    assert replace_numbers("no +12025550194", lambda found: f"<{len(found)}>") == "no <12>"


@pytest.mark.parametrize("text", ["1 " * 20_000, "%20" * 20_000, "1" + "-" * 50_000, "2026-" * 20_000, "1.2." * 20_000])
def test_masking_takes_time_in_proportion_to_the_text(text: str) -> None:
    mask_numbers(text)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+12025550123", "+*********23"),
        ("12025550123", "*********23"),
        ("123", "**3"),
        ("1", "*"),
        ("+", "+"),
        ("", ""),
    ],
)
def test_the_last_two_digits_stay_visible(number: str, shown: str) -> None:
    assert masked(number) == shown
