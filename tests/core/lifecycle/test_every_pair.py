"""Every state with every event: what the design's table says comes of it, row by row."""

from itertools import product

import pytest
from attrs import frozen

from reminderd.core.answers import (
    Accepted,
    AccountTrouble,
    Answer,
    Finding,
    Found,
    NoAnswer,
    NotFound,
    NotPlaced,
    Refused,
    Unclear,
)
from reminderd.core.conversation import Question
from reminderd.core.lifecycle import Key, Level, NotAllowedError, Step, called_again, cancelled, pressed
from reminderd.core.outcomes import NEED_A_HUMAN, outcome
from reminderd.core.reminder import PROGRESS, TERMINAL, Call, Reminder, Status, newest_call
from tests.support.nouns import NOW, RULES, TOKEN, a_call, a_reminder, a_report, asked, replied, told, unsent, woken

ANSWERS: dict[str, Answer] = {
    "accepted": Accepted("ext-1"),
    "not placed": NotPlaced("connection refused"),
    "refused": Refused("no such number"),
    "account trouble": AccountTrouble("unauthorised"),
    "unclear": Unclear("timeout"),
}
REPORTS = sorted(PROGRESS | TERMINAL | {"on-hold"})  # the last is a word that nobody knows
FINDINGS: dict[str, Finding] = {
    "found ringing": Found(a_report("ringing")),
    "found completed": Found(a_report("completed")),
    "found busy": Found(a_report("busy")),
    "found none": NotFound(),
    "no finding": NoAnswer("timeout"),
}
KEYS = {
    "confirms": Key(digits="1", question=Question.MENU, repeats=0),
    "asks whether to cancel": Key(digits="2", question=Question.MENU, repeats=0),
    "asks to cancel": Key(digits="2", question=Question.CANCEL, repeats=0),
    "asks to repeat": Key(digits="3", question=Question.MENU, repeats=0),
    "opts out": Key(digits="9", question=Question.MENU, repeats=0),
}
STAFF = ["cancel", "call again"]
OF_A_CALL = [*ANSWERS, "not sent", *FINDINGS, *KEYS]
EVENTS = ["woken", *OF_A_CALL, *REPORTS, *STAFF]

# The columns: the state and its newest call's status before; the events; the same two after. "same" is the row as it
# was, "as told" the word of the report, "-" no call, "not allowed" an act that staff are refused. The default rules:
# three calls, staff are asked when unsure, the provider has neither look-up nor keys. A `dialing` reminder, and a
# `processing` one whose request is being sent again, are still held by the claim that the answer comes for; for all
# others the answer is a late one.
TABLE = """
scheduled  | -           | woken                                              | dialing     | dialing
scheduled  | -           | answered in-progress initiated on-hold queued ringing | same     | same
scheduled  | -           | busy canceled completed failed no-answer           | same        | same
scheduled  | -           | cancel                                             | cancelled   | same
scheduled  | -           | call again                                         | not allowed | -

scheduled  | not-placed  | woken                                              | dialing     | dialing
scheduled  | not-placed  | accepted                                           | processing  | queued
scheduled  | not-placed  | not_placed refused account_trouble unclear not_sent | same       | same
scheduled  | not-placed  | found_none no_finding                              | same        | same
scheduled  | not-placed  | found_ringing                                      | processing  | ringing
scheduled  | not-placed  | found_completed                                    | called      | completed
scheduled  | not-placed  | found_busy                                         | scheduled   | busy
scheduled  | not-placed  | answered in-progress initiated on-hold queued ringing | processing | as told
scheduled  | not-placed  | busy canceled no-answer                            | scheduled   | as told
scheduled  | not-placed  | failed                                             | failed      | failed
scheduled  | not-placed  | completed                                          | called      | completed
scheduled  | not-placed  | confirms asks_to_cancel opts_out                   | called      | same
scheduled  | not-placed  | asks_whether_to_cancel asks_to_repeat              | same        | same
scheduled  | not-placed  | cancel                                             | cancelled   | same
scheduled  | not-placed  | call again                                         | not allowed | -

scheduled  | unreported  | woken                                              | dialing     | dialing
scheduled  | unreported  | accepted                                           | processing  | queued
scheduled  | unreported  | not_placed refused account_trouble unclear not_sent | same       | same
scheduled  | unreported  | found_none no_finding                              | same        | same
scheduled  | unreported  | found_ringing                                      | processing  | ringing
scheduled  | unreported  | found_completed                                    | called      | completed
scheduled  | unreported  | found_busy                                         | scheduled   | busy
scheduled  | unreported  | answered in-progress initiated on-hold queued ringing | processing | as told
scheduled  | unreported  | busy canceled no-answer                            | scheduled   | as told
scheduled  | unreported  | failed                                             | failed      | failed
scheduled  | unreported  | completed                                          | called      | completed
scheduled  | unreported  | confirms asks_to_cancel opts_out                   | called      | same
scheduled  | unreported  | asks_whether_to_cancel asks_to_repeat              | same        | same
scheduled  | unreported  | cancel                                             | cancelled   | same
scheduled  | unreported  | call again                                         | not allowed | -

scheduled  | busy        | woken                                              | dialing     | dialing
scheduled  | busy        | accepted not_placed refused account_trouble unclear not_sent | same | same
scheduled  | busy        | found_ringing found_completed found_busy found_none no_finding | same | same
scheduled  | busy        | answered in-progress initiated on-hold queued ringing | same     | same
scheduled  | busy        | busy canceled completed failed no-answer           | same        | same
scheduled  | busy        | confirms asks_to_cancel opts_out                   | called      | same
scheduled  | busy        | asks_whether_to_cancel asks_to_repeat              | same        | same
scheduled  | busy        | cancel                                             | cancelled   | same
scheduled  | busy        | call again                                         | not allowed | -

dialing    | dialing     | woken                                              | processing  | unconfirmed
dialing    | dialing     | accepted                                           | processing  | queued
dialing    | dialing     | not_placed account_trouble not_sent                | scheduled   | not-placed
dialing    | dialing     | refused                                            | failed      | refused
dialing    | dialing     | unclear                                            | processing  | unconfirmed
dialing    | dialing     | found_ringing                                      | processing  | ringing
dialing    | dialing     | found_completed                                    | called      | completed
dialing    | dialing     | found_busy                                         | scheduled   | busy
dialing    | dialing     | found_none no_finding                              | same        | same
dialing    | dialing     | answered in-progress initiated on-hold queued ringing | processing | as told
dialing    | dialing     | busy canceled no-answer                            | scheduled   | as told
dialing    | dialing     | failed                                             | failed      | failed
dialing    | dialing     | completed                                          | called      | completed
dialing    | dialing     | confirms asks_to_cancel opts_out                   | called      | same
dialing    | dialing     | asks_whether_to_cancel asks_to_repeat              | same        | same
dialing    | dialing     | cancel                                             | cancelled   | same
dialing    | dialing     | call again                                         | not allowed | -

processing | unconfirmed | woken                                              | failed      | unreported
processing | unconfirmed | accepted                                           | processing  | queued
processing | unconfirmed | not_placed refused account_trouble unclear not_sent | same       | same
processing | unconfirmed | found_ringing                                      | processing  | ringing
processing | unconfirmed | found_completed                                    | called      | completed
processing | unconfirmed | found_busy                                         | scheduled   | busy
processing | unconfirmed | found_none no_finding                              | same        | same
processing | unconfirmed | answered in-progress initiated on-hold queued ringing | processing | as told
processing | unconfirmed | busy canceled no-answer                            | scheduled   | as told
processing | unconfirmed | failed                                             | failed      | failed
processing | unconfirmed | completed                                          | called      | completed
processing | unconfirmed | confirms asks_to_cancel opts_out                   | called      | same
processing | unconfirmed | asks_whether_to_cancel asks_to_repeat              | same        | same
processing | unconfirmed | cancel                                             | cancelled   | same
processing | unconfirmed | call again                                         | not allowed | -

processing | queued      | woken                                              | failed      | unreported
processing | queued      | accepted not_placed refused account_trouble unclear not_sent | same | same
processing | queued      | found_ringing                                      | processing  | ringing
processing | queued      | found_completed                                    | called      | completed
processing | queued      | found_busy                                         | scheduled   | busy
processing | queued      | found_none no_finding                              | same        | same
processing | queued      | answered in-progress initiated on-hold queued ringing | processing | as told
processing | queued      | busy canceled no-answer                            | scheduled   | as told
processing | queued      | failed                                             | failed      | failed
processing | queued      | completed                                          | called      | completed
processing | queued      | confirms asks_to_cancel opts_out                   | called      | same
processing | queued      | asks_whether_to_cancel asks_to_repeat              | same        | same
processing | queued      | cancel                                             | cancelled   | same
processing | queued      | call again                                         | not allowed | -

called     | completed   | woken                                              | same        | same
called     | completed   | accepted not_placed refused account_trouble unclear not_sent | same | same
called     | completed   | found_ringing found_completed found_busy found_none no_finding | same | same
called     | completed   | answered in-progress initiated on-hold queued ringing | same     | same
called     | completed   | busy canceled completed failed no-answer           | same        | same
called     | completed   | confirms asks_to_cancel opts_out                   | same        | same
called     | completed   | asks_whether_to_cancel asks_to_repeat              | same        | same
called     | completed   | cancel call_again                                  | not allowed | -

failed     | unreported  | woken                                              | same        | same
failed     | unreported  | accepted not_placed refused account_trouble unclear not_sent | same | same
failed     | unreported  | found_ringing found_none no_finding                | same        | same
failed     | unreported  | found_completed                                    | called      | completed
failed     | unreported  | found_busy                                         | same        | busy
failed     | unreported  | answered in-progress initiated on-hold queued ringing | same     | same
failed     | unreported  | busy canceled failed no-answer                     | same        | as told
failed     | unreported  | completed                                          | called      | completed
failed     | unreported  | confirms asks_to_cancel opts_out                   | called      | same
failed     | unreported  | asks_whether_to_cancel asks_to_repeat              | same        | same
failed     | unreported  | cancel                                             | not allowed | -
failed     | unreported  | call again                                         | scheduled   | same

failed     | refused     | woken                                              | same        | same
failed     | refused     | accepted not_placed refused account_trouble unclear not_sent | same | same
failed     | refused     | found_ringing found_completed found_busy found_none no_finding | same | same
failed     | refused     | answered in-progress initiated on-hold queued ringing | same     | same
failed     | refused     | busy canceled completed failed no-answer           | same        | same
failed     | refused     | confirms asks_to_cancel opts_out                   | called      | same
failed     | refused     | asks_whether_to_cancel asks_to_repeat              | same        | same
failed     | refused     | cancel                                             | not allowed | -
failed     | refused     | call again                                         | scheduled   | same

failed     | busy        | woken                                              | same        | same
failed     | busy        | accepted not_placed refused account_trouble unclear not_sent | same | same
failed     | busy        | found_ringing found_completed found_busy found_none no_finding | same | same
failed     | busy        | answered in-progress initiated on-hold queued ringing | same     | same
failed     | busy        | busy canceled completed failed no-answer           | same        | same
failed     | busy        | confirms asks_to_cancel opts_out                   | called      | same
failed     | busy        | asks_whether_to_cancel asks_to_repeat              | same        | same
failed     | busy        | cancel                                             | not allowed | -
failed     | busy        | call again                                         | scheduled   | same

expired    | not-placed  | woken                                              | same        | same
expired    | not-placed  | accepted not_placed refused account_trouble unclear not_sent | same | same
expired    | not-placed  | found_ringing found_none no_finding                | same        | same
expired    | not-placed  | found_completed                                    | called      | completed
expired    | not-placed  | found_busy                                         | same        | busy
expired    | not-placed  | answered in-progress initiated on-hold queued ringing | same     | same
expired    | not-placed  | busy canceled failed no-answer                     | same        | as told
expired    | not-placed  | completed                                          | called      | completed
expired    | not-placed  | confirms asks_to_cancel opts_out                   | called      | same
expired    | not-placed  | asks_whether_to_cancel asks_to_repeat              | same        | same
expired    | not-placed  | cancel                                             | not allowed | -
expired    | not-placed  | call again                                         | scheduled   | same

cancelled  | dialing     | woken                                              | same        | unconfirmed
cancelled  | dialing     | accepted                                           | same        | queued
cancelled  | dialing     | not_placed account_trouble not_sent                | same        | not-placed
cancelled  | dialing     | refused                                            | same        | refused
cancelled  | dialing     | unclear                                            | same        | unconfirmed
cancelled  | dialing     | found_ringing                                      | same        | ringing
cancelled  | dialing     | found_completed                                    | same        | completed
cancelled  | dialing     | found_busy                                         | same        | busy
cancelled  | dialing     | found_none no_finding                              | same        | same
cancelled  | dialing     | answered in-progress initiated on-hold queued ringing | same     | as told
cancelled  | dialing     | busy canceled completed failed no-answer           | same        | as told
cancelled  | dialing     | confirms asks_to_cancel opts_out                   | same        | same
cancelled  | dialing     | asks_whether_to_cancel asks_to_repeat              | same        | same
cancelled  | dialing     | cancel call_again                                  | not allowed | -

cancelled  | queued      | woken                                              | same        | unreported
cancelled  | queued      | accepted not_placed refused account_trouble unclear not_sent | same | same
cancelled  | queued      | found_ringing                                      | same        | ringing
cancelled  | queued      | found_completed                                    | same        | completed
cancelled  | queued      | found_busy                                         | same        | busy
cancelled  | queued      | found_none no_finding                              | same        | same
cancelled  | queued      | answered in-progress initiated on-hold queued ringing | same     | as told
cancelled  | queued      | busy canceled completed failed no-answer           | same        | as told
cancelled  | queued      | confirms asks_to_cancel opts_out                   | same        | same
cancelled  | queued      | asks_whether_to_cancel asks_to_repeat              | same        | same
cancelled  | queued      | cancel call_again                                  | not allowed | -

cancelled  | not-placed  | woken                                              | same        | same
cancelled  | not-placed  | accepted not_placed refused account_trouble unclear not_sent | same | same
cancelled  | not-placed  | found_ringing found_none no_finding                | same        | same
cancelled  | not-placed  | found_completed                                    | same        | completed
cancelled  | not-placed  | found_busy                                         | same        | busy
cancelled  | not-placed  | answered in-progress initiated on-hold queued ringing | same     | same
cancelled  | not-placed  | busy canceled completed failed no-answer           | same        | as told
cancelled  | not-placed  | confirms asks_to_cancel opts_out                   | same        | same
cancelled  | not-placed  | asks_whether_to_cancel asks_to_repeat              | same        | same
cancelled  | not-placed  | cancel                                             | not allowed | -
cancelled  | not-placed  | call again                                         | scheduled   | same
"""


@frozen
class Row:
    state: Status
    call: str
    event: str
    state_after: str
    call_after: str

    def __str__(self) -> str:
        return f"{self.state}, {self.call}, {self.event}"


def rows_of(table: str) -> list[Row]:
    rows = []
    for line in filter(None, table.splitlines()):
        state, call, events, state_after, call_after = (cell.strip() for cell in line.split("|"))
        names = [events] if events in EVENTS else [name.replace("_", " ") for name in events.split()]
        for event in names:
            told_word = event if call_after == "as told" else call_after
            rows.append(Row(Status(state), call, event, state_after, call if told_word == "same" else told_word))
    return rows


ROWS = rows_of(TABLE)


def before(row: Row) -> tuple[Reminder, Call | None]:
    """A reminder in the row's state with one call of the row's status, held under `TOKEN` where a claim lasts."""
    final = row.state.final
    is_resent = row.call == "unconfirmed"
    held = row.state is Status.DIALING or (is_resent and row.event in {*ANSWERS, "not sent", *FINDINGS})
    call = None if row.call == "-" else a_call(row.call, received_at=NOW if row.call in TERMINAL else None)
    reminder = a_reminder(
        row.state,
        lease_token=TOKEN if held or row.event in FINDINGS else None,
        wake_at=NOW if not final or (call is not None and call.open) else None,
        last_error="a reason" if final and row.state is not Status.CALLED else None,
        attempts=0 if call is None else 1,
    )
    return reminder, call


def after(row: Row) -> Step:
    reminder, call = before(row)
    calls = () if call is None else (call,)
    if row.event == "woken":
        return woken(reminder, *calls)
    if row.event == "cancel":
        return cancelled(reminder, calls, "cancelled by staff", NOW)
    if row.event == "call again":
        return called_again(reminder, calls, opted_out=False, rules=RULES, now=NOW)
    if row.event in REPORTS:
        return told(reminder, *calls, report=a_report(row.event))
    assert call is not None, "this event is about a call"
    if row.event == "not sent":
        return unsent(reminder, call)
    if row.event in KEYS:
        return pressed(reminder, calls, call, KEYS[row.event]).step
    if row.event in ANSWERS:
        return replied(reminder, call, ANSWERS[row.event])
    return asked(reminder, call, FINDINGS[row.event])


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_what_comes_of(row: Row) -> None:
    if row.state_after == "not allowed":
        with pytest.raises(NotAllowedError):
            after(row)
        return
    step = after(row)
    newest = newest_call(step.calls)
    assert step.reminder.status == (row.state if row.state_after == "same" else row.state_after)
    assert ("-" if newest is None else newest.status) == row.call_after
    has_open_call = newest is not None and newest.open
    assert (step.reminder.wake_at is None) == (step.reminder.status.final and not has_open_call)
    is_sad = step.reminder.status in {Status.FAILED, Status.EXPIRED, Status.CANCELLED}
    assert (step.reminder.last_error is not None) == is_sad


@pytest.mark.parametrize("row", [row for row in ROWS if row.state_after != "not allowed"], ids=str)
def test_whoever_reads_the_log_for_errors_alone_hears_of_all_that_needs_a_human(row: Row) -> None:
    step = after(row)
    before = outcome(row.state, None, None)
    came_to = outcome(step.reminder.status, step.reminder.response, step.reminder.last_error)
    if came_to in NEED_A_HUMAN and came_to is not before:
        assert [note.level for note in step.notes].count(Level.ERROR) == 1


def test_every_state_meets_every_event() -> None:
    assert {(row.state, row.event) for row in ROWS} == set(product(Status, EVENTS))


def test_every_call_meets_every_event_once() -> None:
    situations = dict.fromkeys((row.state, row.call) for row in ROWS)
    expected = [
        (state, call, event)
        for (state, call), event in product(situations, EVENTS)
        if call != "-" or event not in OF_A_CALL
    ]
    assert sorted((row.state, row.call, row.event) for row in ROWS) == sorted(expected)
