"""How a call ended for the patient, whether that reached them, and what a reminder has come to for the front desk.

Nothing else in the program decides these.
"""

from collections.abc import Iterable, Mapping
from enum import Enum, StrEnum, auto
from typing import Final

from reminderd.core.answers import Listener, listener
from reminderd.core.model import Call, CallOutcome, Member, Response, Status
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.rules import Rules

PROVEN: Final = frozenset({CallOutcome.CONFIRMED, CallOutcome.HEARD})
"""Somebody has heard the message."""
SPOKEN: Final = PROVEN | {CallOutcome.HUNG_UP, CallOutcome.VOICEMAIL}
"""Something of the message was spoken, so that the call may have reached the patient."""


class Sent(Enum):
    """What the provider was given to speak in a call."""

    NOTHING = auto()
    VOICEMAIL = auto()
    """The text for a machine."""
    MESSAGE = auto()
    """A message, once a person had answered."""
    WITH_THE_REQUEST = auto()
    """The messages, before anybody had answered: only the report shows who heard them."""


def sent_in(members: Iterable[Member], *, asks: bool) -> Sent:
    """Return the most that the provider was given to speak in a call with these members.

    `asks`: it asks for that when the call is answered.
    """
    if not asks:
        return Sent.WITH_THE_REQUEST
    spoken = [one for one in members if one.spoken]
    if any(one.spoken_by is not None for one in spoken):
        return Sent.MESSAGE
    return Sent.VOICEMAIL if spoken else Sent.NOTHING


def outcome_of(call: Call, sent: Sent) -> CallOutcome:
    """Return how a call ended for the patient, according to its terminal report.

    What proves that a message was heard, a key or the request that follows it, is in the call's outcome before the end.

    Args:
        call: with its terminal report.
        sent: what the provider was given to speak in it.
    """
    if call.outcome in PROVEN:
        return call.outcome
    if call.status in _ANSWERED:
        return _of_answered(call, sent)
    if call.status == "declined" or call.sip_response_code == _SIP_DECLINED:
        return CallOutcome.DECLINED
    is_failed = call.status == "failed" and call.sip_response_code not in _SIP_NOT_ANSWERED
    return CallOutcome.FAILED if is_failed else CallOutcome.NOT_ANSWERED


def _of_answered(call: Call, sent: Sent) -> CallOutcome:
    who = listener(call.answered_by)
    is_empty = call.duration_seconds == 0 or (who is Listener.FAX and sent is not Sent.MESSAGE)
    if sent is Sent.NOTHING or is_empty:
        return CallOutcome.NOT_HEARD
    if sent is Sent.VOICEMAIL or (sent is Sent.WITH_THE_REQUEST and who is Listener.MACHINE):
        return CallOutcome.VOICEMAIL
    return CallOutcome.HUNG_UP if sent is Sent.MESSAGE or call.status == "hung-up" else CallOutcome.HEARD


def outcome_for(member: Member, call: Call) -> CallOutcome | None:
    """Return how a call ended for one of its reminders: nothing is heard that was not spoken. None: not known yet."""
    return as_spoken(call.outcome, is_spoken=member.spoken)


def as_spoken(outcome: CallOutcome | None, *, is_spoken: bool) -> CallOutcome | None:
    """Return the outcome of a call for a reminder that was spoken in it, or was not."""
    return CallOutcome.NOT_HEARD if outcome in SPOKEN and not is_spoken else outcome


def reached(member: Member, call: Call, rules: Rules) -> bool:
    """Return whether a call reached the patient of one of its reminders."""
    match outcome_for(member, call):
        case CallOutcome.CONFIRMED | CallOutcome.HEARD:
            return True
        case CallOutcome.HUNG_UP:
            by, until = member.spoken_by, call.hung_up_at
            return by is not None and until is not None and by <= until
        case CallOutcome.VOICEMAIL:
            return rules.voicemail_is_reached
        case _:
            return False


def reached_anybody(call: Call, members: Iterable[Member], rules: Rules) -> bool:
    """Return whether a call reached the patient of any of its reminders; one that we did not know has none."""
    own = list(members)
    by_voicemail = call.outcome is CallOutcome.VOICEMAIL and rules.voicemail_is_reached
    return any(reached(one, call, rules) for one in own) if own else call.outcome in PROVEN or by_voicemail


_ANSWERED: Final = frozenset({"completed", "hung-up"})
_SIP_DECLINED: Final = 603
_SIP_NOT_ANSWERED: Final = frozenset({408, 480, 486, 487, 503, 504, 600})
"""The phone is off, out of reach, busy, or was not answered in time: RFC 3261, 21.4.9, 21.4.18, 21.4.24, 21.4.25,
21.5.4, 21.5.5, 21.6.1. 603 is 21.6.2."""


class Outcome(StrEnum):
    """One word for each; those that need a human come first, the most urgent of them at the top."""

    WANTS_TO_CANCEL = "wants to cancel"
    """The patient has asked for it by key; the appointment still stands."""
    NOT_REACHED = "not reached"
    """Refused, never answered, or nobody knows whether the phone rang."""
    NUMBER_CHANGED = "number changed"
    """It waits for staff to accept its new phone number, or to cancel it."""
    EXPIRED = "expired"
    """Its limit passed before the patient could be called."""
    UNDER_WAY = "under way"
    WAITING = "waiting"
    CONFIRMED = "confirmed"
    REACHED = "reached"
    """A call was completed; the patient has said nothing, or can't with this provider."""
    DONE_BY_STAFF = "done by staff"
    """It needed a human, or would have been called, and staff have called the patient manually."""
    OPTED_OUT = "opted out"
    CANCELLED = "cancelled"


NEED_A_HUMAN: Final = frozenset({Outcome.WANTS_TO_CANCEL, Outcome.NOT_REACHED, Outcome.NUMBER_CHANGED, Outcome.EXPIRED})
"""The patient does not know, or wants something that only staff can do."""


class Group(StrEnum):
    """What the front desk has to do about an outcome."""

    NEEDS_HUMAN = "needs a human"
    IN_CALL = "in a call"
    WAITING = "waiting"
    DONE = "done"


def group_of(word: Outcome) -> Group:
    """Return the group of an outcome."""
    if word in NEED_A_HUMAN:
        return Group.NEEDS_HUMAN
    return _OPEN_GROUPS.get(word, Group.DONE)


_OPEN_GROUPS: Final = {Outcome.UNDER_WAY: Group.IN_CALL, Outcome.WAITING: Group.WAITING}

_BY_STATUS: Final = {
    Status.SCHEDULED: Outcome.WAITING,
    Status.DIALING: Outcome.UNDER_WAY,
    Status.PROCESSING: Outcome.UNDER_WAY,
    Status.CALLED: Outcome.REACHED,
    Status.FAILED: Outcome.NOT_REACHED,
    Status.EXPIRED: Outcome.EXPIRED,
    Status.CANCELLED: Outcome.CANCELLED,
}
_BY_RESPONSE: Final = {
    Response.CONFIRMED: Outcome.CONFIRMED,
    Response.CANCEL_REQUESTED: Outcome.WANTS_TO_CANCEL,
    Response.OPTED_OUT: Outcome.OPTED_OUT,
}
_BY_CODE: Final[Mapping[EndCode | None, Outcome]] = {
    EndCode.OPTED_OUT: Outcome.OPTED_OUT,
    EndCode.DONE_BY_STAFF: Outcome.DONE_BY_STAFF,
}
"""Of a cancelled reminder."""


def outcome(
    status: Status,
    response: str | None,
    end_code: EndCode | None,
    hold_code: HoldCode | None = None,
    *,
    is_done: bool = False,
) -> Outcome:
    """Return what a reminder has come to.

    A response counts once the reminder is `called`, as the person who cancelled it knows more.

    Args:
        status: the reminder's.
        response: a `Response`, whatever another program has written, or None.
        end_code: why it ended.
        hold_code: why it waits.
        is_done: staff have noted that they called the patient manually, which counts for what needs a human.
    """
    if status is Status.SCHEDULED and hold_code is HoldCode.NUMBER_CHANGED:
        return Outcome.NUMBER_CHANGED
    if status is Status.CANCELLED and end_code in _BY_CODE:
        return _BY_CODE[end_code]
    found = _BY_STATUS[status]
    if status is Status.CALLED and response in set(Response):
        found = _BY_RESPONSE[Response(response)]
    return Outcome.DONE_BY_STAFF if is_done and found in NEED_A_HUMAN else found
