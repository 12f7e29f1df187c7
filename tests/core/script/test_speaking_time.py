import pytest
from hypothesis import given
from hypothesis import strategies as st

from reminderd.core.script.prompts import seconds


def test_a_single_digit_takes_as_long_as_a_word() -> None:
    assert seconds("2 0 2, 5 5 5, 0 1 9 0") == seconds("one two three four five six seven eight nine ten") == 4


def test_long_words_take_longer() -> None:
    assert seconds("Donaudampfschifffahrtsgesellschaft") > seconds("One two")


def test_a_number_takes_as_long_as_its_digits() -> None:
    assert seconds("2025550190") == seconds("202-555-0190") == seconds("2 0 2 5 5 5 0 1 9 0")
    assert seconds("14:30") > seconds("at noon")


@pytest.mark.parametrize(
    ("text", "voice"),
    [
        ("您的预约是明天上午九点。", 2.0),
        ("ご予約は明日の午前九時です。", 2.5),
        ("การนัดหมายของคุณคือวันพรุ่งนี้เวลาเก้าโมงเช้า", 3.5),
        ("예약은 내일 오전 아홉 시입니다.", 2.5),
    ],
    ids=["Chinese", "Japanese", "Thai", "Korean"],
)
def test_a_text_without_spaces_takes_at_least_as_long_as_a_voice_needs(text: str, voice: float) -> None:
    assert seconds(text) >= voice


def test_a_combining_mark_takes_no_time() -> None:
    assert seconds("\u0e01\u0e48") == seconds("\u0e01")


def test_an_empty_text_takes_no_time_and_one_word_takes_its_share() -> None:
    assert (seconds(""), seconds("Hello")) == (0, 0.4)


@given(st.text(), st.text())
def test_more_text_never_takes_less_time(first: str, second: str) -> None:
    assert seconds(f"{first} {second}") >= max(seconds(first), seconds(second))


def test_the_assumed_pace_is_no_faster_than_a_measured_voice() -> None:
    timed_at_19_seconds = (  # Amazon's sample of the voice Joanna
        "In order to keep each language in sync with the visual content, you need to exercise fine-grained control "
        "over the duration of each segment. That's where this new feature comes in. You can now specify the maximum "
        "desired duration for any desired segments, counting on Polly to adjust the speech rate in order to limit the "
        "length of each segment."
    )
    assert 19 <= seconds(timed_at_19_seconds) <= 25
