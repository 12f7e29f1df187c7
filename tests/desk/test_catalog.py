"""Texts, dates and times in the language of the pages."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from reminderd.config.installation import LANGUAGES
from reminderd.core.sentences import Sentence
from reminderd.desk.catalog import catalog_of

MORNING = datetime(2026, 3, 2, 8, 5, 7, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def test_times_are_written_as_in_the_clinic_s_country() -> None:
    german = catalog_of("de", zone=BERLIN, country="DE")
    assert (german.time(MORNING), german.day(MORNING)) == ("09:05", "Montag, 2. März 2026")
    american = catalog_of("en", zone=ZoneInfo("America/New_York"), country="US")
    assert american.time(MORNING).replace("\u202f", " ") == "3:05 AM"
    assert american.day(MORNING) == "Monday, March 2, 2026"
    british = catalog_of("en", zone=ZoneInfo("Europe/London"), country="GB")
    assert british.time(MORNING) == "08:05"


def test_a_country_without_a_form_of_its_own_has_the_language_s() -> None:
    assert catalog_of("de", zone=BERLIN, country="JP").number(1234.5) == "1.234,5"


def test_a_date_is_the_clinic_s() -> None:
    late = datetime(2026, 3, 2, 23, 30, tzinfo=UTC)
    assert catalog_of("en", zone=BERLIN).local_date(late) == date(2026, 3, 3)


def test_a_sentence_without_a_translation_stays_as_it_is() -> None:
    for language in LANGUAGES:
        texts = catalog_of(language, zone=BERLIN)
        assert texts.sentence("100 % of nothing that anybody knows") == "100 % of nothing that anybody knows"
        assert texts.sentence("") == ""


def test_names_and_counts_are_filled_in() -> None:
    texts = catalog_of("en", zone=BERLIN)
    assert texts.gettext("at most 5%% of %(name)s", name="all") == "at most 5% of all"
    assert [texts.ngettext("%(num)s call", "%(num)s calls", count) for count in (1, 1200)] == ["1 call", "1,200 calls"]


def test_a_sentence_is_shown_with_moments_and_numbers_as_people_here_write_them() -> None:
    german = catalog_of("de", zone=BERLIN, country="DE")
    sentence = Sentence("%(count)s things of %(at)s", {"count": 1200, "at": MORNING})
    assert german.sentence(sentence) == "1.200 things of 02.03.2026, 09:05:07"
    both = [Sentence("nobody knows this"), Sentence("1 thing", {"count": 2}, "%(count)s things")]
    assert german.sentence(both) == "nobody knows this; 2 things"
