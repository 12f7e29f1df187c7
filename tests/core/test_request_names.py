import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reminderd.core.requests import normal_name

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("A 1", "A 1"),
        ("  A 1 ", "A 1"),
        ("A\u00a01", "A 1"),
        ("A\u202f1\u3000", "A 1"),
        ("A\t1", "A 1"),
        ("Ter\u00admin", "Termin"),
        ("A\u200b1\ufeff", "A1"),
        ("\u202eA1\u202c", "A1"),
        (FAMILY, FAMILY.replace("\u200d", "")),
        ("\u2764\ufe0f", "\u2764"),
        ("Mu\u0308ller", "M\u00fcller"),
        ("M\u00fcller", "M\u00fcller"),
        ("\u212b", "\u00c5"),
        ("", ""),
    ],
)
def test_names_that_look_the_same_are_the_same(written: str, read: str) -> None:
    assert normal_name(written) == read


@given(st.text())
def test_normalizing_a_name_twice_changes_nothing(name: str) -> None:
    assert normal_name(normal_name(name)) == normal_name(name)
    assert normal_name(unicodedata.normalize("NFD", name)) == normal_name(name)
