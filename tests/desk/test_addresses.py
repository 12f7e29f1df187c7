"""The address of a record shows nothing of its id, and leads back to it alone."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.exceptions import NotFound

from reminderd.desk.addresses import Addresses

OURS = Addresses(b"k" * 32)


@given(st.text(max_size=300))
def test_an_address_leads_back_to_its_record(record_id: str) -> None:
    assert OURS.id_at(OURS.address_of(record_id)) == record_id


def test_a_record_always_has_the_same_address() -> None:
    assert OURS.address_of("smith-1") == OURS.address_of("smith-1") != OURS.address_of("smith-2")


def test_an_address_shows_nothing_of_the_id() -> None:
    first, second = OURS.address_of("maria smith 1"), OURS.address_of("maria smith 2")
    assert sum(one == other for one, other in zip(first, second, strict=True)) < 8
    assert first.replace("-", "").replace("_", "").isalnum()


@pytest.mark.parametrize("address", ["", "A", "AAAA", "é", "maria", "A" * 5_000, "../../etc/passwd", "%00"])
def test_what_we_did_not_make_leads_nowhere(address: str) -> None:
    with pytest.raises(NotFound):
        OURS.id_at(address)


def test_an_address_that_was_changed_leads_nowhere() -> None:
    address = OURS.address_of("reminder-1")
    for place in range(len(address)):
        changed = address[:place] + ("A" if address[place] != "A" else "B") + address[place + 1 :]
        # The last character may have bits that stand for nothing.
        with suppress(NotFound):
            assert (OURS.id_at(changed), place) == ("reminder-1", len(address) - 1)


def test_an_address_of_another_database_leads_nowhere() -> None:
    with pytest.raises(NotFound):
        Addresses(b"o" * 32).id_at(OURS.address_of("reminder-1"))


def test_an_id_that_is_no_unicode_still_has_an_address() -> None:
    assert OURS.id_at(OURS.address_of("a\udce9b")) == "a\udce9b"


def test_a_signature_is_of_one_text_and_one_database() -> None:
    assert OURS.signature("a") == OURS.signature("a")
    assert len({OURS.signature("a"), OURS.signature("b"), Addresses(b"o" * 32).signature("a")}) == 3
