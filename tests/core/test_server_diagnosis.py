from datetime import timedelta

import pytest
from attrs import evolve

from reminderd.core.diagnosis import Finding, Mark
from reminderd.core.server_diagnosis import CLOCKS_APART, CONNECTIONS_LOW, SLOW, ServerFacts, schema, server

WELL = ServerFacts(
    version=150_008,
    encoding="UTF8",
    missing_rights=(),
    is_near=False,
    is_encrypted=True,
    is_verified=True,
    unsafe=(),
    standbys=0,
    waits_for_standbys=False,
    is_pooled=False,
    ahead=timedelta(0),
    round_trip=timedelta(milliseconds=1),
    connections_left=90,
)


def found(facts: ServerFacts, *, is_lossless: bool = False) -> list[Finding]:
    """Return what is not good."""
    judged = server(facts, failover_is_lossless=is_lossless)
    assert all(bool(finding.fix) is (finding.mark is not Mark.GOOD) for finding in judged)
    return [finding for finding in judged if finding.mark is not Mark.GOOD]


def test_a_server_as_it_should_be_needs_nothing() -> None:
    assert found(WELL) == []
    assert [finding.about for finding in server(WELL, failover_is_lossless=False)] == [
        "server",
        "encryption",
        "durability",
        "server's clock",
        "round trip",
        "connections",
    ]


@pytest.mark.parametrize(
    ("facts", "mark", "text"),
    [
        (evolve(WELL, version=120_009), Mark.WRONG, "PostgreSQL 12; expected 13 or later"),
        (evolve(WELL, encoding="LATIN1"), Mark.WRONG, "the database's encoding is LATIN1, not UTF8"),
        (evolve(WELL, missing_rights=("UPDATE on calls",)), Mark.WRONG, "this role lacks a privilege: UPDATE on calls"),
        (evolve(WELL, is_encrypted=False), Mark.WRONG, "not encrypted, so patients' data can be read on its way"),
        (evolve(WELL, is_verified=False), Mark.WARNING, "nothing verifies that the server is the one"),
        (evolve(WELL, unsafe=("fsync = off",)), Mark.WRONG, "fsync = off: a crash of the server can lose calls"),
        (evolve(WELL, standbys=1), Mark.WARNING, "a failover can lose calls"),
        (evolve(WELL, is_pooled=True), Mark.WARNING, "such as PgBouncer"),
        (evolve(WELL, ahead=CLOCKS_APART * 2), Mark.WARNING, "2.0 s ahead of this machine's"),
        (evolve(WELL, ahead=CLOCKS_APART * -2), Mark.WARNING, "2.0 s behind this machine's"),
        (evolve(WELL, round_trip=SLOW * 2), Mark.WARNING, "10.00 ms: all machines together can place some 7 calls"),
        (evolve(WELL, connections_left=CONNECTIONS_LOW - 1), Mark.WARNING, "the server accepts 9 more"),
        (evolve(WELL, connections_left=-3), Mark.WARNING, "the server accepts 0 more"),
    ],
)
def test_what_is_not_as_it_should_be_is_said(facts: ServerFacts, mark: Mark, text: str) -> None:
    (finding,) = found(facts)
    assert finding.mark is mark
    assert text in finding.text


def test_a_connection_that_stays_on_this_machine_needs_no_encryption() -> None:
    assert found(evolve(WELL, is_near=True, is_encrypted=False, is_verified=False)) == []


def test_a_standby_that_confirms_each_commit_makes_a_failover_lossless() -> None:
    facts = evolve(WELL, standbys=1, waits_for_standbys=True)
    assert found(facts) == found(facts, is_lossless=True) == []


def test_a_failover_that_is_said_to_lose_nothing_and_may_is_wrong() -> None:
    (finding,) = found(evolve(WELL, standbys=1), is_lossless=True)
    assert finding.mark is Mark.WRONG


def test_a_round_trip_that_can_hardly_be_measured_is_fast() -> None:
    assert found(evolve(WELL, round_trip=timedelta(0))) == []


@pytest.mark.parametrize(
    ("version", "mark", "text"),
    [
        (0, Mark.UNKNOWN, "there are no tables yet"),
        (2, Mark.WARNING, "2, and this program's is 3"),
        (3, Mark.GOOD, "3, the newest"),
        (4, Mark.GOOD, "4, newer than this program's 3, but this program can use it"),
    ],
)
def test_tables_are_judged_by_their_schema(version: int, mark: Mark, text: str) -> None:
    finding = schema(version, newest=3)
    assert (finding.mark, finding.text) == (mark, text)
