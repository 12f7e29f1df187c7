from base64 import b32decode
from datetime import UTC, datetime, timedelta
from unicodedata import normalize

import pytest
from pyotp import TOTP

from reminderd.core.logins import (
    FORGOTTEN_AFTER,
    LONGEST_SESSION,
    Failures,
    counters,
    is_use_to_be_recorded,
    locked_until,
    new_totp_secret,
    normal_password,
    one_failure_more,
    session_has_ended,
    totp_step,
    totp_url,
    user_name,
    weakness_of,
)

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
COMPOSED = "Bücher im Regal"
IDLE = timedelta(minutes=30)


# Names


@pytest.mark.parametrize(("typed", "stored"), [("anna", "anna"), (" Anna ", "anna"), ("dr.b_2-x", "dr.b_2-x")])
def test_a_name_is_stored_in_lower_case_without_spaces_around_it(typed: str, stored: str) -> None:
    assert user_name(typed) == stored


@pytest.mark.parametrize("typed", ["", "1anna", "anna b", "jörg", "a" * 41, "anna:x", "-anna", "anna\n\nb", "а"])  # noqa: RUF001
def test_other_names_are_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="expected 1 to 40 of a-z"):
        user_name(typed)


@pytest.mark.parametrize("typed", ["patient", "API", "folder", "reminderd", "staff"])
def test_a_name_that_the_audit_uses_for_somebody_else_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="is what the audit calls somebody else"):
        user_name(typed)


# Passwords


@pytest.mark.parametrize("password", ["three wet dogs run", "Xk3#qq9!mmZpp", "пароль из слов", "annas dogs run far"])
def test_a_long_password_is_strong(password: str) -> None:
    assert weakness_of(password, "anna") is None


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("elevenchars", "shorter than 12 characters; several words are easy to remember"),
        ("a b c d e f" * 20, "longer than 200 characters"),
        ("three wet\tdogs run", "has a control character, which no keyboard types again"),
        ("three wet \ud800dogs", "has a control character, which no keyboard types again"),
        ("abcdabcdabcdabcd", "has fewer than 5 different characters"),
        ("Annamaria2026", "is the name with a few characters more"),
        ("annamariaannamaria!", "is the name with a few characters more"),
        ("Password2026", "is among those that are tried first"),
        ("passwordPASSWORD", "is among those that are tried first"),
        ("1234567891234", "is among those that are tried first"),
    ],
)
def test_a_weak_password_is_refused_with_the_reason(password: str, reason: str) -> None:
    assert weakness_of(password, "annamaria") == reason


def test_a_password_is_the_same_however_a_keyboard_composes_its_characters() -> None:
    assert normal_password(normalize("NFD", COMPOSED)) == normal_password(COMPOSED)


# One-time codes


def code(after: timedelta = timedelta()) -> str:
    return TOTP(SECRET).at(NOW + after)


@pytest.mark.parametrize("seconds", [-30, 0, 30])
def test_a_code_of_now_and_of_the_time_steps_around_it_is_right(seconds: int) -> None:
    step = totp_step(SECRET, code(timedelta(seconds=seconds)), NOW, None)
    assert step == (int(NOW.timestamp()) + seconds) // 30


@pytest.mark.parametrize("seconds", [-60, 60, 3600])
def test_a_code_of_another_time_is_wrong(seconds: int) -> None:
    assert totp_step(SECRET, code(timedelta(seconds=seconds)), NOW, None) is None


def test_a_code_can_be_typed_with_spaces() -> None:
    typed = code()
    assert totp_step(SECRET, f" {typed[:3]} {typed[3:]} ", NOW, None) is not None


def test_no_code_is_right_twice_and_none_before_it() -> None:
    used = totp_step(SECRET, code(), NOW, None)
    assert totp_step(SECRET, code(), NOW, used) is None
    assert totp_step(SECRET, code(timedelta(seconds=-30)), NOW, used) is None
    assert totp_step(SECRET, code(timedelta(seconds=30)), NOW, used) is not None


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "-12345", "1e5000"])
def test_what_is_no_code_is_wrong(typed: str) -> None:
    assert totp_step(SECRET, typed, NOW, None) is None


def test_every_key_is_another_one_of_160_bits() -> None:
    first, second = new_totp_secret(), new_totp_secret()
    assert first != second
    assert len(b32decode(first)) == 20


def test_the_url_for_an_app_has_the_key_and_the_name() -> None:
    assert totp_url(SECRET, "anna") == f"otpauth://totp/reminderd:anna?secret={SECRET}&issuer=reminderd"


# Failed log-ins


def keys(name: str, *, exists: bool, is_known: bool) -> list[str]:
    return [counter.key for counter in counters(name, "192.0.2.7", exists=exists, is_known=is_known)]


def test_where_a_user_has_logged_in_before_only_failures_there_count() -> None:
    assert keys("anna", exists=True, is_known=True) == ["user:anna address:192.0.2.7"]


def test_elsewhere_the_failures_of_the_account_and_of_the_address_count() -> None:
    assert keys("anna", exists=True, is_known=False) == ["user:anna", "address:192.0.2.7"]


@pytest.mark.parametrize("name", ["my password", "a\ud800b"])
def test_a_name_without_an_account_is_counted_without_being_stored(name: str) -> None:
    first, second = keys(name, exists=False, is_known=False)
    assert first.startswith("unknown:")
    assert len(first) == len("unknown:") + 3
    assert second == "address:192.0.2.7"


def test_a_log_in_that_succeeds_does_not_forget_the_failures_of_its_address() -> None:
    account, address = counters("anna", "192.0.2.7", exists=True, is_known=False)
    assert (account.starts_again, address.starts_again) == (True, False)


def test_failures_are_counted_until_a_day_has_passed_without_one() -> None:
    first = one_failure_more(None, NOW)
    second = one_failure_more(first, NOW + FORGOTTEN_AFTER - timedelta(seconds=1))
    assert (first.count, second.count) == (1, 2)
    assert one_failure_more(second, second.last_at + FORGOTTEN_AFTER).count == 1


(ACCOUNT, ADDRESS) = counters("anna", "192.0.2.7", exists=True, is_known=False)


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(0, 0), (4, 0), (5, 30), (6, 60), (7, 120), (8, 240), (9, 480), (10, 900), (11, 900), (10_000, 900)],
)
def test_the_delay_of_an_account_doubles_and_ends_at_a_quarter_of_an_hour(failures: int, seconds: int) -> None:
    until = locked_until([(ACCOUNT, Failures(failures, NOW))], NOW)
    assert until == (NOW + timedelta(seconds=seconds) if seconds else None)


def test_an_address_has_more_failures_free() -> None:
    assert locked_until([(ADDRESS, Failures(19, NOW))], NOW) is None
    assert locked_until([(ADDRESS, Failures(20, NOW))], NOW) == NOW + timedelta(seconds=30)


def test_the_longest_delay_counts() -> None:
    both = [(ACCOUNT, Failures(5, NOW)), (ADDRESS, Failures(22, NOW))]
    assert locked_until(both, NOW) == NOW + timedelta(seconds=120)
    assert locked_until([(ACCOUNT, None), (ADDRESS, None)], NOW) is None


def test_a_delay_ends() -> None:
    counted = [(ACCOUNT, Failures(5, NOW))]
    assert locked_until(counted, NOW + timedelta(seconds=29)) is not None
    assert locked_until(counted, NOW + timedelta(seconds=30)) is None


def test_a_failure_of_the_future_locks_nobody_out() -> None:
    assert locked_until([(ACCOUNT, Failures(50, NOW + timedelta(days=300)))], NOW) is None


# Sessions


def test_a_session_ends_when_it_is_idle() -> None:
    assert not session_has_ended(NOW, NOW, NOW + IDLE - timedelta(seconds=1), idle=IDLE)
    assert session_has_ended(NOW, NOW, NOW + IDLE, idle=IDLE)


def test_a_busy_session_ends_after_a_working_day() -> None:
    end = NOW + LONGEST_SESSION
    assert not session_has_ended(NOW, end, end - timedelta(seconds=1), idle=IDLE)
    assert session_has_ended(NOW, end, end, idle=IDLE)


def test_a_session_of_the_future_is_over() -> None:
    assert session_has_ended(NOW + timedelta(days=300), NOW + timedelta(days=300), NOW, idle=IDLE)


def test_use_is_recorded_once_a_minute() -> None:
    assert not is_use_to_be_recorded(NOW, NOW + timedelta(seconds=59))
    assert is_use_to_be_recorded(NOW, NOW + timedelta(seconds=60))
