"""Somebody has answered a call or pressed a key: what is spoken next, and what changes."""

from datetime import datetime
from typing import Final

from attrs import evolve, frozen

from reminderd.core.conversation import Part, Question, Reply
from reminderd.core.lifecycle.bundle import spoken_together
from reminderd.core.lifecycle.transition import Ledger, Level, LogLine, Transition, ended, limit_of, wake_unwanted
from reminderd.core.model import Call, CallOutcome, Member, Reminder, Response, Status, digest
from reminderd.core.rules import Rules

MOST_REPEATS: Final = 2
"""How often the message is spoken again, whether the patient asked for it or not."""

HANG_UP: Final = Reply(parts=())
NOT_NEEDED: Final = Reply(parts=(Part.NOT_NEEDED,))

_ASKING: Final = (Part.GREETING, Part.MESSAGE, Part.MENU)
_OVER: Final = frozenset({Status.CALLED, Status.EXPIRED, Status.CANCELLED})
"""A reminder that has `failed` is not over while somebody is on the phone."""


@frozen(kw_only=True)
class Key:
    """A key that was pressed, or no key in time, and the question that it answers."""

    digits: str
    """Empty: none."""
    question: Question
    repeats: int
    """How often the message had been repeated by then."""


@frozen(kw_only=True)
class Turn:
    """What one turn of a conversation changes, and what is spoken next."""

    transition: Transition
    reply: Reply
    message: str
    """The message of the call's reminders."""
    opts_out: bool = False
    """The number opts out; this must be recorded before anything is spoken."""
    answers: tuple[tuple[str, Response], ...] = ()
    """The ids of the reminders for which this key is the first answer, each with its response."""


def answered_by_patient(ledger: Ledger, call: Call, *, rules: Rules, now: datetime) -> Turn:
    """Decide what the person who answers a call hears: much may have changed since it was placed.

    What is handed out to be spoken counts as said: it is marked on the memberships. That it was asked for at all shows
    that the provider reaches us, whatever is spoken.
    """
    call = evolve(call, fetched_at=call.fetched_at or now)
    ledger = ledger.put(call)
    wanted = [] if call.phone_number in ledger.opted_out else _still_wanted(ledger, call, rules, now)
    leaves_word = rules.leave_voicemail and call.answered_by != "fax"
    if call.by_machine:  # a machine needs no apology
        reply = Reply(parts=(Part.VOICEMAIL,)) if wanted and leaves_word else HANG_UP
    else:
        reply = Reply(parts=_ASKING, question=Question.MENU) if wanted else NOT_NEEDED
    if reply in {HANG_UP, NOT_NEEDED}:
        return Turn(transition=Transition(ledger=ledger, call=call), reply=reply, message="")
    said = [evolve(member, said=True, message_digest=digest(one.message)) for member, one in wanted]
    message = spoken_together(one.message for _, one in wanted)
    return Turn(transition=Transition(ledger=ledger.put(*said), call=call), reply=reply, message=message)


def key_pressed(ledger: Ledger, call: Call, key: Key, *, now: datetime) -> Turn:
    """Decide what a key changes. The same key for the same question changes nothing a second time."""
    match key.question, key.digits:
        case _, "9":
            return _responds(ledger, call, Response.OPTED_OUT, Part.OPTED_OUT, now)
        case _, "1":
            return _responds(ledger, call, Response.CONFIRMED, Part.CONFIRMED, now)
        case Question.CANCEL, "2":
            return _responds(ledger, call, Response.CANCEL_REQUESTED, Part.CANCEL_REQUESTED, now)
        case Question.MENU, "2":
            reply = Reply(parts=(Part.CANCEL_QUESTION,), question=Question.CANCEL, repeats=key.repeats)
        case _:
            reply = _repeated(key)
    message = spoken_together(one.message for _, one in _said(ledger, call)) if reply.question is not None else ""
    return Turn(transition=Transition(ledger=ledger, call=call), reply=reply, message=message)


def _still_wanted(ledger: Ledger, call: Call, rules: Rules, now: datetime) -> list[tuple[Member, Reminder]]:
    return [
        (member, one) for member, one in ledger.current(call) if one.status not in _OVER and now < limit_of(one, rules)
    ]


def _said(ledger: Ledger, call: Call) -> list[tuple[Member, Reminder]]:
    """Return the reminders that the key answers: a key proves that something was spoken, even after a restore."""
    current = ledger.current(call)
    return [(member, one) for member, one in current if member.said] or current


def _repeated(key: Key) -> Reply:
    """Return the message again, or the question whether to cancel; after enough repeats, return the goodbye."""
    if key.repeats >= MOST_REPEATS:
        return Reply(parts=(Part.GOODBYE,))
    is_no_mistake = not key.digits or (key.question is Question.MENU and key.digits == "3")
    first = () if is_no_mistake else (Part.UNKNOWN_KEY,)
    asked = _ASKING if key.question is Question.MENU else (Part.CANCEL_QUESTION,)
    return Reply(parts=(*first, *asked), question=key.question, repeats=key.repeats + 1)


def _responds(ledger: Ledger, call: Call, response: Response, part: Part, now: datetime) -> Turn:
    """Settle every reminder that was said in the call: the patient heard it, whatever is reported later."""
    after = ledger.put(evolve(call, outcome=CallOutcome.HEARD))
    lines: list[LogLine] = []
    answers: list[tuple[str, Response]] = []
    for member, reminder in _said(ledger, call):
        after = after.put(evolve(member, said=True))
        answered = _answered(after, reminder, response, now)
        if answered == reminder:
            continue
        after = after.put(answered)
        given = Response(answered.response or response)
        level = Level.ERROR if given is Response.CANCEL_REQUESTED else Level.INFO
        lines.append(LogLine(f"{answered.status}: {given.replace('_', ' ')} by key", level, reminder.id, call.id))
        if answered.response != reminder.response:
            answers.append((reminder.id, given))
    after = wake_unwanted(ledger, after, call, now)
    return Turn(
        transition=Transition(ledger=after, call=after.calls[call.id], lines=tuple(lines)),
        reply=Reply(parts=(part,)),
        message="",
        opts_out=response is Response.OPTED_OUT,
        answers=tuple(answers),
    )


def _answered(ledger: Ledger, reminder: Reminder, response: Response, now: datetime) -> Reminder:
    if reminder.response == Response.OPTED_OUT:  # an opt-out is never replaced by another answer
        response = Response.OPTED_OUT
    answered = evolve(reminder, response=response)
    if answered.status in {Status.CALLED, Status.CANCELLED}:
        return answered
    return ended(evolve(answered, attempts=ledger.attempts(answered)), Status.CALLED, None, now)
