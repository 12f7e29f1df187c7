"""What templates are written with."""

from zoneinfo import ZoneInfo

import pytest
from jinja2 import UndefinedError

from reminderd.desk.addresses import Addresses
from reminderd.desk.catalog import catalog_of
from reminderd.desk.templating import environment_of

TEMPLATES = environment_of(catalog_of("de", zone=ZoneInfo("UTC")), Addresses(b"k" * 32), country="US")


def rendered(template: str, /, **values: object) -> str:
    return TEMPLATES.from_string(template).render(values)


def test_whatever_is_filled_in_is_escaped() -> None:
    assert rendered("{{ text }}", text="<b> & \"'") == "&lt;b&gt; &amp; &#34;&#39;"


def test_attributes_are_escaped_and_named_as_in_html() -> None:
    given = {"required": True, "disabled": False, "title": None, "aria_label": '"<>', "rows": 3}
    assert rendered("<p{{ given|attributes }}>", given=given) == '<p required aria-label="&#34;&lt;&gt;" rows="3">'


def test_a_name_that_the_page_was_not_handed_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        rendered("{{ nothing }}")


def test_texts_are_in_the_language_and_names_in_them_are_escaped() -> None:
    assert rendered("{% trans %}Log in{% endtrans %}") == "Anmelden"
    assert rendered("{{ gettext('No account exists yet: on the server, run %(command)s.', command='<b>') }}") == (
        "Es gibt noch kein Konto. Bitte auf dem Server ausführen: &lt;b&gt;."
    )


def test_a_record_has_a_path_that_shows_nothing_of_its_id() -> None:
    path = rendered("{{ name|record }}", name="maria-smith")
    assert path.startswith("/r/")
    assert "maria" not in path


def test_a_number_is_shown_as_it_is_dialed() -> None:
    assert rendered("{{ number|dialed }}", number="+12025550190") == "(202) 555-0190"
