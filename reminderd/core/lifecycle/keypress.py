"""Decide what is spoken next, and what changes, when somebody answers a call, hears its message or presses a key."""

from datetime import datetime, timedelta
from typing import Final

import attrs
from attrs import frozen

from reminderd.core.answers import Listener, listener_of
from reminderd.core.lifecycle.replan import response_recorded, why_void
from reminderd.core.lifecycle.states import called, ended, limit_of, line_for, wake_unwanted
from reminderd.core.lifecycle.transition import Ledger, Level, LogLine, Transition, line_about, spoken_together
from reminderd.core.model import Call, CallOutcome, Member, Reminder, Response, Status, digest, evolve
from reminderd.core.outcomes import PROVEN
from reminderd.core.reasons import EndCode
from reminderd.core.rules import Rules
from reminderd.core.script.prompts import Prompt, Question, SpokenReply, seconds

MOST_REPEATS: Final = 2
"""How often the message is spoken again, whether the patient asked for it or not."""

HANG_UP: Final = SpokenReply(parts=())
CALL_NOT_NEEDED: Final = SpokenReply(parts=(Prompt.NOT_NEEDED,))

_ASKING: Final = (Prompt.GREETING, Prompt.MESSAGE, Prompt.MENU)
_NOT_SPOKEN: Final = frozenset(one for one in Status if one.final) - {Status.FAILED}
"""A reminder with one of these is not spoken. A `failed` reminder is: somebody is on the phone after all."""


@frozen(kw_only=True)
class Key:
    """A key that was pressed, or that no key was pressed in time, with the question that was asked."""

    digits: str
    """Empty if no key was pressed."""
    question: Question
    repeats: int
    """How often the message had been repeated by then."""
    language: str | None = None
    """The language in which the question was asked, see `SpokenReply`."""
    is_over: bool = False
    """Whether the call had ended by then: in that case a missing key proves nothing."""


@frozen(kw_only=True)
class Turn:
    """What one turn of a conversation changes, and what is spoken next."""

    transition: Transition
    reply: SpokenReply
    message: str = ""
    """The message of the call's reminders; empty if it is not spoken."""
    opts_out: bool = False
    """Whether the number opts out; this must be recorded before anything is spoken."""
    answers: tuple[tuple[str, Response], ...] = ()
    """The ids of the reminders for which this key is the first answer, each with its response."""


def picked_up(ledger: Ledger, call: Call, *, rules: Rules, now: datetime) -> Turn:
    """Decide what the person who answers a call hears: much may have changed since it was placed.

    What the provider is given to speak counts as spoken: it is marked on the memberships. The request shows that the
    provider reaches us, whatever is spoken. A reminder that is not needed anymore ends with the reason.
    """
    language = _language_of(ledger, call)
    return _in_language(_picked_up(ledger, call, language, rules, now), language)


def _language_of(ledger: Ledger, call: Call) -> str | None:
    """Return the language in which a call is spoken: that of the first of its reminders that is known."""
    members = ledger.members_of(call)
    reminders = (ledger.reminders[one.reminder_id] for one in members if one.reminder_id in ledger.reminders)
    return next((one.language for one in reminders if one.phone_number == call.phone_number), None)


def _in_language(turn: Turn, language: str | None) -> Turn:
    return turn if language is None else attrs.evolve(turn, reply=attrs.evolve(turn.reply, language=language))


def _picked_up(ledger: Ledger, call: Call, language: str | None, rules: Rules, now: datetime) -> Turn:
    fetched = evolve(call, fetched_at=call.fetched_at or now)
    ledger = ledger.put(fetched)
    who = listener_of(call.answered_by)
    if who is Listener.PERSON:
        return _to_person(ledger, fetched, language, rules, now)
    wanted = _still_wanted(ledger, fetched, rules, now)
    after, lines = _end_unneeded(ledger, fetched, wanted, rules, now)
    if not wanted or who is Listener.FAX or not rules.leave_voicemail:  # nobody listens to CALL_NOT_NEEDED
        return Turn(transition=Transition(ledger=after, call=fetched, lines=lines), reply=HANG_UP)
    marked = [evolve(member, spoken=True, message_digest=digest(one.message, one.language)) for member, one in wanted]
    return Turn(
        transition=Transition(ledger=after.put(*marked), call=fetched, lines=lines),
        reply=SpokenReply(parts=(Prompt.VOICEMAIL,), question=Question.VOICEMAIL),
        message=spoken_together(one.message for _, one in wanted),
    )


def key_pressed(ledger: Ledger, call: Call, key: Key, *, rules: Rules, now: datetime) -> Turn:
    """Decide what a key changes. The same key for the same question changes nothing a second time.

    A key proves that a person listened. So does the request that follows a message without a key: it comes only if the
    line is still open at the end of the message.
    """
    return _in_language(_pressed(ledger, call, key, rules, now), key.language)


def _pressed(ledger: Ledger, call: Call, key: Key, rules: Rules, now: datetime) -> Turn:
    match key.question, key.digits:
        case Question.VOICEMAIL, "":
            return Turn(transition=Transition(ledger=ledger, call=call), reply=HANG_UP)
        case Question.VOICEMAIL, "9":
            return _opts_out_before_the_message(ledger, call, now)
        case Question.VOICEMAIL, _:
            return _to_person(ledger, call, key.language, rules, now)
        case _, "9":
            return _responds(ledger, call, Response.OPTED_OUT, Prompt.OPTED_OUT, now)
        case _, "1":
            return _responds(ledger, call, Response.CONFIRMED, Prompt.CONFIRMED, now)
        case Question.CANCEL, "2":
            return _responds(ledger, call, Response.CANCEL_REQUESTED, Prompt.CANCEL_REQUESTED, now)
        case Question.MENU, "2":
            reply = SpokenReply(parts=(Prompt.CANCEL_QUESTION,), question=Question.CANCEL, repeats=key.repeats)
        case _, "" if key.is_over:
            return Turn(transition=Transition(ledger=ledger, call=call), reply=HANG_UP)
        case _:
            reply = _repeated(key)
    after, lines = _settle_as_heard(ledger, call, now)
    message = spoken_together(one.message for _, one in _heard_in(after, call)) if reply.question is not None else ""
    return Turn(
        transition=Transition(ledger=after, call=after.calls[call.id], lines=lines), reply=reply, message=message
    )


def unspoken(ledger: Ledger, call: Call) -> Transition:
    """Unmark the messages that were to be spoken when the call was answered: the provider could not use our answer.

    Change nothing once a key or the end of the message was reported, which proves that the message was spoken.
    """
    if call.outcome is not None:
        return Transition(ledger=ledger, call=call)
    unmarked = [evolve(member, spoken=False, spoken_by=None) for member in ledger.members_of(call) if member.spoken]
    line = line_about(call, "the provider could not use our answer: nothing was spoken", Level.WARNING)
    return Transition(ledger=ledger.put(*unmarked), call=call, lines=(line,) if unmarked else ())


def _to_person(ledger: Ledger, call: Call, language: str | None, rules: Rules, now: datetime) -> Turn:
    """Return the messages that are still needed, for a person to hear, or the reply that the call is not needed."""
    wanted = _still_wanted(ledger, call, rules, now)
    after, lines = _end_unneeded(ledger, call, wanted, rules, now)
    spoken: list[str] = []
    for member, one in wanted:
        spoken.append(one.message)
        takes = rules.greeting_takes(language) + timedelta(seconds=seconds(spoken_together(spoken)))
        spoken_digest = digest(one.message, one.language)
        after = after.put(evolve(member, spoken=True, spoken_by=now + takes, message_digest=spoken_digest))
    return Turn(
        transition=Transition(ledger=after, call=call, lines=lines),
        reply=SpokenReply(parts=_ASKING, question=Question.MENU) if wanted else CALL_NOT_NEEDED,
        message=spoken_together(spoken),
    )


def _still_wanted(ledger: Ledger, call: Call, rules: Rules, now: datetime) -> list[tuple[Member, Reminder]]:
    if call.phone_number in ledger.opted_out:
        return []
    return [
        (member, one)
        for member, one in ledger.current_members(call)
        if one.status not in _NOT_SPOKEN and now < limit_of(one, rules) and why_void(ledger, one) is None
    ]


def _end_unneeded(
    ledger: Ledger, call: Call, wanted: list[tuple[Member, Reminder]], rules: Rules, now: datetime
) -> tuple[Ledger, tuple[LogLine, ...]]:
    """End the reminders that an answered call does not speak: they are not needed, have opted out, or are too late."""
    kept = {reminder.id for _, reminder in wanted}
    not_heard = ledger.put(evolve(call, outcome=CallOutcome.NOT_HEARD))
    after, lines = ledger, []
    for member, reminder in ledger.current_members(call):
        if reminder.id in kept:
            continue
        if call.outcome is None:
            after = after.put(evolve(member, spoken=False, spoken_by=None))
        if reminder.status.final:
            continue
        counted = evolve(reminder, attempts=not_heard.attempts(reminder))
        void = why_void(ledger, reminder)
        if void is not None:
            changed = ended(counted, Status.CANCELLED, void, now)
        elif call.phone_number in ledger.opted_out:
            changed = ended(counted, Status.CANCELLED, EndCode.OPTED_OUT, now)
        else:
            changed = ended(counted, Status.EXPIRED, EndCode.TOO_LATE, now, "too late: answered after its limit")
        after = after.put(changed)
        lines.append(line_for(changed, call, rules))
    return after, tuple(lines)


def _heard_in(ledger: Ledger, call: Call) -> list[tuple[Member, Reminder]]:
    """Return the reminders that were heard; if none is marked as spoken, as after a restore, a key proves it for all.

    The mark of a reminder that has left the call since counts, too: it shows that those without one were not spoken.
    """
    is_marked = any(member.spoken for member in ledger.members_of(call))
    return [(member, one) for member, one in ledger.current_members(call) if member.spoken or not is_marked]


def _repeated(key: Key) -> SpokenReply:
    """Return the message again, or the question whether to cancel; after the last repeat, return the goodbye."""
    if key.repeats >= MOST_REPEATS:
        return SpokenReply(parts=(Prompt.GOODBYE,))
    is_no_mistake = not key.digits or (key.question is Question.MENU and key.digits == "3")
    first = () if is_no_mistake else (Prompt.UNKNOWN_KEY,)
    asked = _ASKING if key.question is Question.MENU else (Prompt.CANCEL_QUESTION,)
    return SpokenReply(parts=(*first, *asked), question=key.question, repeats=key.repeats + 1)


def _settle_as_heard(ledger: Ledger, call: Call, now: datetime) -> tuple[Ledger, tuple[LogLine, ...]]:
    """Settle every reminder that was spoken in the call: the patient heard it, whatever is reported later."""
    after = ledger.put(evolve(call, outcome=call.outcome if call.outcome in PROVEN else CallOutcome.HEARD))
    lines: list[LogLine] = []
    for member, reminder in _heard_in(ledger, call):
        after = after.put(evolve(member, spoken=True))
        settled = called(after, reminder, now)
        if settled != reminder:
            after = after.put(settled)
            lines.append(LogLine(f"{settled.status}: somebody heard the message", Level.INFO, reminder.id, call.id))
    return wake_unwanted(ledger, after, now, except_for=call), tuple(lines)


def _responds(ledger: Ledger, call: Call, response: Response, part: Prompt, now: datetime) -> Turn:
    """Record the patient's answer for every reminder that was spoken in the call; it proves that they were heard."""
    after, _ = _settle_as_heard(ledger, call, now)
    outcome = CallOutcome.CONFIRMED if response is Response.CONFIRMED else CallOutcome.HEARD
    lines: list[LogLine] = []
    answers: list[tuple[str, Response]] = []
    for _, reminder in _heard_in(ledger, call):
        # An opt-out is never replaced by another answer.
        kept = Response.OPTED_OUT if reminder.response == Response.OPTED_OUT else response
        outcome = CallOutcome.HEARD if kept is Response.OPTED_OUT else outcome
        heard = after.reminders[reminder.id]
        # Staff did not know of this answer when they noted that nothing is left to do.
        answered = evolve(heard, response=kept, done_at=heard.done_at if heard.status is Status.CANCELLED else None)
        if answered == reminder:
            continue
        after = after.put(answered)
        level = Level.ERROR if kept is Response.CANCEL_REQUESTED else Level.INFO
        lines.append(LogLine(f"{answered.status}: {kept.replace('_', ' ')} by key", level, reminder.id, call.id))
        if answered.response != reminder.response:
            answers.append((reminder.id, kept))
    after, settled = response_recorded(after, (one for _, one in _heard_in(after, call)), response, now)
    lines += settled
    answered_call = evolve(after.calls[call.id], outcome=outcome)
    return Turn(
        transition=Transition(ledger=after.put(answered_call), call=answered_call, lines=tuple(lines)),
        reply=SpokenReply(parts=(part,)),
        opts_out=response is Response.OPTED_OUT,
        answers=tuple(answers),
    )


def _opts_out_before_the_message(ledger: Ledger, call: Call, now: datetime) -> Turn:
    """Record an opt-out by a person who was mistaken for a machine: the message was not spoken to them.

    No voicemail was left either, as no machine had answered.
    """
    not_heard = ledger.put(evolve(call, outcome=CallOutcome.NOT_HEARD))
    unmarked = [
        evolve(member, spoken=False) for member in ledger.members_of(call) if member.spoken and not member.spoken_by
    ]
    after, lines, answers = ledger.put(*unmarked), [], []
    for _, reminder in ledger.current_members(call):
        answered = evolve(reminder, response=Response.OPTED_OUT)
        if not answered.status.final:
            counted = evolve(answered, attempts=not_heard.attempts(answered))
            answered = ended(counted, Status.CANCELLED, EndCode.OPTED_OUT, now)
        if answered != reminder:
            after = after.put(answered)
            lines.append(LogLine(f"{answered.status}: opted out by key", Level.INFO, reminder.id, call.id))
            answers.append((reminder.id, Response.OPTED_OUT))
    after, _ = response_recorded(after, (one for _, one in after.current_members(call)), Response.OPTED_OUT, now)
    return Turn(
        transition=Transition(ledger=after, call=call, lines=tuple(lines)),
        reply=SpokenReply(parts=(Prompt.OPTED_OUT,)),
        opts_out=True,
        answers=tuple(answers),
    )
