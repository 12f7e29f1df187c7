import pytest

from reminderd.core.tables.words import _WORDS, WORDS, RowStatus, normal_header, row_status_of


@pytest.mark.parametrize(
    "word", ["", " ", "Confirmed", "SCHEDULED", "bestätigt", "Pendiente", "Confirmée", "no confirmado"]
)
def test_booked_appointments_get_a_reminder(word: str) -> None:
    assert row_status_of(word) is RowStatus.STANDS


@pytest.mark.parametrize(
    "word", ["Cancelled", "canceled", "No show", "no-show", "Abgesagt", "Anulada", "Annulé", "Completed"]
)
def test_ended_appointments_get_no_reminder(word: str) -> None:
    assert row_status_of(word) is RowStatus.OVER


@pytest.mark.parametrize(
    ("words", "standing"),
    [
        ("booked pending Overbook Scheduled", RowStatus.STANDS),
        ("proposed arrived fulfilled cancelled noshow entered-in-error checked-in waitlist", RowStatus.OVER),
        ("Complete Dc Deleted Noshow Started Waitlist Cancelled", RowStatus.OVER),
    ],
)
def test_the_codes_of_fhir_and_hl7_are_known(words: str, standing: RowStatus) -> None:
    assert {row_status_of(word) for word in words.split()} == {standing}


@pytest.mark.parametrize("word", ["Rescheduled", "X", "—", "+49 30 123456"])
def test_any_other_status_is_unknown(word: str) -> None:
    assert row_status_of(word) is None


def test_each_status_word_has_one_meaning() -> None:
    assert len(WORDS) == len({(word, standing) for standing, words in _WORDS.items() for word in plain_words(words)})


def plain_words(words: str) -> list[str]:
    return [normal_header(word) for word in words.split(",")]
