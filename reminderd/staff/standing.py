"""How a reminder stands, in plain words, and what staff can do about it."""

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from reminderd.core.outcomes import Group, Outcome, group_of
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.sentences import Sentence
from reminderd.staff.report import outcome_of
from reminderd.store.queries import Value

Row = Mapping[str, Value]


@frozen(kw_only=True)
class ReminderStanding:
    """How a reminder stands."""

    outcome: Outcome
    what: Sentence
    """What has become of it."""
    why: Sentence | None
    """Why it waits, or has ended like this; None: there is nothing more to say."""
    advice: Sentence
    """What staff can do about it."""

    @property
    def group(self) -> Group:
        """Return whether it needs a human."""
        return group_of(self.outcome)


_WORDS: Final = {
    Outcome.WANTS_TO_CANCEL: (
        Sentence("By pressing a key, the patient has asked to cancel the appointment."),
        Sentence("Cancel it in your calendar, and then note it as done."),
    ),
    Outcome.NOT_REACHED: (
        Sentence("The patient was not reached."),
        Sentence("Call the patient yourself and note it as done, or have the program call again."),
    ),
    Outcome.NUMBER_CHANGED: (
        Sentence("Its phone number was changed, and nobody is called until you accept the new one."),
        Sentence("Compare the number with your own records. Accept it if it is the patient's, or cancel the reminder."),
    ),
    Outcome.EXPIRED: (
        Sentence("Its time was over before the patient could be called."),
        Sentence("Call the patient yourself and note it as done, or have the program call again."),
    ),
    Outcome.UNDER_WAY: (Sentence("A call is under way."), Sentence("Wait for its end: this page shows it.")),
    Outcome.WAITING: (Sentence("The patient will be called."), Sentence("Nothing has to be done.")),
    Outcome.CONFIRMED: (Sentence("The patient was reached, and has confirmed."), Sentence("Nothing has to be done.")),
    Outcome.REACHED: (
        Sentence("The patient was reached, and has pressed no key."),
        Sentence("Nothing has to be done."),
    ),
    Outcome.DONE_BY_STAFF: (Sentence("Staff have called the patient."), Sentence("Nothing has to be done.")),
    Outcome.OPTED_OUT: (
        Sentence("The number has opted out: it is not called."),
        Sentence("Tell the patient in another way what the message says."),
    ),
    Outcome.CANCELLED: (
        Sentence("It was cancelled: nobody is called for it."),
        Sentence("If that was a mistake, have the program call again."),
    ),
}
_CODES: Final = {str(code): code for code in EndCode}
_NAMED_IN_THE_HISTORY: Final = frozenset(
    {EndCode.CANCELLED_BY_STAFF, EndCode.DONE_BY_STAFF, EndCode.WITHDRAWN, EndCode.OPTED_OUT}
)
"""Of these, `last_error` says only by whom."""
_PLAIN: Final = frozenset({Outcome.CONFIRMED, Outcome.REACHED, Outcome.UNDER_WAY})


def standing_of(row: Row) -> ReminderStanding:
    """Return how a reminder stands, from its row."""
    word = outcome_of(row)
    what, advice = _WORDS[word]
    why = None if word in _PLAIN else _reason(row)
    return ReminderStanding(outcome=word, what=what, why=why, advice=advice)


def _reason(row: Row) -> Sentence | None:
    """Return why it waits or has ended: the sentence of its code, and what is known beyond that."""
    code, error = _CODES.get(str(row["end_code"])), row["last_error"]
    if row["hold_code"] == HoldCode.NUMBER_CHANGED:  # what it stands for is said already
        return None if error in {None, HoldCode.NUMBER_CHANGED.sentence} else Sentence(str(error))
    if row["hold_reason"] is not None:
        sentence = str(row["hold_reason"])
    elif code is not None:
        sentence = code.sentence
    else:
        return None if error is None else Sentence(str(error))
    if error is None or error == sentence or code in _NAMED_IN_THE_HISTORY:
        return Sentence(sentence)
    return Sentence("%(reason)s (%(detail)s)", {"reason": Sentence(sentence), "detail": Sentence(str(error))})
