"""Somebody has picked up, or pressed a key: what they are told, and what it changes."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from attrs import evolve, frozen

from reminderd.core.conversation import Part, Question, Reply
from reminderd.core.intake import expiry
from reminderd.core.lifecycle.company import Waiting
from reminderd.core.lifecycle.step import Level, Note, Step, ended
from reminderd.core.reminder import Call, Reminder, Response, Status
from reminderd.core.rules import Rules

MOST_REPEATS: Final = 2
"""How often the message is said again, asked for or not."""

HANG_UP: Final = Reply(parts=())
NOT_NEEDED: Final = Reply(parts=(Part.NOT_NEEDED,))

_ASKING: Final = (Part.GREETING, Part.MESSAGE, Part.MENU)
_OVER: Final = frozenset({Status.CALLED, Status.EXPIRED, Status.CANCELLED})
"""What has `failed` is not over while its phone is in somebody's hand."""


@frozen(kw_only=True)
class Key:
    """A key that was pressed, or none in time, and what it answers."""

    digits: str
    """Empty: none."""
    question: Question
    repeats: int
    """How often the message had been repeated by then."""
    others_only: bool = False
    """The reminder that the call was placed for was not said: the key answers for the others alone."""


@frozen(kw_only=True)
class Turn:
    """What one turn of a conversation changes, and what is said next."""

    step: Step
    reply: Reply
    opts_out: bool = False
    """The number opts out, once more if it has: that must be on record before anything is said."""


def still_said(reminders: Iterable[Reminder], rules: Rules, now: datetime) -> tuple[Reminder, ...]:
    """Of the reminder whose call it is, and those that it says, too: what there is still to say at this moment."""
    return tuple(one for one in reminders if one.status not in _OVER and now < expiry(one, rules))


def picked_up(call: Call, said: tuple[Reminder, ...], *, rules: Rules) -> Reply:
    """What whoever answers the call is told; decided at this moment, as much may have changed since it was placed.

    Args:
        call: the one that was answered.
        said: what is still to be said in it; nothing once its number has opted out.
        rules: the clinic's.
    """
    is_wanted = bool(said)
    if call.by_machine:  # it is owed no apology: of a call that is not needed it records nothing
        leaves_word = is_wanted and rules.leave_voicemail and call.answered_by != "fax"
        return Reply(parts=(Part.VOICEMAIL,)) if leaves_word else HANG_UP
    others_only = all(one.id != call.reminder_id for one in said)
    return Reply(parts=_ASKING, question=Question.MENU, others_only=others_only) if is_wanted else NOT_NEEDED


def pressed(
    reminder: Reminder, calls: tuple[Call, ...], call: Call, key: Key, riders: tuple[Waiting, ...] = ()
) -> Turn:
    """What a key changes. The same key for the same question changes nothing a second time.

    Args:
        reminder: the one that the call was placed for.
        calls: all its calls.
        call: the one in which the key was pressed.
        key: which, and what it answers.
        riders: other reminders that were said in the call; those that staff have cancelled since are left as they are.
    """
    same = Step(
        reminder=reminder,
        calls=calls,
        call=call,
        others=tuple(
            Step(reminder=rider.reminder, calls=rider.calls)
            for rider in riders
            if rider.reminder.status is not Status.CANCELLED
        ),
    )
    match key.question, key.digits:
        case _, "9":
            return _responds(same, key, Response.OPTED_OUT, Part.OPTED_OUT, opts_out=True)
        case _, "1":
            return _responds(same, key, Response.CONFIRMED, Part.CONFIRMED)
        case Question.CANCEL, "2":
            return _responds(same, key, Response.CANCEL_REQUESTED, Part.CANCEL_REQUESTED)
        case Question.MENU, "2":
            question = evolve(_again(key), parts=(Part.CANCEL_QUESTION,), question=Question.CANCEL)
            return Turn(step=evolve(same, others=()), reply=question)
        case _:
            return Turn(step=evolve(same, others=()), reply=_repeated(key))


def _again(key: Key) -> Reply:
    """Nothing yet, with all that travels along with a question."""
    return Reply(parts=(), question=key.question, repeats=key.repeats, others_only=key.others_only)


def _repeated(key: Key) -> Reply:
    """The message again, or the question whether to cancel; goodbye once that was often enough."""
    if key.repeats >= MOST_REPEATS:
        return Reply(parts=(Part.GOODBYE,))
    is_no_mistake = not key.digits or (key.question is Question.MENU and key.digits == "3")
    first = () if is_no_mistake else (Part.UNKNOWN_KEY,)
    asked = _ASKING if key.question is Question.MENU else (Part.CANCEL_QUESTION,)
    return evolve(_again(key), parts=(*first, *asked), repeats=key.repeats + 1)


def _responds(same: Step, key: Key, response: Response, said: Part, *, opts_out: bool = False) -> Turn:
    """The patient was reached, and says so: nothing more is rung for what was said, whatever its call still reports."""
    own = evolve(same, reminder=evolve(same.reminder, said_with=None))  # its own call outdoes any in which it rode
    step = same if key.others_only else _answered(own, response)
    others = tuple(_answered(other, response) for other in same.others)
    return Turn(step=evolve(step, others=others), reply=Reply(parts=(said,)), opts_out=opts_out)


def _answered(same: Step, response: Response) -> Step:
    before = same.reminder
    if before.response == Response.OPTED_OUT:  # whoever wants no calls has said the last word
        response = Response.OPTED_OUT
    after = evolve(before, response=response)
    if after.status not in {Status.CALLED, Status.CANCELLED}:
        after = ended(after, same.calls, Status.CALLED, None)
    level = Level.ERROR if response is Response.CANCEL_REQUESTED else Level.INFO
    notes = () if after == before else (Note(f"{after.status}: {response.replace('_', ' ')} by key", level),)
    return evolve(same, reminder=after, notes=notes)
