from reminderd.core.lifecycle import Level, Note, Surroundings, summary
from reminderd.core.lifecycle.summary import FEW
from reminderd.core.reminder import Status
from tests.support.nouns import NOW, a_call, a_reminder, woken

EXPIRES = woken(a_reminder(expires_at=NOW))


def test_many_that_expire_at_once_are_one_line_more() -> None:
    note = Note("expired 41 reminders that could not be rung in time: see list --status expired", Level.ERROR)
    assert summary([EXPIRES] * 41 + [woken(a_reminder())]) == note


def test_a_few_say_it_themselves() -> None:
    assert summary([EXPIRES] * FEW) is None
    assert summary([EXPIRES] * (FEW + 1)) is not None


def test_only_what_expires_now_is_counted() -> None:
    cancelled = woken(a_reminder(), around=Surroundings(opted_out=True))
    expired_before = woken(a_reminder(Status.EXPIRED, wake_at=NOW), a_call("ringing"))
    assert summary([cancelled, expired_before] * 10) is None
