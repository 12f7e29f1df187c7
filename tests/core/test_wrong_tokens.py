import pytest
from hypothesis import given
from hypothesis import strategies as st

from reminderd.core.wrong_tokens import (
    FORGOTTEN_SECONDS,
    LONGEST_SECONDS,
    MOST_ADDRESSES,
    WrongTokens,
    client_address,
    networks,
)

LOOPBACK = networks(["127.0.0.1", "::1"])


def test_wrong_tokens_wait_longer_each_time_after_some_free_ones() -> None:
    wrong = WrongTokens()
    assert [wrong.delay("192.0.2.1", 0) for _ in range(9)] == [0, 0, 0, 0.5, 1, 2, 4, 8, 8]
    assert max(wrong.delay("192.0.2.1", 0) for _ in range(5_000)) == LONGEST_SECONDS


def test_another_address_does_not_wait() -> None:
    wrong = WrongTokens()
    for _ in range(9):
        wrong.delay("192.0.2.1", 0)
    assert wrong.delay("192.0.2.2", 0) == 0


def test_an_address_without_new_wrong_tokens_is_forgotten() -> None:
    wrong = WrongTokens()
    for _ in range(9):
        wrong.delay("192.0.2.1", 0)
    assert wrong.delay("192.0.2.1", FORGOTTEN_SECONDS) > 0
    assert wrong.delay("192.0.2.1", 2 * FORGOTTEN_SECONDS + 1) == 0


def test_when_too_many_addresses_are_remembered_the_quietest_is_forgotten() -> None:
    wrong = WrongTokens()
    for _ in range(9):
        wrong.delay("busy", 0)
        wrong.delay("quiet", 0)
    for number in range(MOST_ADDRESSES - 1):
        wrong.delay(f"{number}", 1)
        wrong.delay("busy", 1)
    assert wrong.delay("busy", 1) == LONGEST_SECONDS
    assert wrong.delay("quiet", 1) == 0


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("127.0.0.1", ["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
        ("127.0.0.1", ["203.0.113.9", " 198.51.100.7 "], "198.51.100.7"),
        ("127.0.0.1", ["198.51.100.7, 127.0.0.1"], "198.51.100.7"),
        ("127.0.0.1", ["127.0.0.1"], "127.0.0.1"),
        ("127.0.0.1", ["198.51.100.7:4711"], "198.51.100.7"),
        ("127.0.0.1", ["[2001:db8:1:2::5]:4711"], "2001:db8:1:2::/64"),
        ("127.0.0.1", ["2001:db8:1:2:3::5"], "2001:db8:1:2::/64"),
        ("127.0.0.1", ["198.51.100.7, unknown"], "127.0.0.1"),
        ("127.0.0.1", ["198.51.100.7,"], "127.0.0.1"),
        ("::1", ["198.51.100.7"], "198.51.100.7"),
        ("::ffff:127.0.0.1", ["::ffff:198.51.100.7"], "198.51.100.7"),
        ("198.51.100.7", ["203.0.113.9"], "198.51.100.7"),
        ("fe80::1%eth0", [], "fe80::/64"),
        ("unknown", ["203.0.113.9"], "unknown"),
    ],
)
def test_the_client_is_the_last_address_forwarded_by_a_trusted_proxy(
    peer: str, forwarded: list[str], expected: str
) -> None:
    assert client_address(peer, forwarded, LOOPBACK) == expected


def test_a_trusted_network_includes_all_its_addresses() -> None:
    assert client_address("10.1.2.3", ["198.51.100.7, 10.9.9.9"], networks(["10.0.0.0/8"])) == "198.51.100.7"


@given(st.lists(st.text()))
def test_text_that_a_stranger_adds_to_the_forwarded_header_is_ignored(forwarded: list[str]) -> None:
    assert client_address("198.51.100.7", forwarded, LOOPBACK) == "198.51.100.7"
    assert client_address("127.0.0.1", [*forwarded, "198.51.100.7"], LOOPBACK) == "198.51.100.7"


def test_an_invalid_network_is_refused() -> None:
    with pytest.raises(ValueError, match="localhost"):
        networks(["localhost"])
