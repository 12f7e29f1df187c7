from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import pytest

from reminderd.core.logins import Failures, Role, counters
from reminderd.store.connection import Connection, transaction
from reminderd.store.users import (
    Secrets,
    Session,
    User,
    add_user,
    close_session,
    digest_of,
    drop_notice,
    failures_of,
    find_user,
    forget_failures,
    forget_old_log_ins,
    has_logged_in_from,
    has_users,
    list_users,
    note_failure,
    open_session,
    record_use,
    remove_user,
    session_of,
    set_notice,
    set_secrets,
)
from tests.support.builders import NOW
from tests.support.store import contents

T = TypeVar("T")

IDLE = timedelta(minutes=30)
DAY = timedelta(days=1)
PLAIN = Secrets(password_hash="hash", totp_secret=None)
WITH_CODES = Secrets(password_hash="hash", totp_secret="SECRET")
HOME, CLINIC = "192.0.2.7", "192.0.2.8"


def write(connection: Connection, fn: Callable[[Connection, datetime], T], *, at: datetime = NOW) -> T:
    return transaction(connection, fn, at)


def added(connection: Connection, name: str = "anna", secrets: Secrets = PLAIN, role: Role = Role.DESK) -> User:
    write(connection, partial(add_user, name=name, role=role, secrets=secrets, actor="root"))
    user = find_user(connection, name)
    assert user is not None
    return user


def log_in(
    connection: Connection, user: User, *, address: str = CLINIC, step: int | None = None, at: datetime = NOW
) -> str | None:
    return write(connection, partial(open_session, user=user, address=address, step=step), at=at)


def session(connection: Connection, token: str | None, *, at: datetime = NOW) -> Session | None:
    assert token is not None
    return session_of(connection, at, digest=digest_of(token), idle=IDLE)


def acts(connection: Connection) -> list[tuple[str, str, str | None]]:
    rows = connection.execute("SELECT actor, act, detail FROM audit ORDER BY id").fetchall()
    return [(row["actor"], row["act"], row["detail"]) for row in rows]


# Accounts


def test_an_account_is_found_by_its_name(connection: Connection) -> None:
    assert not has_users(connection)
    user = added(connection, "anna", WITH_CODES, Role.ADMIN)
    assert has_users(connection)
    assert user == User(name="anna", role=Role.ADMIN, secrets=WITH_CODES, totp_used=None)
    assert find_user(connection, "berta") is None


def test_a_name_is_given_once(connection: Connection) -> None:
    added(connection)
    again = partial(add_user, name="anna", role=Role.ADMIN, secrets=WITH_CODES, actor="root")
    assert write(connection, again) is False
    assert find_user(connection, "anna") == User(name="anna", role=Role.DESK, secrets=PLAIN, totp_used=None)


def test_a_list_of_accounts_has_no_secrets(connection: Connection) -> None:
    berta = added(connection, "berta", WITH_CODES, Role.ADMIN)
    added(connection, "anna")
    log_in(connection, berta, step=1, at=NOW + DAY)
    assert list_users(connection) == [
        {"name": "anna", "role": "desk", "totp": False, "created_at": NOW, "changed_at": NOW, "last_login_at": None},
        {
            "name": "berta",
            "role": "admin",
            "totp": True,
            "created_at": NOW,
            "changed_at": NOW,
            "last_login_at": NOW + DAY,
        },
    ]


def test_no_secret_is_shown_by_accident() -> None:
    assert "hash" not in repr(PLAIN).replace("password_hash", "")
    assert "SECRET" not in repr(User(name="anna", role=Role.DESK, secrets=WITH_CODES, totp_used=None))


def test_what_is_done_to_accounts_is_in_the_audit(connection: Connection) -> None:
    added(connection)
    write(connection, partial(set_secrets, name="anna", secrets=WITH_CODES, actor="root"))
    write(connection, partial(remove_user, name="anna", actor="root"))
    assert acts(connection) == [
        ("root", "user-add", "anna, desk"),
        ("root", "user-passwd", "anna, with one-time codes"),
        ("root", "user-remove", "anna"),
    ]


def test_an_account_that_is_missing_is_not_changed(connection: Connection) -> None:
    assert write(connection, partial(set_secrets, name="anna", secrets=PLAIN, actor="root")) is False
    assert write(connection, partial(remove_user, name="anna", actor="root")) is False
    assert acts(connection) == []


@pytest.mark.parametrize(
    "change",
    [partial(set_secrets, secrets=PLAIN), remove_user],
    ids=["new password", "removed"],
)
def test_a_new_password_or_a_removal_ends_the_sessions_and_failures_of_this_account(
    connection: Connection, change: Callable[..., bool]
) -> None:
    anna, berta = added(connection, "anna"), added(connection, "anna2")
    tokens = [log_in(connection, anna), log_in(connection, anna), log_in(connection, berta)]
    for user in (anna, berta):
        for known in (True, False):
            counted = counters(user.name, CLINIC, exists=True, is_known=known)
            write(connection, partial(note_failure, counted=counted, detail=""))
    write(connection, partial(change, name="anna", actor="root"))
    assert [session(connection, token) is None for token in tokens] == [True, True, False]
    left = connection.execute("SELECT counter FROM login_failures ORDER BY counter").fetchall()
    assert [row["counter"] for row in left] == [f"address:{CLINIC}", "user:anna2", f"user:anna2 address:{CLINIC}"]


def test_an_account_of_the_same_name_later_is_another_one(connection: Connection) -> None:
    log_in(connection, added(connection))
    write(connection, partial(remove_user, name="anna", actor="root"))
    added(connection)
    assert not has_logged_in_from(connection, NOW, name="anna", address=CLINIC)


# Sessions


def test_a_session_is_found_by_its_token_which_is_not_stored(connection: Connection) -> None:
    token = log_in(connection, added(connection, role=Role.ADMIN))
    found = session(connection, token)
    assert found is not None
    assert (found.user_name, found.role, found.notice, found.seen_at) == ("anna", Role.ADMIN, None, NOW)
    assert token is not None
    assert len(token) >= 43
    assert token not in str(contents(connection))
    assert acts(connection)[-1] == ("anna", "log-in", f"from {CLINIC}")


def test_every_session_has_its_own_token_and_form_token(connection: Connection) -> None:
    user = added(connection)
    first, second = (session(connection, log_in(connection, user)) for _ in range(2))
    assert first is not None
    assert second is not None
    assert len({first.digest, second.digest, first.csrf, second.csrf}) == 4


def test_a_session_ends_when_it_is_idle_unless_it_is_touched(connection: Connection) -> None:
    token = log_in(connection, added(connection))
    found = session(connection, token, at=NOW + IDLE - timedelta(seconds=1))
    assert found is not None
    assert session(connection, token, at=NOW + IDLE) is None
    write(connection, partial(record_use, digest=found.digest), at=NOW + IDLE)
    assert session(connection, token, at=NOW + IDLE) is not None


def test_a_log_out_ends_one_session_and_is_in_the_audit_once(connection: Connection) -> None:
    user = added(connection)
    token, other = log_in(connection, user), log_in(connection, user)
    found = session(connection, token)
    assert found is not None
    for _ in range(2):
        write(connection, partial(close_session, session=found))
    assert session(connection, token) is None
    assert session(connection, other) is not None
    assert [act for _, act, _ in acts(connection)].count("log-out") == 1


def test_a_notice_is_kept_with_its_session_until_it_is_shown(connection: Connection) -> None:
    token = log_in(connection, added(connection))
    digest = digest_of(token or "")
    for notice in ("Done.", "Done in another tab."):
        write(connection, partial(set_notice, digest=digest, notice=notice))
    for shown, left in (("Done.", "Done in another tab."), ("Done in another tab.", None)):
        write(connection, partial(drop_notice, digest=digest, shown=shown))
        found = session(connection, token)
        assert found is not None
        assert found.notice == left


def test_nobody_is_logged_in_with_a_password_that_was_changed_meanwhile(connection: Connection) -> None:
    user = added(connection)
    write(
        connection, partial(set_secrets, name="anna", secrets=Secrets(password_hash="new", totp_secret=None), actor="x")
    )
    assert log_in(connection, user) is None
    write(connection, partial(remove_user, name="anna", actor="root"))
    assert log_in(connection, user) is None


def test_a_time_step_is_used_once(connection: Connection) -> None:
    user = added(connection, secrets=WITH_CODES)
    assert log_in(connection, user) is None
    assert log_in(connection, user, step=7) is not None
    assert log_in(connection, user, step=7) is None
    assert log_in(connection, user, step=6) is None
    assert log_in(connection, user, step=8) is not None
    found = find_user(connection, "anna")
    assert found is not None
    assert found.totp_used == 8


def test_a_key_that_was_added_meanwhile_asks_for_a_code(connection: Connection) -> None:
    user = added(connection)
    write(connection, partial(set_secrets, name="anna", secrets=WITH_CODES, actor="root"))
    assert log_in(connection, user) is None


# Failed log-ins


def test_an_address_is_known_for_ninety_days_after_the_last_log_in(connection: Connection) -> None:
    user = added(connection)
    log_in(connection, user)
    log_in(connection, user, at=NOW + DAY)
    for address, at, expected in (
        (CLINIC, NOW + 91 * DAY - timedelta(seconds=1), True),
        (CLINIC, NOW + 91 * DAY, False),
        (HOME, NOW + DAY, False),
    ):
        assert has_logged_in_from(connection, at, name="anna", address=address) is expected
    assert not has_logged_in_from(connection, NOW, name="berta", address=CLINIC)


def test_failures_are_counted_and_in_the_audit(connection: Connection) -> None:
    counted = counters("anna", HOME, exists=True, is_known=False)
    assert failures_of(connection, counted) == [(counter, None) for counter in counted]
    for number in range(2):
        noted = partial(note_failure, counted=counted, detail="anna, from home")
        write(connection, noted, at=NOW + timedelta(seconds=number))
    two = Failures(2, NOW + timedelta(seconds=1))
    assert failures_of(connection, counted) == [(counter, two) for counter in counted]
    assert acts(connection) == [("reminderd", "log-in-refused", "anna, from home")] * 2


def test_failures_of_an_account_are_forgotten_and_those_of_an_address_are_not(connection: Connection) -> None:
    counted = counters("anna", HOME, exists=True, is_known=False)
    write(connection, partial(note_failure, counted=counted, detail=""))
    write(connection, partial(forget_failures, counted=counted))
    account, address = (failures for _, failures in failures_of(connection, counted))
    assert (account, address) == (None, Failures(1, NOW))


def test_what_is_old_is_deleted(connection: Connection) -> None:
    user = added(connection)
    tables = ("sessions", "login_failures", "login_addresses")

    def left() -> list[int]:
        return [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]

    log_in(connection, user)
    write(connection, partial(note_failure, counted=counters("x", HOME, exists=False, is_known=False), detail=""))
    write(connection, forget_old_log_ins, at=NOW + timedelta(hours=11))
    assert left() == [1, 2, 1]
    write(connection, forget_old_log_ins, at=NOW + timedelta(hours=12))
    assert left() == [0, 2, 1]
    write(connection, forget_old_log_ins, at=NOW + DAY)
    assert left() == [0, 0, 1]
    write(connection, forget_old_log_ins, at=NOW + 90 * DAY)
    assert left() == [0, 0, 0]
