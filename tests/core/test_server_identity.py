"""The changes of a server that show that it may have forgotten calls, and the changes that show nothing."""

from datetime import datetime
from typing import Any, Final

import pytest
from attrs import evolve

from reminderd.core.server_identity import ServerIdentity, merged, read_identity
from reminderd.core.server_identity import why_restored as judged
from tests.support.builders import NOW, SECOND

KNOWN: Final = ServerIdentity(system=7_301_234_567_890_123_456, timeline=3, database=16_384, table=16_430)
NOTHING_KNOWN: Final = ServerIdentity()


def why_restored(
    known: ServerIdentity, found: ServerIdentity, *, failover_is_lossless: bool, restored_at: datetime | None = None
) -> str | None:
    return judged(known, found, restored_at=restored_at, failover_is_lossless=failover_is_lossless)


def with_other(name: str, value: Any) -> ServerIdentity:
    return evolve(KNOWN, **{name: value})


def test_the_same_server_has_forgotten_nothing() -> None:
    assert why_restored(KNOWN, KNOWN, failover_is_lossless=False) is None


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("other", ["system", "database", "table"])
def test_other_tables_or_another_server_may_have_forgotten_calls(other: str, *, lossless: bool) -> None:
    found = with_other(other, 1)
    said = why_restored(KNOWN, found, failover_is_lossless=lossless)
    assert said == "the database was restored from a dump, or moved to another server"


def test_after_a_failover_calls_may_be_forgotten_unless_the_clinic_says_that_it_loses_none() -> None:
    found = evolve(KNOWN, timeline=4)
    said = why_restored(KNOWN, found, failover_is_lossless=False)
    assert said == "a standby has taken over, or the server was restored to an earlier time"
    assert why_restored(KNOWN, found, failover_is_lossless=True) is None


@pytest.mark.parametrize("lossless", [True, False])
def test_a_way_back_to_an_older_timeline_loses_what_the_newer_one_had(*, lossless: bool) -> None:
    said = why_restored(KNOWN, evolve(KNOWN, timeline=2), failover_is_lossless=lossless)
    assert said == "a server from before the last failover has taken over again"


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("restored_at", [None, NOW - SECOND])
@pytest.mark.parametrize("known", [KNOWN, NOTHING_KNOWN])
def test_what_was_confirmed_and_is_missing_was_lost(
    known: ServerIdentity, restored_at: datetime | None, *, lossless: bool
) -> None:
    found = evolve(KNOWN, forgotten_at=NOW)
    said = why_restored(known, found, failover_is_lossless=lossless, restored_at=restored_at)
    assert said == "the server has lost a commit that it had confirmed"


def test_a_loss_after_which_all_was_held_back_is_no_new_one() -> None:
    found = evolve(KNOWN, forgotten_at=NOW)
    assert why_restored(KNOWN, found, failover_is_lossless=False, restored_at=NOW) is None


@pytest.mark.parametrize("unknown", ["system", "timeline", "database", "table"])
def test_what_a_server_does_not_let_us_know_means_nothing(unknown: str) -> None:
    partly = with_other(unknown, None)
    assert why_restored(partly, KNOWN, failover_is_lossless=False) is None
    assert why_restored(KNOWN, partly, failover_is_lossless=False) is None
    assert merged(KNOWN, partly) == merged(partly, KNOWN) == KNOWN


def test_an_identity_is_read_as_it_was_written() -> None:
    assert read_identity(evolve(KNOWN, forgotten_at=NOW).written) == KNOWN
    assert read_identity(NOTHING_KNOWN.written) == NOTHING_KNOWN


@pytest.mark.parametrize("text", [None, "", "7301", "[1]", '{"system": "7301", "of a later version": 1}', "{"])
def test_what_cannot_be_read_is_unknown(text: Any) -> None:
    assert read_identity(text) == NOTHING_KNOWN
