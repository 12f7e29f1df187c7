from datetime import datetime

import pytest

from reminderd.core.sentences import Sentence, TextValue, text_of
from tests.support.builders import NOW

GERMAN = {"%(count)s calls": "%(count)s Anrufe", "1 call": "1 Anruf", "busy": "besetzt", "at %(at)s": "um %(at)s"}


def show(part: datetime | int) -> str:
    return f"{part:,}" if isinstance(part, int) else f"{part:%H:%M}"


def german(text: str, many: str | None, count: int) -> str:
    return GERMAN[text if many is None or count == 1 else many]


def calls(count: int) -> Sentence:
    return Sentence("1 call", {"count": count}, "%(count)s calls")


@pytest.mark.parametrize(
    ("part", "english", "other"),
    [
        (calls(1), "1 call", "1 Anruf"),
        (calls(1000), "1,000 calls", "1,000 Anrufe"),
        (calls(0), "0 calls", "0 Anrufe"),
        (Sentence("at %(at)s", {"at": NOW}), "at 10:00", "um 10:00"),
        ([Sentence("busy"), calls(2)], "busy; 2 calls", "besetzt; 2 Anrufe"),
        ("100% of HTTP 503", "100% of HTTP 503", "100% of HTTP 503"),
        (7, "7", "7"),
    ],
)
def test_a_sentence_is_worded_in_a_language_with_its_moments_and_numbers(
    part: TextValue, english: str, other: str
) -> None:
    assert text_of(part, show) == english
    assert text_of(part, show, german) == other


def test_sentences_stand_inside_others_with_what_those_put_between() -> None:
    inner = Sentence("%(a)s of %(b)s", {"a": Sentence("busy"), "b": "50%"})
    both = Sentence("%(all)s!", {"all": [inner, Sentence("at %(at)s", {"at": NOW})]}, between=", ")
    assert text_of(both, show) == "busy of 50%, at 10:00!"
    assert text_of(Sentence("100%"), show) == "100%"
