"""Check the promises about days with files and results against the records of the provider and the clinic's system."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from attrs import frozen

LATE: Final = timedelta(seconds=0.5)
"""How long a request may be in flight that was sent before a change became known."""
SETTLED: Final = timedelta(seconds=4)
"""How long after the time of a call a change still explains that there was no call."""


@frozen
class Wanted:
    """What the daemon certainly knows about an appointment from one moment on."""

    since: datetime
    before: datetime
    """The moment until which the daemon did not certainly know this."""
    call_at: datetime | None
    """When the patient is to be called; None if nobody is to be called."""


def broken_calls(
    wanted: Mapping[str, Sequence[Wanted]],
    called: Mapping[str, Sequence[datetime]],
    by_staff: set[tuple[str, datetime]],
    now: datetime,
) -> Iterator[str]:
    """Report which calls were not wanted, and which are missing.

    Args:
        wanted: what was known, by the `ref` of the appointment, oldest first.
        called: the times of the calls of each `ref`.
        by_staff: each `ref` and time of a call whose reminder has failed, or was cancelled by staff.
        now: the present time; calls that are wanted later are not missing yet.
    """
    for ref, facts in wanted.items():
        for fact, following in pairwise([*facts, None]):
            assert fact is not None
            until = None if following is None else following.since + LATE
            calls = [one for one in called.get(ref, ()) if one > fact.since + LATE and (until is None or one < until)]
            if fact.call_at is None:
                if calls:
                    yield f"{ref}: called, and it was known that it does not take place"
            elif any(one < fact.call_at for one in calls):
                yield f"{ref}: called before its time"
            elif not calls and is_sure(fact, following, now) and (ref, fact.call_at) not in by_staff:
                yield f"{ref}: not called"


def is_sure(fact: Wanted, following: Wanted | None, now: datetime) -> bool:
    """Return whether a call had to be made: its time was known early enough, and for long enough."""
    if fact.call_at is None or fact.call_at > now:
        return False
    return fact.since + LATE < fact.call_at and (following is None or following.before > fact.call_at + SETTLED)


def broken_results(
    stored: Sequence[tuple[str, str]], accepted: Sequence[Mapping[str, Any]], *, repeats: int
) -> Iterator[str]:
    """Report which changes were not received once and in order.

    Args:
        stored: the id of each recorded change, oldest first, with the id of its subject.
        accepted: the changes that the other system has received, in its order.
        repeats: how many may have been received again, as the program was killed before it had recorded them.
    """
    subject, firsts = dict(stored), list(dict.fromkeys(one["id"] for one in accepted))
    lost, unknown = subject.keys() - set(firsts), set(firsts) - subject.keys()
    if lost or unknown:
        yield f"results: {len(lost)} were never received, {len(unknown)} are not on record"
    if len(accepted) - len(firsts) > repeats:
        yield f"results: {len(accepted) - len(firsts)} came again"
    for whose, times in Counter(subject.values()).items():
        came = [one for one in firsts if subject.get(one) == whose]
        if len(came) == times and came != [one for one, about in stored if about == whose]:
            yield f"results: the changes of {whose} came in another order"
