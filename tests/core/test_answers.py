from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reminderd.core.answers import LISTENER_WORDS, STATUS_WORDS, Listener, listener_of, standard_status
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
        ("No Answer", "no-answer"),
        ("unanswered", "no-answer"),
        ("TIMEOUT", "no-answer"),
        ("Rejected", "declined"),
        ("call_rejected", "declined"),
        ("hangup", "hung-up"),
        ("Hang up", "hung-up"),
        ("On Hold", "on hold"),  # a word we don't know is kept
        ("", ""),
    ],
)
def test_a_providers_status_is_normalized(theirs: str, ours: str) -> None:
    assert standard_status(theirs) == ours


@pytest.mark.parametrize("word", sorted(PROGRESS | TERMINAL))
def test_our_own_status_words_are_unchanged(word: str) -> None:
    assert standard_status(word) == standard_status(word.upper().replace("-", "_")) == word


@given(st.text())
def test_normalizing_a_status_twice_changes_nothing(text: str) -> None:
    assert standard_status(standard_status(text)) == standard_status(text)


def test_each_status_word_has_one_meaning() -> None:
    assert not PROGRESS & TERMINAL


def test_every_other_gateways_status_maps_to_one_of_ours() -> None:
    words = [word for others in STATUS_WORDS.values() for word in others]
    assert len(words) == len(set(words))
    assert set(STATUS_WORDS) <= PROGRESS | TERMINAL
    assert not set(words) & (PROGRESS | TERMINAL)


@pytest.mark.parametrize(
    ("answered_by", "who"),
    [
        ("human", Listener.PERSON),
        ("Person", Listener.PERSON),
        ("unknown", Listener.PERSON),
        ("not_sure", Listener.PERSON),
        ("", Listener.PERSON),
        (None, Listener.PERSON),
        ("machine", Listener.MACHINE),
        ("MACHINE", Listener.MACHINE),
        ("machine_end_beep", Listener.MACHINE),
        ("Answering Machine", Listener.MACHINE),
        ("AnsweringMachine", Listener.MACHINE),
        ("voicemail", Listener.MACHINE),
        ("Voice-Mail", Listener.MACHINE),
        ("VOICE_MAIL", Listener.MACHINE),
        ("Silence", Listener.MACHINE),
        ("fax", Listener.FAX),
        ("FAX machine", Listener.FAX),
        ("no-machine", Listener.PERSON),
        ("not_a_machine", Listener.PERSON),
        ("human_no_beep", Listener.PERSON),
        ("machine_detection_off", Listener.PERSON),
        ("Answering machine detection: off", Listener.PERSON),
        ("machine_not_detected", Listener.PERSON),
        ("No voicemail was found: machine=false", Listener.PERSON),
        ("machine: no", Listener.PERSON),
        ("machine not human", Listener.MACHINE),
        ("no answering machine", Listener.PERSON),
        ("without any voice mail", Listener.PERSON),
        ("not a fax machine", Listener.PERSON),
        ("no machine, no beep", Listener.PERSON),
        ("human (not a recording)", Listener.PERSON),
        ("machine_no_beep", Listener.MACHINE),
        ("voicemail without beep", Listener.MACHINE),
        ("Answering machine (no greeting)", Listener.MACHINE),
        ("machine, not a human", Listener.MACHINE),
        ("no human, voice mail", Listener.MACHINE),
        ("fax, no beep", Listener.FAX),
    ],
)
def test_answered_by_is_read_in_any_case_with_any_separators(answered_by: str | None, who: Listener) -> None:
    assert listener_of(answered_by) is who


def test_each_answered_by_word_is_in_normalized_form() -> None:
    assert all(word.isalpha() and word == word.casefold() for words in LISTENER_WORDS.values() for word in words)


DOCS = Path(__file__).parents[2] / "docs" / "webhooks.md"


def test_the_documented_tables_have_every_status_word() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for status, words in STATUS_WORDS.items():
        assert f"| `{status}` | {', '.join(f'`{word}`' for word in words)} |" in text
    for who, parts in LISTENER_WORDS.items():
        assert f"| a {who} | {', '.join(f'`{word}`' for word in parts)} |" in text
