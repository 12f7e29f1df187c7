"""How a call ended for the patient, whether it reached them, and the outcome of a reminder.

Nothing else in the program decides these.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import Enum, StrEnum, auto
from typing import Final, Self

from attrs import field, frozen

from reminderd.core.answers import Listener, listener_of
from reminderd.core.model import Call, CallOutcome, Member, Response, Status
from reminderd.core.reasons import CANCELS, EndCode, HoldCode
from reminderd.core.rules import Rules
from reminderd.core.sentences import Sentence

PROVEN: Final = frozenset({CallOutcome.CONFIRMED, CallOutcome.HEARD})
"""The outcomes of a call in which somebody certainly heard the message."""
SPOKEN: Final = PROVEN | {CallOutcome.HUNG_UP, CallOutcome.VOICEMAIL}
"""The outcomes of a call in which at least a part was spoken, so that it may have reached the patient."""
_ANSWERED: Final = frozenset({"completed", "hung-up"})
_SIP_DECLINED: Final = 603
_SIP_NOT_ANSWERED: Final = frozenset({408, 480, 486, 487, 503, 504, 600})
"""The phone is off, out of reach, busy, or was not answered in time: RFC 3261, 21.4.9, 21.4.18, 21.4.24, 21.4.25,
21.5.4, 21.5.5, 21.6.1. 603 is 21.6.2."""

NUMBERS_IN_A_ROW: Final = 2
"""If calls to this many different numbers never asked, with no request in between, our address is failing."""

ASKS_WITHIN: Final = timedelta(seconds=2)
"""A provider that can reach us asks what to say within this time after the answer, or after machine detection."""


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

    `asks`: whether it asks what to speak when the call is answered.
    """
    if not asks:
        return Sent.WITH_THE_REQUEST
    spoken = [one for one in members if one.spoken]
    if any(one.spoken_by is not None for one in spoken):
        return Sent.MESSAGE
    return Sent.VOICEMAIL if spoken else Sent.NOTHING


def call_outcome_of(call: Call, sent: Sent) -> CallOutcome:
    """Return how a call ended for the patient, according to its terminal report.

    A key, or the request that follows the message, proves that it was heard: then the outcome is known before the end.
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
    who = listener_of(call.answered_by)
    is_empty = call.duration_seconds == 0 or (who is Listener.FAX and sent is not Sent.MESSAGE)
    if sent is Sent.NOTHING or is_empty:
        return CallOutcome.NOT_HEARD
    if sent is Sent.VOICEMAIL or (sent is Sent.WITH_THE_REQUEST and who is Listener.MACHINE):
        return CallOutcome.VOICEMAIL
    return CallOutcome.HUNG_UP if sent is Sent.MESSAGE or call.status == "hung-up" else CallOutcome.HEARD


def member_outcome_of(member: Member, call: Call) -> CallOutcome | None:
    """Return the call's outcome for one of its reminders, which must be spoken to be heard; None if not known yet."""
    return outcome_of_message(call.outcome, is_spoken=member.spoken)


def outcome_of_message(outcome: CallOutcome | None, *, is_spoken: bool) -> CallOutcome | None:
    """Return the outcome of a call for a reminder that was or was not spoken in it."""
    return CallOutcome.NOT_HEARD if outcome in SPOKEN and not is_spoken else outcome


def reached(member: Member, call: Call, rules: Rules) -> bool:
    """Return whether a call reached the patient of one of its reminders."""
    match member_outcome_of(member, call):
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
    """Return whether a call reached the patient of any of its reminders; an adopted call may have none."""
    own = list(members)
    by_voicemail = call.outcome is CallOutcome.VOICEMAIL and rules.voicemail_is_reached
    return any(reached(one, call, rules) for one in own) if own else call.outcome in PROVEN or by_voicemail


def is_of_our_account(call: Call, rules: Rules) -> bool:
    """Return whether a call was placed with the account that is configured now."""
    return (call.provider, call.account) == (rules.provider, rules.account)


def provider_never_asked(call: Call, rules: Rules) -> bool:
    """Return whether a call was answered and lasted long enough, and the provider never asked us what to say.

    A patient who hangs up while the provider still listens for a machine proves nothing, and neither does an adopted
    call.
    """
    shows_requests = rules.capabilities.asks_what_to_say and is_of_our_account(call, rules) and not call.adopted
    if not shows_requests or call.fetched_at is not None or call.status != "completed" or call.duration_seconds is None:
        return False
    listens = rules.capabilities.listens_for if call.answered_by is None else timedelta(0)
    return timedelta(seconds=call.duration_seconds) >= listens + ASKS_WITHIN


def is_address_failing(calls: Iterable[Call], rules: Rules, *, answering_since: datetime | None) -> bool:
    """Return whether our address is failing, as the newest calls that were placed with it show.

    Only calls made after the provider's last request count: they show whether it reaches the address now.
    `answering_since`: since when we can answer the provider, after the program was stopped; None if always.
    """
    known = tuple(calls)
    asked = max((call.fetched_at for call in known if call.fetched_at is not None), default=None)
    since = [call for call in known if asked is None or call.created_at > asked]
    silent = [
        call for call in since if provider_never_asked(call, rules) and not _may_be_unanswered(call, answering_since)
    ]
    return len({call.phone_number for call in silent}) >= NUMBERS_IN_A_ROW


def _may_be_unanswered(call: Call, answering_since: datetime | None) -> bool:
    """Return whether a call began before we could answer the provider, and its end was reported after that."""
    if answering_since is None or call.created_at > answering_since:
        return False
    return call.received_at is None or call.received_at > answering_since


class Outcome(StrEnum):
    """What staff read about a reminder; the outcomes that need a human come first, the most urgent one at the top."""

    WANTS_TO_CANCEL = "wants to cancel"
    """The patient has asked by key to cancel; the appointment is still booked."""
    NOT_REACHED = "not reached"
    """The call was refused or never answered, or nobody knows whether the phone rang."""
    NUMBER_CHANGED = "number changed"
    """It waits for staff to accept its new phone number, or to cancel it."""
    EXPIRED = "expired"
    """Its limit passed before the patient could be called."""
    UNDER_WAY = "under way"
    WAITING = "waiting"
    CONFIRMED = "confirmed"
    REACHED = "reached"
    """Somebody heard the message, or a voicemail counts as that; the patient has not answered by key, or can't."""
    DONE_BY_STAFF = "done by staff"
    """Staff have called the patient manually."""
    OPTED_OUT = "opted out"
    CANCELLED = "cancelled"


NEED_A_HUMAN: Final = frozenset({Outcome.WANTS_TO_CANCEL, Outcome.NOT_REACHED, Outcome.NUMBER_CHANGED, Outcome.EXPIRED})
"""The patient does not know, or wants something that only staff can do."""


class Group(StrEnum):
    """What the front desk must do about an outcome."""

    NEEDS_HUMAN = "needs a human"
    IN_CALL = "in a call"
    WAITING = "waiting"
    DONE = "done"


def group_of(word: Outcome) -> Group:
    """Return the group of an outcome."""
    open_groups = {Outcome.UNDER_WAY: Group.IN_CALL, Outcome.WAITING: Group.WAITING}
    return Group.NEEDS_HUMAN if word in NEED_A_HUMAN else open_groups.get(word, Group.DONE)


_BY_STATUS: Final = {
    Status.SCHEDULED: Outcome.WAITING,
    Status.DIALING: Outcome.UNDER_WAY,
    Status.PROCESSING: Outcome.UNDER_WAY,
    Status.CALLED: Outcome.REACHED,
    Status.FAILED: Outcome.NOT_REACHED,
    Status.EXPIRED: Outcome.EXPIRED,
    Status.CANCELLED: Outcome.CANCELLED,
}
BY_RESPONSE: Final[Mapping[str | None, Outcome]] = {
    Response.CONFIRMED: Outcome.CONFIRMED,
    Response.CANCEL_REQUESTED: Outcome.WANTS_TO_CANCEL,
    Response.OPTED_OUT: Outcome.OPTED_OUT,
}
"""The outcome of a reminder that was heard, by the patient's answer."""
_BY_CODE: Final[Mapping[EndCode | None, Outcome]] = {
    EndCode.OPTED_OUT: Outcome.OPTED_OUT,
    EndCode.DONE_BY_STAFF: Outcome.DONE_BY_STAFF,
}
"""The outcome of a cancelled reminder, by its code; `CANCELLED` for all other codes."""


def outcome(
    status: Status,
    response: str | None,
    end_code: EndCode | None,
    hold_code: HoldCode | None = None,
    *,
    is_done: bool = False,
) -> Outcome:
    """Return the outcome of a reminder.

    A response counts only if the reminder is `called`: the person who cancelled it knows more.
    `is_done`: staff have noted that they called the patient manually; this settles what needs a human.
    """
    if status is Status.SCHEDULED and hold_code is HoldCode.NUMBER_CHANGED:
        return Outcome.NUMBER_CHANGED
    found = _BY_STATUS[status]
    if status is Status.CANCELLED:
        found = _BY_CODE.get(end_code, found)
    elif status is Status.CALLED:
        found = BY_RESPONSE.get(response, found)
    return Outcome.DONE_BY_STAFF if is_done and found in NEED_A_HUMAN else found


def end_code_of(status: Status, code: EndCode | None) -> EndCode | None:
    """Return why a final reminder ended. If another program ended it, it has no code, or the code of another status."""
    is_other = status is Status.CANCELLED and code not in CANCELS
    is_elsewhere = is_other or (code is None and status is not Status.CALLED)
    return EndCode.CANCELLED_ELSEWHERE if is_elsewhere else code


class Figure(StrEnum):
    """The outcome of a reminder, as a clinic counts it; what staff have done since changes nothing."""

    definition: Sentence
    """Which reminders are counted."""

    CONFIRMED = "confirmed", Sentence("Somebody has heard the message, and confirmed by key.")
    REACHED = "reached", Sentence("Somebody has heard the message, and has neither confirmed nor asked to cancel.")
    CANCELLED = (
        "asked to cancel",
        Sentence("Somebody has heard the message, and asked by key to cancel the appointment."),
    )
    NOT_REACHED = "not reached", Sentence("No call has reached the patient, and none will be made.")
    NOT_CALLED = "not called", Sentence("It was cancelled before a call had reached the patient.")
    OPEN = "not over yet", Sentence("It waits for its call, or is in one.")

    def __new__(cls, word: str, definition: Sentence) -> Self:
        """Return a figure with its definition."""
        member = str.__new__(cls, word)
        member._value_, member.definition = word, definition
        return member


NEEDS_HUMAN_DEFINITION: Final = Sentence(
    "The patient was not reached or asked to cancel, or a new phone number is to be accepted; "
    "and nobody has noted it as done."
)
SHARE_DEFINITION: Final = Sentence(
    "The share of ended reminders whose message somebody heard; reminders cancelled before that are left out."
)


@frozen
class Figures:
    """How many reminders of a day, or of several, are in each figure."""

    counts: Mapping[Figure, int] = field(factory=dict)
    """A figure that is missing is 0."""
    need_human: int = 0
    """How many reminders somebody must act on; each of them also counts in one of the figures."""

    def __add__(self, other: "Figures") -> "Figures":
        """Return the figures of both."""
        counts = {one: self[one] + other[one] for one in Figure}
        return Figures(counts, self.need_human + other.need_human)

    def __getitem__(self, figure: Figure) -> int:
        return self.counts.get(figure, 0)

    @property
    def total(self) -> int:
        """Return how many reminders there are."""
        return sum(self.counts.values())

    @property
    def share_heard(self) -> float | None:
        """Return the share of ended reminders whose message somebody heard; None if no reminder has ended."""
        heard = self[Figure.CONFIRMED] + self[Figure.REACHED] + self[Figure.CANCELLED]
        ended = heard + self[Figure.NOT_REACHED]
        return heard / ended if ended else None


_FIGURES: Final = {
    Status.SCHEDULED: Figure.OPEN,
    Status.DIALING: Figure.OPEN,
    Status.PROCESSING: Figure.OPEN,
    Status.CALLED: Figure.REACHED,
    Status.FAILED: Figure.NOT_REACHED,
    Status.EXPIRED: Figure.NOT_REACHED,
    Status.CANCELLED: Figure.NOT_CALLED,
}
_FIGURES_BY_RESPONSE: Final[Mapping[str | None, Figure]] = {
    Response.CONFIRMED: Figure.CONFIRMED,
    Response.CANCEL_REQUESTED: Figure.CANCELLED,
}


def figure_of(status: Status, response: str | None) -> Figure:
    """Return in which figure a reminder counts; a response counts only if it is `called`, as in `outcome`."""
    found = _FIGURES[status]
    return _FIGURES_BY_RESPONSE.get(response, found) if status is Status.CALLED else found
