"""Check whom the program calls against the provider's own record and the clinic's own book.

Each exception is one that docs/reliability.md accepts, and as narrow as there.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from attrs import define, field

from reminderd.core.model import CallOutcome, Reminder, Status
from reminderd.core.reasons import EndCode
from reminderd.core.rules import Rules
from tests.chaos.carrier import CarrierCall, Subject, names_in
from tests.chaos.configurations import Account
from tests.chaos.endings import ANSWERERS, Who
from tests.chaos.other_programs import Book, Wanted
from tests.chaos.snapshot import Snapshot

NEVER: Final = -1.0


@define(kw_only=True)
class Circumstances:
    """What has happened, as far as a promise depends on it; moments are in true seconds."""

    book: Book = field(factory=Book)
    outcome_timeout: timedelta
    ring_again: bool
    is_paused: bool = False
    quiet_until: datetime | None = None
    asked_again_at: dict[str, float] = field(factory=dict)
    """When staff last had a reminder called again, by its name."""
    set_back_at: float = NEVER
    """When the wall clock was last set back."""
    set_forward_at: float = NEVER
    """When the wall clock was last set forward."""
    restarted_at: float = NEVER
    """When a process last started."""
    restored_at: float = NEVER
    forgotten_until: datetime | None = None
    """The time, by the wall clock, up to which the last restored backup may have forgotten calls."""
    is_misreported: bool = False
    """Whether a call was placed although the answer said that it was not."""
    accepted: Counter[str] = field(factory=Counter)

    def accepts(self, exception: str) -> Iterator[str]:
        """Note that an accepted exception applies, so that nothing is broken."""
        self.accepted[exception] += 1
        return iter(())


def broken_by_a_new_call(
    call: CarrierCall,
    *,
    message: str,
    earlier: list[CarrierCall],
    belongs_to: tuple[str | None, str | None],
    rules: Rules,
    now: datetime,
    circumstances: Circumstances,
) -> Iterator[str]:
    """Report which promises a call breaks by its beginning.

    Args:
        call: the call that begins.
        message: what the request asks to speak.
        earlier: all earlier calls.
        belongs_to: the provider and the account that the database has for it.
        rules: the rules of the process that sends the request.
        now: the time by the program's clock.
        circumstances: what has happened so far.
    """
    book = circumstances.book
    if circumstances.is_paused:
        yield "a call begins while dialing is paused"
    if circumstances.quiet_until is not None and now < circumstances.quiet_until:
        yield "a call begins in the quiet time after a restore"
    if call.phone_number in book.opted_out:
        yield "a call begins to a number that has opted out"
    if belongs_to != (call.account.provider, call.account.account):
        yield "a request goes to an account that its call does not belong to"
    for name in names_in(message):
        yield from _broken_by_speaking(name, call, message, rules, now, book)
    yield from _broken_by_another_call(call, earlier, rules, now, circumstances)
    for former in earlier:
        if former.phone_number == call.phone_number:
            yield from _broken_by_two_alive_calls(call, former, circumstances)
            for subject in call.subjects:
                if subject in former.subjects:
                    yield from _broken_by_calling_again(call, former, subject, earlier, circumstances)


def _broken_by_speaking(
    name: str, call: CarrierCall, message: str, rules: Rules, now: datetime, book: Book
) -> Iterator[str]:
    wanted = book.reminders.get(name)
    if wanted is None:
        yield f"a call speaks {name}, which was deleted"
        return
    if wanted.phone_number != call.phone_number:
        yield f"a call speaks {name}, which has another number now"
    if wanted.message not in message:
        yield f"a call speaks an old message of {name}"
    if wanted.is_held:
        yield f"a call speaks {name}, whose new number nobody has accepted"
    if wanted.is_cancelled:
        yield f"a call speaks {name}, which is cancelled"
    if now < wanted.scheduled_at:
        yield f"a call speaks {name} before its time"
    if not rules.calling_hours.is_open(
        now, rules.calling_hours.zone if wanted.timezone is None else ZoneInfo(wanted.timezone)
    ):
        yield f"a call speaks {name} outside the calling hours"
    if now >= _limit_of(wanted, rules):
        yield f"a call speaks {name} after its limit"


def _limit_of(wanted: Wanted, rules: Rules) -> datetime:
    limit = wanted.expires_at or wanted.scheduled_at + rules.max_lateness
    return limit if wanted.again_until is None else max(limit, wanted.again_until)


def _broken_by_another_call(
    call: CarrierCall, earlier: list[CarrierCall], rules: Rules, now: datetime, circumstances: Circumstances
) -> Iterator[str]:
    """Check the number of calls against the clinic's limits, as far as a restored database knows the calls."""
    if is_loose(call.account, circumstances):
        return
    known = [
        one
        for one in earlier
        if one.phone_number == call.phone_number and one.is_reported and one.began > circumstances.restored_at
    ]
    reached_today = [one for one in known if one.reached_at is not None and one.reached_at.date() == now.date()]
    if 0 < rules.limits.per_day <= len(reached_today):
        yield f"{call.call_id}: the number was reached as often today as the limits allow"
    for subject in call.subjects:
        since = circumstances.asked_again_at.get(subject.name, NEVER)
        calls = [one for one in known if subject in one.subjects and one.began > since and one.key != call.key]
        if len(calls) >= rules.max_calls:
            yield f"{subject.name}: was called {len(calls)} times already"


def is_loose(account: Account, circumstances: Circumstances) -> bool:
    """Return whether calls of a provider that repeats no `attempt_id` can't be distinguished anymore."""
    has_unknown_calls = circumstances.restored_at != NEVER or circumstances.is_misreported
    return not account.echoes_attempt_id and has_unknown_calls


def _has_forgotten_its_key(call: CarrierCall, former: CarrierCall, circumstances: Circumstances) -> bool:
    was_set_back = circumstances.set_back_at > former.began
    was_restarted = circumstances.restarted_at > former.began
    return call.key == former.key and was_set_back and was_restarted


def _broken_by_two_alive_calls(call: CarrierCall, former: CarrierCall, circumstances: Circumstances) -> Iterator[str]:
    """Check a call against another call to its number that may still be alive."""
    if call.key == former.key and not _has_forgotten_its_key(call, former, circumstances):
        yield f"two calls under one key: {former.call_id} and {call.call_id}"
    if not former.is_live:
        return
    silence = timedelta(seconds=call.began - former.sign_at)
    if silence >= circumstances.outcome_timeout:
        yield from circumstances.accepts("silent for outcome_timeout, and live anyway")
    elif former.is_misreported and not former.has_shown_life:
        yield from circumstances.accepts("answered 503, and live anyway")
    elif call.key == former.key:
        yield from circumstances.accepts("the key was forgotten")
    elif former.began <= circumstances.restored_at <= circumstances.set_forward_at <= circumstances.restarted_at:
        yield from circumstances.accepts("the quiet time after a restore was cut short by the wall clock and a restart")
    elif is_loose(former.account, circumstances):
        yield from circumstances.accepts("calls that can't be told apart")
    else:
        yield f"two live calls to one number: {former.call_id}, silent for {silence}, and {call.call_id}"


def _broken_by_calling_again(
    call: CarrierCall, former: CarrierCall, subject: Subject, earlier: list[CarrierCall], circumstances: Circumstances
) -> Iterator[str]:
    """Check another call for the same reminder, time and number against what is known about the previous call."""
    asked_again_at = circumstances.asked_again_at.get(subject.name, NEVER)
    if asked_again_at >= former.began:
        yield from circumstances.accepts("staff asked for it")
    elif former.is_reported and subject not in former.known_heard:
        return
    elif is_loose(former.account, circumstances):
        yield from circumstances.accepts("calls that can't be told apart")
    elif former.began < circumstances.restored_at and _is_after(subject, circumstances.forgotten_until):
        yield from circumstances.accepts("restored while the wall clock stood before a forgotten call")
    elif subject in former.known_heard:
        yield f"{subject.name} was heard in {former.call_id}, and is called again"
    elif former.is_misreported and not former.has_shown_life:
        yield from circumstances.accepts("answered 503, and called again")
    elif _has_forgotten_its_key(call, former, circumstances):
        yield from circumstances.accepts("the key was forgotten")
    elif circumstances.ring_again and _guesses(subject, earlier, asked_again_at) == 1 and not former.has_shown_life:
        yield from circumstances.accepts("once more when unsure")
    else:
        yield f"{subject.name} is called again on a guess: nobody knows how {former.call_id} ended"


def _is_after(subject: Subject, moment: datetime | None) -> bool:
    return moment is not None and subject.scheduled_at > moment


def _guesses(subject: Subject, calls: list[CarrierCall], since: float) -> int:
    """Return how many calls for a subject have an unknown end."""
    return sum(
        subject in one.subjects and not one.is_reported and one.began > since and not one.is_misreported
        for one in calls
    )


def broken_in_the_database(found: Snapshot, calls: list[CarrierCall], circumstances: Circumstances) -> Iterator[str]:
    """Report which reminders can't be explained, or are `called` although nobody heard them."""
    book = circumstances.book
    wanted = {one.id: one for one in (*book.reminders.values(), *book.retired)}
    written = {one.id for one in found.reminders.values() if one.appointment_id is None}
    for reminder_id in wanted.keys() ^ written:
        yield f"{reminder_id}: in the book or in the database only"
    for reminder_id in wanted.keys() & found.reminders.keys():
        yield from _broken_in(found.reminders[reminder_id], wanted[reminder_id], found, calls, circumstances)


def broken_in_the_outcomes(found: Snapshot, calls: list[CarrierCall], circumstances: Circumstances) -> Iterator[str]:
    """Report which calls are recorded with an outcome that the provider's own record does not confirm."""
    known = {call.call_id: call for call in calls if not is_loose(call.account, circumstances)}
    for stored in found.calls.values():
        call = known.get(stored.external_call_id or "")
        if call is None:
            continue
        if stored.outcome in {CallOutcome.CONFIRMED, CallOutcome.HEARD} and not call.heard_of:
            yield f"{call.call_id}: recorded as {stored.outcome}, and nobody was told"
        if stored.outcome is CallOutcome.CONFIRMED and "1" not in call.pressed:
            yield f"{call.call_id}: recorded as confirmed, and nobody has pressed 1"
        if stored.outcome is CallOutcome.VOICEMAIL and Who.MACHINE not in {ANSWERERS[call.answered_by], call.spoken_to}:
            yield f"{call.call_id}: recorded as left to a machine, and none has answered"


def _broken_in(
    reminder: Reminder,
    wanted: Wanted,
    found: Snapshot,
    calls: list[CarrierCall],
    circumstances: Circumstances,
) -> Iterator[str]:
    written = (reminder.phone_number, reminder.message, reminder.scheduled_at, reminder.expires_at, reminder.timezone)
    wants = (wanted.phone_number, wanted.message, wanted.scheduled_at, wanted.expires_at, wanted.timezone)
    if written != wants:
        yield f"{wanted.name}: another number, message, time, limit or zone than the clinic has written"
    is_in_a_live_call = any(
        call.state.alive and call.phone_number == reminder.phone_number and _is_current(found, call.id, reminder)
        for call in found.calls_of(reminder.id)
    )
    if not reminder.status.final and reminder.wake_at is None and not is_in_a_live_call:
        yield f"{wanted.name}: {reminder.status}, and nobody looks at it"
    if not reminder.status.final or reminder.wake_at is not None:
        return
    if (reminder.status is Status.CALLED) != (reminder.end_code is None):
        yield f"{wanted.name}: {reminder.status} with the end code {reminder.end_code}"
    if reminder.end_code is EndCode.PROGRAM_ERROR:
        yield f"{wanted.name}: the program has failed on it"
    is_heard = (_is_heard(wanted, reminder, call, circumstances) for call in calls)
    if reminder.status is Status.CALLED and not any(is_heard):
        yield f"{wanted.name}: called, and nobody has heard it for this time at this number"


def _is_heard(wanted: Wanted, reminder: Reminder, call: CarrierCall, circumstances: Circumstances) -> bool:
    """Return whether a reminder was heard in a call at its time and to its number, as far as that can be known."""
    if call.phone_number == reminder.phone_number:
        if wanted.subject in call.heard_of:
            return True
        if is_loose(call.account, circumstances):
            circumstances.accepted["calls that can't be told apart"] += 1
            return True
    is_forgotten = call.began < circumstances.restored_at and wanted.name in {one.name for one in call.heard_of}
    if is_forgotten:
        circumstances.accepted["heard for a time or at a number that the backup has forgotten"] += 1
    return is_forgotten


def _is_current(found: Snapshot, call_id: str, reminder: Reminder) -> bool:
    member = found.member(call_id, reminder.id)
    return member is not None and not member.deleted and member.scheduled_at == reminder.scheduled_at


def not_at_rest(found: Snapshot) -> Iterator[str]:
    """Report what still waits or is alive after an ending without faults."""
    for reminder in found.reminders.values():
        if not reminder.status.final or reminder.wake_at is not None:
            yield f"{reminder.id}: still {reminder.status} ({reminder.hold_code}) after all is over"
    for call in found.calls.values():
        if call.state.alive:
            yield f"{call.id}: still {call.state} after all is over"
