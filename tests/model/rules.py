"""The rules, each with a switch: a history can be played without a rule, to see what the rule prevents."""

from enum import Enum, unique


@unique
class Rule(Enum):
    """A rule, in one sentence. The rules come from the tables in docs/states.md."""

    # When a reminder is called
    NEVER_EARLY = "no reminder is spoken before its scheduled_at: its bundle waits for it"
    DELAYS_OUTLIVE_WAKE_AT = "a redial delay is kept in retry_at: wake_at is only a hint when to check"
    NUMBER_IS_LOOKED_AT_AGAIN = (
        "a reminder held as number_busy waits a moment, and is checked when a call to the number ends"
    )
    LIMITS_HOLD = "a number that was reached as often as the limits allow waits for another day"
    HEARD_IS_REMEMBERED = "a reminder that was heard in one of its calls is called, and no call is made for it"
    UNKNOWN_OUTCOME_IS_FOR_STAFF = "a reminder with a call of unknown outcome fails instead of being called"
    CALLS_ARE_COUNTED = "a reminder whose max_calls calls are over fails instead of being called"
    OWN_CALL_COMES_FIRST = "a reminder in an alive call belongs to that call and waits for nothing else"
    MOVED_IS_CALLED_AGAIN = "a final reminder that has left all its calls, or was heard for another time, waits again"
    CLOCK_AHEAD_IS_UNDONE = "a reminder that ended as too_late because the clock was ahead waits again"
    CANCELLED_STAYS = "a cancelled reminder stays cancelled, whatever the clock says"

    # A call and its reminders
    MEMBERSHIP_IS_FOR_TIME_AND_NUMBER = "a reminder that is moved or gets another number has left its calls"
    CALLS_OUTLIVE_REMINDERS = "a deleted or replaced reminder leaves its calls on record"
    ONE_OPEN_CALL_PER_NUMBER = "a call that comes back to life while another one to its number is open is stray"

    # The request
    LEASE_IS_CHECKED = "a process that has lost the lease of a call does not send its request"
    LAST_LOOK_REPEATS_THE_CLAIM = "the last look checks again for pause, opt-out, hours, limit and changed reminders"
    LAST_LOOK_AT_THE_NUMBER = "the last look checks whether another call to the number is alive"
    LAST_LOOK_AT_OUTCOMES = "a request is sent only while the outcome of all other calls of its reminders is known"
    UNCLEAR_IS_UNCONFIRMED = "after an unclear answer the call may have been placed"
    ONLY_REQUEST_DECIDES = "a refusal closes a call only if it answers the only request that may have been sent"
    SAME_MESSAGE_IS_REPEATED = "a request is repeated only while all its reminders and their messages are unchanged"
    KEY_AGES_BY_BOTH_CLOCKS = "the age of a key is measured by the monotonic clock, too"
    KEY_IS_USED_AGAIN = "a request that was not placed keeps its call and key for the next request, if that is the same"
    ACCOUNT_IS_KEPT = "a call is repeated, looked up or dropped with the account that it was placed with, or not at all"

    # An alive call
    OWN_WORK_IS_NOT_ABANDONED = "a process leaves its own work alone, even if the lease has run out"
    LEASED_CALLS_ARE_LEFT_ALONE = "a trigger does not wake a leased call"
    NOT_FOUND_PROVES_NOTHING = "a look-up that does not find a call does not end it"
    SILENCE_BEFORE_GIVING_UP = "a call is given up after outcome_timeout without a sign of life, not before"
    SILENCE_BY_BOTH_CLOCKS = "that silence is measured by the monotonic clock, too"
    DROPPED_IF_NOBODY_NEEDS_IT = "a call is dropped only once none of its reminders needs it"

    # Reports
    UNKNOWN_CALLS_ARE_RECORDED = "a report of an unknown call is recorded as a separate call"
    ATTEMPT_ID_NEVER_FALLS_THROUGH = "a report with an attempt_id that is not ours is about no other call of ours"
    ANOTHER_REMINDER_IS_ANOTHER_CALL = (
        "a report without an attempt_id is about a call with the provider's id only if it names the call's reminder"
    )
    OWN_ID_COMES_FIRST = "a report with our attempt_id counts, even if the provider's id was used before"
    RECEIPT_COUNTS_ONCE = "a terminal report without our attempt_id counts once for each of the provider's ids"
    END_IS_FINAL = "a call whose end was reported never comes back to life"
    CLOSED_CALLS_COME_BACK = "a closed call whose end was not reported is alive again at a sign of life"
    PROGRESS_LEAVES_FINAL_ALONE = "a sign of life changes no final reminder"
    HEARD_WINS = "a reminder that was heard becomes called, whatever its status, unless it was cancelled"
    HEARD_BY_ALL_MEMBERS = "a call that was heard was heard for all its reminders, including those that have left it"
    SPOKEN_AS_HANDED_OUT = "if the provider asks what to speak, only what was handed out was spoken"
    KEY_PRESS_IS_HEARD = (
        "a key, or the request at the end of the message, proves that it was heard, whatever the call reports later"
    )
    HUNG_UP_ONCE_SPOKEN_IS_REACHED = "a patient who hangs up was reached once the message had been spoken, not before"
    LATE_REPORTS_MAKE_NO_CALL_LONGER = "when a line ended is told by the provider, not by when its report arrives"
    HUNG_UP_IS_FOR_STAFF = "a patient who has hung up during the message is not called again"
    DECLINED_IS_NOT_REDIALED = "a patient who has declined a call is not called again"

    # Staff, other programs, restores
    OTHER_PROGRAMS_WAKE_ROWS = "a row that another program has changed is checked, whatever its status"
    CALL_AGAIN_WAITS_FOR_THE_CALL = "call-again is refused while a call to the number is alive"
    STAFF_LIMIT_IS_APART = "call-again sets its own limit and leaves expires_at as it is"
    ERASE_WAITS_FOR_THE_CALL = "a number is not erased while a call to it is alive"
    QUIET_AFTER_RESTORE = "nobody is called until outcome_timeout after a restore"
    QUIET_BY_BOTH_CLOCKS = "that time is measured by the monotonic clock of each process, too"
    RESTORED_IS_FOR_STAFF = "a reminder that was due by a restore fails, because nobody knows whether it was called"
    RESTORE_COUNTS_FROM_THE_LATER_TIME = "a restore counts from the later of now and the last change in the backup"


RULES = frozenset(Rule)
"""All rules of the project."""
