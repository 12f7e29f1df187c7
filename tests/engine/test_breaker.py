from datetime import timedelta
from itertools import count

import pytest

from reminderd.core.answers import Accepted, AccountRefused, NotPlaced, PlacingAnswer, Refused, Unclear
from reminderd.core.model import Call, CallState
from reminderd.core.rules import Backoff
from reminderd.engine.breaker import BAD_ANSWERS_IN_A_ROW, LONGEST_FOR_NUMBERS, Breaker, PauseChange
from tests.support.builders import a_call

ACCEPTED = Accepted("ext-1")
REFUSED = Refused("no such number")
DOWN = NotPlaced("connection refused")
TOO_MANY = NotPlaced("too many requests", timedelta(seconds=60), rate_limited=True)
ACCOUNT = AccountRefused("unauthorized")
UNCLEAR = Unclear("timeout")
NOT_ALLOWED = NotPlaced("no calls to this country", number_refused=True)
DRAW = 0.0  # every pause is half its ceiling


def a_breaker() -> Breaker:
    return Breaker(Backoff(timedelta(seconds=4), timedelta(seconds=300)))


_NUMBERS = count(1_000_000)


def the_call(call_id: str = "call-1", number: str | None = None) -> Call:
    """A call to this number, or to one that no other call goes to."""
    return a_call(CallState.DIALING, id=call_id, phone_number=number or f"+1555{next(_NUMBERS)}")


def dialed(
    breaker: Breaker, answer: PlacingAnswer, now: float = 0.0, call_id: str = "call-1", number: str | None = None
) -> PauseChange | None:
    """Send one request and get its answer."""
    breaker.note_sending(call_id)
    return breaker.note_answer(the_call(call_id, number), answer, now, DRAW)


def in_a_streak(answer: PlacingAnswer = DOWN) -> Breaker:
    breaker = a_breaker()
    for _ in range(BAD_ANSWERS_IN_A_ROW):
        dialed(breaker, answer)
    return breaker


def test_a_provider_that_works_is_not_limited() -> None:
    breaker = a_breaker()
    assert (breaker.paused, breaker.reason, breaker.request_limit(0.0), breaker.next_at(7.0)) == (
        False,
        None,
        None,
        7.0,
    )


@pytest.mark.parametrize("answer", [ACCEPTED, REFUSED, DOWN, UNCLEAR], ids=lambda answer: type(answer).__name__)
def test_one_answer_about_one_call_pauses_nothing(answer: PlacingAnswer) -> None:
    breaker = a_breaker()
    assert dialed(breaker, answer) is None
    assert not breaker.paused


def test_an_error_of_our_account_pauses_at_once() -> None:
    breaker = a_breaker()
    assert dialed(breaker, ACCOUNT, now=10.0) is PauseChange.BEGAN
    assert (breaker.paused, breaker.reason) == (True, "unauthorized")
    assert (breaker.request_limit(11.9), breaker.next_at(10.0)) == (0, 12.0)


@pytest.mark.parametrize(
    ("retry_after", "until"),
    [(timedelta(seconds=60), 60.0), (timedelta(seconds=1), 2.0), (None, 2.0)],
    ids=["longer than our own pause", "shorter", "not said"],
)
def test_too_many_requests_is_one_pause_for_all(retry_after: timedelta | None, until: float) -> None:
    breaker = a_breaker()
    assert dialed(breaker, NotPlaced("too many requests", retry_after, rate_limited=True)) is PauseChange.BEGAN
    assert breaker.next_at(0.0) == until


@pytest.mark.parametrize("answer", [DOWN, UNCLEAR], ids=["not placed", "unclear"])
def test_ten_bad_answers_in_a_row_pause(answer: NotPlaced | Unclear) -> None:
    breaker = a_breaker()
    turns = [dialed(breaker, answer) for _ in range(10)]
    assert turns == [None] * 9 + [PauseChange.BEGAN]
    assert breaker.reason == answer.reason


def test_an_acceptance_between_ends_the_streak() -> None:
    breaker = a_breaker()
    answers: list[PlacingAnswer] = [*[DOWN] * (BAD_ANSWERS_IN_A_ROW - 1), ACCEPTED, DOWN]
    for answer in answers:
        assert dialed(breaker, answer) is None
    assert not breaker.paused


def test_a_webhook_between_ends_the_streak() -> None:
    breaker = a_breaker()
    for _ in range(BAD_ANSWERS_IN_A_ROW - 1):
        dialed(breaker, DOWN)
    assert breaker.webhook_came() is None
    assert dialed(breaker, DOWN) is None


def test_a_refusal_between_does_not_end_the_streak() -> None:
    breaker = a_breaker()
    answers: list[PlacingAnswer] = [*[DOWN] * (BAD_ANSWERS_IN_A_ROW - 1), REFUSED]
    for answer in answers:
        dialed(breaker, answer)
    assert dialed(breaker, DOWN) is PauseChange.BEGAN


def test_after_the_pause_one_call_at_a_time_is_the_probe() -> None:
    breaker = in_a_streak()
    assert (breaker.request_limit(1.9), breaker.request_limit(2.0)) == (0, 1)
    breaker.note_sending("probe")
    assert breaker.request_limit(2.0) == 0
    assert breaker.paused, "its try does not count yet"


def test_an_accepted_probe_ends_the_pause() -> None:
    breaker = in_a_streak()
    assert dialed(breaker, ACCEPTED, now=2.0, call_id="probe") is PauseChange.ENDED
    assert (breaker.paused, breaker.reason, breaker.request_limit(2.0)) == (False, None, None)


def test_the_next_failure_starts_with_a_short_pause() -> None:
    breaker = in_a_streak()
    dialed(breaker, DOWN, now=2.0, call_id="probe")
    dialed(breaker, ACCEPTED, now=6.0, call_id="probe")
    dialed(breaker, ACCOUNT, now=100.0)
    assert breaker.next_at(100.0) == 102.0


@pytest.mark.parametrize("answer", [DOWN, UNCLEAR, ACCOUNT, TOO_MANY], ids=["down", "unclear", "account", "too many"])
def test_a_failed_probe_extends_the_pause(answer: PlacingAnswer) -> None:
    breaker = in_a_streak()
    assert dialed(breaker, answer, now=2.0, call_id="probe") is None
    assert breaker.paused
    assert breaker.next_at(2.0) == (62.0 if answer is TOO_MANY else 6.0)
    assert breaker.request_limit(breaker.next_at(2.0)) == 1


def test_after_a_refused_probe_the_next_one_goes_at_once() -> None:
    breaker = in_a_streak()
    assert dialed(breaker, REFUSED, now=2.0, call_id="probe") is None
    assert (breaker.paused, breaker.request_limit(2.0)) == (True, 1)


def test_a_probe_that_was_not_sent_makes_room_for_another() -> None:
    breaker = in_a_streak()
    breaker.note_sending("probe")
    breaker.note_withdrawn("another")
    assert breaker.request_limit(2.0) == 0
    breaker.note_withdrawn("probe")
    assert breaker.request_limit(2.0) == 1


def test_late_answers_to_earlier_requests_do_not_extend_the_pause() -> None:
    breaker = in_a_streak()
    breaker.note_sending("probe")
    for answer in (DOWN, UNCLEAR, REFUSED):
        assert breaker.note_answer(the_call("an older one"), answer, 1.0, DRAW) is None
    assert breaker.next_at(0.0) == 2.0
    assert breaker.request_limit(2.0) == 0, "the probe is still out"


def test_a_late_answer_with_retry_after_is_honored() -> None:
    breaker = in_a_streak()
    assert breaker.note_answer(the_call("an older one"), TOO_MANY, 1.0, DRAW) is None
    assert (breaker.next_at(0.0), breaker.reason) == (61.0, "too many requests")


def test_a_late_acceptance_ends_the_pause_too() -> None:
    breaker = in_a_streak()
    assert breaker.note_answer(the_call("an older one"), ACCEPTED, 1.0, DRAW) is PauseChange.ENDED


def test_a_webhook_ends_a_streak_but_not_a_pause_after_a_refusal() -> None:
    streak, told = in_a_streak(), a_breaker()
    dialed(told, ACCOUNT)
    assert streak.webhook_came() is PauseChange.ENDED
    assert told.webhook_came() is None
    assert (streak.paused, told.paused) == (False, True)


def test_a_webhook_does_not_end_a_streak_with_an_account_error() -> None:
    breaker = in_a_streak()
    dialed(breaker, ACCOUNT, now=2.0, call_id="probe")
    assert breaker.webhook_came() is None
    assert breaker.paused


def test_without_a_pause_no_request_is_a_probe() -> None:
    breaker = a_breaker()
    breaker.note_sending("call-1")
    dialed(breaker, ACCOUNT, call_id="call-2")
    assert breaker.request_limit(2.0) == 1


def test_after_the_refused_setting_was_changed_a_probe_may_go_at_once() -> None:
    breaker = a_breaker()
    dialed(breaker, ACCOUNT)
    assert breaker.request_limit(1.0) == 0
    breaker.probe_soon(1.0)
    assert (breaker.request_limit(1.0), breaker.paused) == (1, True)
    breaker.note_sending("probe")
    breaker.probe_soon(1.0)
    assert breaker.request_limit(1.0) == 0, "one is out already"


def test_a_changed_backoff_applies_from_the_next_pause() -> None:
    breaker = a_breaker()
    breaker.backoff = Backoff(timedelta(seconds=100), timedelta(seconds=100))
    dialed(breaker, ACCOUNT)
    assert breaker.next_at(0.0) >= 50.0


# Errors about one number, and about all

A, B, C = "+12025550001", "+12025550002", "+12025550003"


def test_refusals_of_one_number_never_pause_dialing() -> None:
    breaker = a_breaker()
    assert [dialed(breaker, NOT_ALLOWED, number=A) for _ in range(20)] == [None] * 20
    assert (breaker.paused, breaker.request_limit(0.0)) == (False, None)


def test_refusals_of_different_numbers_without_an_acceptance_are_an_account_error() -> None:
    breaker = a_breaker()
    assert dialed(breaker, NOT_ALLOWED, number=A) is None
    assert dialed(breaker, NOT_ALLOWED, number=B) is PauseChange.BEGAN
    assert (breaker.paused, breaker.reason) == (True, "no calls to this country")


def test_an_acceptance_between_refusals_means_only_those_numbers_are_refused() -> None:
    breaker = a_breaker()
    dialed(breaker, NOT_ALLOWED, number=A)
    dialed(breaker, ACCEPTED, number=C)
    assert dialed(breaker, NOT_ALLOWED, number=B) is None
    assert dialed(breaker, NOT_ALLOWED, number=A) is None, "it is known to be to blame itself"
    assert not breaker.paused


def test_three_forbidden_numbers_delay_a_good_one_by_one_short_pause() -> None:
    breaker = a_breaker()
    sent = [the_call(number, number) for number in (A, B, C)]
    for call in sent:
        breaker.note_sending(call.id)
    assert [breaker.note_answer(call, NOT_ALLOWED, 0.0, DRAW) for call in sent] == [None, PauseChange.BEGAN, None]
    assert breaker.next_at(0.0) == 2.0
    assert dialed(breaker, ACCEPTED, now=2.0, call_id="probe") is PauseChange.ENDED


def test_pauses_stay_short_while_only_numbers_are_refused() -> None:
    breaker = a_breaker()
    now = 0.0
    for _ in range(12):
        dialed(breaker, NOT_ALLOWED, now=now, call_id="probe")
        assert breaker.next_at(now) - now <= LONGEST_FOR_NUMBERS
        now = breaker.next_at(now)
    assert breaker.paused


@pytest.mark.parametrize("answer", [ACCOUNT, DOWN, TOO_MANY, NOT_ALLOWED], ids=["account", "down", "429", "number"])
def test_the_probe_is_not_one_of_the_refused_numbers(answer: PlacingAnswer) -> None:
    breaker = a_breaker()
    dialed(breaker, NOT_ALLOWED, number=A)
    assert breaker.last_resort == frozenset(), "without a pause nobody waits for another"
    dialed(breaker, NOT_ALLOWED, number=B)
    assert breaker.last_resort == {A, B}
    dialed(breaker, answer, now=2.0, call_id="probe", number=C)
    assert breaker.last_resort == {A, B, C}
    dialed(breaker, ACCEPTED, now=100.0, call_id="probe")
    assert breaker.last_resort == frozenset()


def test_refusals_of_one_number_do_not_extend_the_pause() -> None:
    breaker = a_breaker()
    dialed(breaker, NOT_ALLOWED, number=A)
    dialed(breaker, ACCEPTED)
    dialed(breaker, ACCOUNT)
    assert dialed(breaker, NOT_ALLOWED, now=2.0, call_id="probe", number=A) is None
    assert (breaker.paused, breaker.request_limit(2.0)) == (True, 1)


def test_a_refused_number_counts_as_a_try_only_once_another_was_accepted() -> None:
    breaker = a_breaker()
    dialed(breaker, NOT_ALLOWED, number=A)
    assert not breaker.counts(the_call(number=A), NOT_ALLOWED)
    assert breaker.counts(the_call(number=A), DOWN)
    dialed(breaker, ACCEPTED)
    assert breaker.counts(the_call(number=A), NOT_ALLOWED)
    dialed(breaker, ACCEPTED, number=A)
    dialed(breaker, NOT_ALLOWED, number=A)
    assert not breaker.counts(the_call(number=A), NOT_ALLOWED), "it was accepted in between"


def test_bad_answers_about_one_number_are_not_a_streak() -> None:
    breaker = a_breaker()
    answers: list[PlacingAnswer] = [DOWN, UNCLEAR]
    for answer in answers * BAD_ANSWERS_IN_A_ROW:
        assert dialed(breaker, answer, number=A) is None
    assert dialed(breaker, DOWN, number=B) is PauseChange.BEGAN


def test_many_refused_numbers_take_bounded_memory() -> None:
    breaker = a_breaker()
    for number in range(5_000):
        dialed(breaker, NOT_ALLOWED, number=f"+1556{number:07}")
    assert len(breaker.last_resort) <= 1_000
