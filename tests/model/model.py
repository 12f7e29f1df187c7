"""A model of the rules, to find out what they allow before the program implements them.

It plays reminders and calls through crashes, lost answers, late reports, staff and other programs. It compares them
with the provider's own record of which phones rang and who heard what. It imports nothing from the program: the rules
are written here a second time, as briefly as possible.

A change of a rule begins here: change it here, give it a switch in rules.py, and let test_model.py play it. Then change
docs/states.md and, last, reminderd/core/lifecycle/, which tests/core/lifecycle/ plays in the same way.
"""

from collections import Counter
from copy import deepcopy
from typing import NoReturn

from tests.model.rows import (
    ALIVE,
    CLOSES,
    DAY,
    FINAL,
    KEY_LIFETIME,
    LEASE,
    MAX_LATENESS,
    OPEN,
    OPENS,
    OUTCOME_TIMEOUT,
    PROCESSES,
    REACHED_PER_DAY,
    BrokenPromiseError,
    Call,
    Database,
    Member,
    Process,
    ProviderCall,
    Reminder,
    Report,
    Setting,
    Task,
)
from tests.model.rules import RULES, Rule


class Model:
    """The database, two processes on it, the provider, and the facts on which every decision is based."""

    def __init__(self, setting: Setting, rules: frozenset[Rule] = RULES) -> None:
        self.setting = setting
        self.rules = rules
        self.elapsed = 0
        """The time that has really passed: the monotonic clock, and the provider's."""
        self.skew = 0
        """How far the wall clock is ahead of the elapsed time."""
        self.ids: Counter[str] = Counter()
        self.db = Database()
        self.processes = {name: Process() for name in PROCESSES}
        self.tasks: list[Task] = []
        self.provider_calls: list[ProviderCall] = []
        self.reports: list[Report] = []
        self.backup: tuple[Database, int] | None = None
        """A copy of the database, and the wall clock's time when it was made."""
        self.past = Past()
        for place, (number, scheduled_at, expires_at) in enumerate(setting.rows):
            self.insert(f"r{place}", number, scheduled_at, expires_at)
        self.tick(OPENS)

    # Time

    @property
    def now(self) -> int:
        """The wall clock."""
        return self.elapsed + self.skew

    def tick(self, steps: int = 1) -> None:
        """Let time pass; each process remembers the alive calls that it sees."""
        for _ in range(steps):
            for process in self.processes.values():
                for call in self.db.calls.values():
                    if call.state in ALIVE:
                        if process.signs.get(call.id, (None,))[0] != call.last_sign_at:
                            process.signs[call.id] = (call.last_sign_at, self.elapsed)
                        process.first_seen.setdefault(call.id, self.elapsed)
            self.elapsed += 1

    def has_hours(self, moment: int) -> bool:
        return OPENS <= moment % DAY < CLOSES

    def next_open(self, moment: int) -> int:
        while not self.has_hours(moment):
            moment += 1
        return moment

    # What waits, and for what

    def new_id(self, letter: str) -> str:
        self.ids[letter] += 1
        return f"{letter}{self.ids[letter]}"

    def new_seq(self) -> int:
        self.db.newest_seq += 1
        return self.db.newest_seq

    def insert(self, reminder_id: str, number: str, scheduled_at: int, expires_at: int | None = None) -> None:
        row = self.past.rows.get(reminder_id, 0) + 1
        self.past.rows[reminder_id] = row
        self.past.expires_at[reminder_id] = expires_at
        self.db.reminders[reminder_id] = Reminder(
            id=reminder_id,
            row=row,
            phone_number=number,
            scheduled_at=scheduled_at,
            expires_at=expires_at,
            wake_at=scheduled_at,
        )

    def limit_of(self, reminder: Reminder) -> int:
        """Return the moment from which no call of the reminder starts."""
        clinics = reminder.scheduled_at + MAX_LATENESS if reminder.expires_at is None else reminder.expires_at
        return max(clinics, reminder.again_until or clinics)

    def free_from(self, number: str) -> int:
        """Return when the limits let a number be called: now, or the next day."""
        today = self.now // DAY
        reached = sum(
            call.phone_number == number and self._has_reached_anybody(call) and _reached_at(call) // DAY == today
            for call in self.db.calls.values()
        )
        is_free = reached < REACHED_PER_DAY or Rule.LIMITS_HOLD not in self.rules
        return self.now if is_free else (today + 1) * DAY

    def is_quiet(self, process: str) -> bool:
        """Return whether nobody may be called yet after a restore, by the wall clock or by the process's own clock."""
        if self.db.restored_at is None or Rule.QUIET_AFTER_RESTORE not in self.rules:
            return False
        left = max(self.db.restored_at + OUTCOME_TIMEOUT - self.now, 0)
        own = self.processes[process]
        own.quiet_until = self.elapsed + left if own.quiet_until is None else own.quiet_until
        is_quiet_by_own = self.elapsed < own.quiet_until and Rule.QUIET_BY_BOTH_CLOCKS in self.rules
        return left > 0 or is_quiet_by_own

    # Calls and their reminders

    def is_current(self, member: Member, reminder: Reminder, call: Call) -> bool:
        """Return whether a call is still about the present reminder."""
        is_same = member.scheduled_at == reminder.scheduled_at and call.phone_number == reminder.phone_number
        return not member.deleted and (is_same or Rule.MEMBERSHIP_IS_FOR_TIME_AND_NUMBER not in self.rules)

    def members_of(self, call: Call) -> list[Member]:
        return [one for one in self.db.members.values() if one.call_id == call.id]

    def current(self, call: Call) -> list[tuple[Member, Reminder]]:
        """Return the memberships of a call that are current, each with its reminder."""
        found = [(one, self.db.reminders.get(one.reminder_id)) for one in self.members_of(call)]
        return [(one, row) for one, row in found if row is not None and self.is_current(one, row, call)]

    def history(self, reminder: Reminder) -> list[tuple[Member, Call]]:
        """Return the current memberships of a reminder, each with its call, oldest first."""
        found = [
            (one, self.db.calls[one.call_id]) for one in self.db.members.values() if one.reminder_id == reminder.id
        ]
        current = [(one, call) for one, call in found if self.is_current(one, reminder, call)]
        return sorted(current, key=lambda pair: pair[1].seq)

    def counted(self, reminder: Reminder) -> list[Call]:
        """Return its calls since staff asked to call it again, without adopted ones."""
        return [call for _, call in self.history(reminder) if call.seq > reminder.again_seq and not call.adopted]

    def attempts(self, reminder: Reminder) -> int:
        over = {"ended", "unreported"}
        return sum(call.state in over or call.outcome is not None for call in self.counted(reminder))

    def has_unknown_outcome(self, reminder: Reminder) -> bool:
        """Return whether nobody knows if one of its calls was heard, and no other call is allowed in spite of that."""
        unknown = [call for call in self.counted(reminder) if call.state == "unreported"]
        once_more = self.setting.rings_again and len(unknown) == 1 and not unknown[0].evidence
        return bool(unknown) and not once_more

    def was_heard(self, reminder: Reminder) -> bool:
        return any(self.has_reached(member, call) for member, call in self.history(reminder))

    def _has_reached_anybody(self, call: Call) -> bool:
        members = self.members_of(call)
        return any(self.has_reached(one, call) for one in members) if members else call.outcome == "heard"

    def has_reached(self, member: Member, call: Call) -> bool:
        """Return whether the patient of one of a call's reminders has heard its message."""
        if call.outcome == "hung_up" and Rule.HUNG_UP_ONCE_SPOKEN_IS_REACHED in self.rules:
            by, until = member.spoken_by, call.hung_up_at
            return member.spoken and by is not None and until is not None and by <= until
        return member.spoken and call.outcome in {"heard", "hung_up"}

    def alive_call(self, reminder: Reminder) -> Call | None:
        return next((call for _, call in self.history(reminder) if call.state in ALIVE), None)

    def alive_at(self, number: str) -> list[Call]:
        return [call for call in self.db.calls.values() if call.phone_number == number and call.state in ALIVE]

    def has_open_call(self, number: str) -> bool:
        return any(call.state in OPEN for call in self.alive_at(number))

    def may_be_forgotten(self, reminder: Reminder) -> bool:
        """Return whether a restored backup may have forgotten that this reminder was called."""
        db = self.db
        if db.restored_at is None or reminder.scheduled_at > db.restored_at:
            return False
        was_called_since = any(call.seq > db.restored_seq and not call.adopted for _, call in self.history(reminder))
        return reminder.again_seq < db.restored_seq and not was_called_since

    def is_unwanted(self, call: Call) -> bool:
        """Return whether no reminder needs this call anymore."""
        needed = [reminder.status not in FINAL for _, reminder in self.current(call)]
        if Rule.DROPPED_IF_NOBODY_NEEDS_IT not in self.rules:
            return not all(needed) and not call.adopted
        return not any(needed) and not call.adopted

    # What a process may conclude

    def is_ours(self, call: Call, account: str) -> bool:
        return call.account == account or Rule.ACCOUNT_IS_KEPT not in self.rules

    def key_holds(self, process: str, call: Call, moment: int) -> bool:
        """Return whether a request with this call's key, sent at that moment, places no second call."""
        known_for = self.elapsed - self.processes[process].first_seen.get(call.id, self.elapsed)
        if Rule.KEY_AGES_BY_BOTH_CLOCKS in self.rules and known_for + moment - self.now + LEASE >= KEY_LIFETIME:
            return False
        return self.setting.honors_keys and moment + LEASE < call.created_at + KEY_LIFETIME

    def silence_left(self, process: str, call: Call) -> int:
        """Return how long a call may still be silent before it is given up."""
        if Rule.SILENCE_BEFORE_GIVING_UP not in self.rules:
            return 0
        left = call.last_sign_at + OUTCOME_TIMEOUT - self.now
        if Rule.SILENCE_BY_BOTH_CLOCKS in self.rules:
            sign, seen_at = self.processes[process].signs.get(call.id, (None, 0))
            silent_for = self.elapsed - seen_at if sign == call.last_sign_at else 0
            left = max(left, OUTCOME_TIMEOUT - silent_for)
        return max(left, 0)

    # What is about to be written

    def end(self, reminder: Reminder, status: str, code: str | None) -> None:
        """Make a reminder final."""
        reminder.status, reminder.end_code, reminder.ended_at = status, code, self.now
        reminder.wake_at = reminder.retry_at = reminder.hold_code = None

    def schedule(self, reminder: Reminder, at: int, hold_code: str | None = None) -> None:
        """Let a reminder wait for a call that starts at `at` or later."""
        reminder.status, reminder.hold_code = "scheduled", hold_code
        reminder.end_code = reminder.ended_at = None
        is_kept = at > self.now and Rule.DELAYS_OUTLIVE_WAKE_AT in self.rules
        reminder.retry_at = at if is_kept else None
        reminder.wake_at = max(at, self.now)

    def wake(self, call: Call) -> None:
        """Let an alive call be checked now, unless somebody works on it."""
        is_free = call.lease_token is None and call.state != "dialing"
        if call.state in ALIVE and (is_free or Rule.LEASED_CALLS_ARE_LEFT_ALONE not in self.rules):
            call.wake_at = self.now

    def copy(self) -> Database:
        return deepcopy(self.db)

    def broken(self, promise: str) -> NoReturn:
        raise BrokenPromiseError(promise)


class Past:
    """What has happened, for the checks of the promises: no decision of the program may use it."""

    def __init__(self) -> None:
        self.clock_was_set = False
        self.crashed_at = -1
        self.restarted_since_restore = False
        self.restores = 0
        self.restored_at = 0
        """When the database was last restored, by the time that has really passed."""
        self.forgotten_until = 0
        """The later of the wall clock's time at that moment and the time of the backup."""
        self.rows: dict[str, int] = {}
        """How many rows have had each id."""
        self.expires_at: dict[str, int | None] = {}
        """What other programs have written to `expires_at`."""
        self.written_at: dict[str, int] = {}
        """When another program last wrote to each reminder."""
        self.settled_by_staff: dict[str, set[int]] = {}
        """For each reminder, the provider's calls that were over when staff asked to call it again."""
        self.again_at: dict[str, int] = {}
        self.erased: set[int] = set()
        """The provider's calls that were erased with their number."""
        self.signs: dict[str, tuple[int, int]] = {}
        """The last sign of life of each call, and when it arrived, by the time that has really passed."""


def _reached_at(call: Call) -> int:
    return call.last_sign_at if call.received_at is None else call.received_at
