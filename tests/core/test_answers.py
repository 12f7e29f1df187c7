import pytest
from hypothesis import given
from hypothesis import strategies as st

from reminderd.core.answers import spelled
from reminderd.core.model import PROGRESS, TERMINAL


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("completed", "completed"),
        ("COMPLETED", "completed"),
        ("No_Answer", "no-answer"),
        ("in_progress", "in-progress"),
        ("canceled", "canceled"),
        ("cancelled", "canceled"),
        ("CANCELLED", "canceled"),
        (" busy\n", "busy"),
        ("On Hold", "on hold"),  # a word we don't know is kept
        ("", ""),
    ],
)
def test_a_providers_word_in_our_spelling(theirs: str, ours: str) -> None:
    assert spelled(theirs) == ours


@pytest.mark.parametrize("word", sorted(PROGRESS | TERMINAL))
def test_our_own_words_are_spelled_as_they_are(word: str) -> None:
    assert spelled(word) == spelled(word.upper().replace("-", "_")) == word


@given(st.text())
def test_spelling_twice_changes_nothing(text: str) -> None:
    assert spelled(spelled(text)) == spelled(text)


def test_a_word_has_one_meaning() -> None:
    assert not PROGRESS & TERMINAL
