"""The rules hold in every history, and each of them is needed."""

import os
from typing import Any

import pytest
from attrs import field, frozen

from tests.model.histories import STAFF, as_text, played, replayed, shortest, written
from tests.model.rows import Setting
from tests.model.rules import RULES, Rule

HISTORIES = int(os.environ.get("REMINDERD_MODEL_HISTORIES", "2500"))
A_GROUP = 1_000_000
"""Seeds of one group; no two groups share one."""


@pytest.mark.parametrize("always", STAFF)
def test_no_history_breaks_a_promise(always: str) -> None:
    first = STAFF.index(always) * A_GROUP
    for seed in range(first, first + HISTORIES // len(STAFF)):
        history, broken = played(seed, always=(always,))
        if broken is not None:
            story = as_text(shortest(history, broken))
            pytest.fail(f"seed {seed}: {broken}\n{history.model.setting}\n{story}")


def test_the_histories_reach_every_case_they_are_about() -> None:
    models = [played(seed)[0].model for seed in range(100)]
    calls = [call for model in models for call in model.db.calls.values()]
    placed = [call for model in models for call in model.provider_calls]
    assert {call.state for call in calls} >= {"ended", "refused", "not_placed", "unreported"}
    assert {call.outcome for call in calls} >= {
        *("heard", "hung_up", "voicemail", "not_heard", "not_answered", "declined", "failed")
    }
    assert any(call.adopted for call in calls)
    assert any(call.heard for call in placed)
    assert any(len(call.asked) > 1 for call in placed)
    statuses = {reminder.status for model in models for reminder in model.db.reminders.values()}
    assert statuses == {"called", "failed", "expired", "cancelled"}


def test_a_history_can_be_replayed() -> None:
    one, other = played(7)[0], played(7)[0]
    assert one.done == other.done
    assert one.model.db == other.model.db


@frozen
class Needed:
    """A short history that breaks a promise without a rule."""

    rule: Rule
    promise: str
    """How the broken promise begins."""
    story: str
    setting: dict[str, Any] = field(factory=dict)


TWO = (("p", 3, None), ("p", 3, None))
ASKS = {"asks_what_to_say": True}
ANSWERED = "claim A r0 ; send 0 accepted ; settle 0 ; answer 0 asks"
SOON = (("p", 3, None), ("p", 5, None))
HEARD = "claim A r0 ; send 0 accepted ; settle 0 ; end 0 heard ; deliver 0"
BUSY = "claim A r0 ; send 0 accepted ; settle 0 ; end 0 busy ; deliver 0"
GIVEN_UP = "claim A r0 ; send 0 lost ; settle 0 ; tick 6 ; look A c1"

NEEDED = [
    Needed(Rule.NEVER_EARLY, "a reminder was spoken before its time", "claim A r0 ; send 0 accepted",
           {"bundles": True, "rows": SOON}),
    Needed(Rule.DELAYS_OUTLIVE_WAKE_AT, "redialed before the delay was over",
           f"{BUSY} ; look_at_all ; claim A r0 ; send 0 accepted"),
    Needed(Rule.NUMBER_IS_LOOKED_AT_AGAIN, "not at rest", "claim A r0 ; send 0 accepted ; tick 6 ; claim A r1",
           {"rows": TWO}),
    Needed(Rule.LIMITS_HOLD, "a number was called though it was reached as often as the limits allow",
           f"{HEARD} ; tick ; claim A r1 ; send 0 accepted ; settle 0 ; end 1 heard ; deliver 0 ; tick"
           " ; claim A r2 ; send 0 accepted",
           {"rows": (*TWO, ("p", 3, None))}),
    Needed(Rule.HEARD_IS_REMEMBERED, "called again after it was heard",
           f"{HEARD} ; sql_replace r0 0 ; claim A r0 ; send 0 accepted"),
    Needed(Rule.UNKNOWN_OUTCOME_IS_FOR_STAFF, "not at rest", f"{GIVEN_UP} ; sql_replace r0 0"),
    Needed(Rule.CALLS_ARE_COUNTED, "more calls than max_calls",
           f"{BUSY} ; tick 2 ; claim A r0 ; send 0 accepted ; settle 0 ; end 1 busy ; deliver 0"
           " ; sql_replace r0 0 ; claim A r0 ; send 0 accepted"),
    Needed(Rule.OWN_CALL_COMES_FIRST, "a reminder waits for its own call",
           "claim A r0 ; sql_status r0 scheduled ; claim B r0"),
    Needed(Rule.OWN_CALL_COMES_FIRST, "redialed before the delay was over",
           "claim A r0 ; send 0 accepted ; settle 0 ; end 0 busy ; sql_replace r0 0 ; tick ; deliver 0"
           " ; claim A r0 ; send 0 accepted"),
    Needed(Rule.MOVED_IS_CALLED_AGAIN, "called, but nobody heard it for this time",
           f"{HEARD} ; sql_move r0 40 ; claim A r0"),
    Needed(Rule.CLOCK_AHEAD_IS_UNDONE, "a reminder stays ended by a clock that was ahead",
           "set_clock 120 ; claim A r0 ; set_clock -120"),
    Needed(Rule.CANCELLED_STAYS, "a cancelled reminder is no longer cancelled",
           "set_clock 120 ; claim A r0 ; sql_cancel r0 ; set_clock -120 ; claim A r0"),
    Needed(Rule.MEMBERSHIP_IS_FOR_TIME_AND_NUMBER, "a reminder was spoken to a number that it no longer has",
           "claim A r0 ; sql_number r0 q ; send 0 accepted"),
    Needed(Rule.CALLS_OUTLIVE_REMINDERS, "two calls to one number at once: the other one is forgotten",
           "claim A r0 ; send 0 lost ; sql_replace r0 40 ; claim A r1 ; send 1 accepted", {"rows": TWO}),
    Needed(Rule.ONE_OPEN_CALL_PER_NUMBER, "two open calls of one number",
           f"{GIVEN_UP} ; claim A r1 ; sign 0 ; deliver 0", {"rows": TWO}),
    Needed(Rule.LEASE_IS_CHECKED, "a second call was placed under one key",
           "claim A r0 ; send 0 lost ; settle 0 ; tick 2 ; look A c1 ; tick 23 ; send 0 accepted",
           {"honors_keys": True}),
    Needed(Rule.LAST_LOOK_REPEATS_THE_CLAIM, "a final reminder was spoken",
           "claim A r0 ; cancel r0 ; send 0 accepted"),
    Needed(Rule.LAST_LOOK_AT_THE_NUMBER, "two calls to one number at once: the other one is alive",
           f"{GIVEN_UP} ; claim A r1 ; sign 0 ; deliver 0 ; send 0 accepted", {"rows": TWO}),
    Needed(Rule.LAST_LOOK_AT_OUTCOMES, "called again on a guess: the earlier call is unreported",
           "claim A r0 ; send 0 lost ; settle 0 ; tick 2 ; look A c1 ; send 0 never_arrived ; settle 0 ; tick 2"
           " ; look A c1 ; send 0 never_arrived ; settle 0 ; tick 6 ; look A c1 ; claim A r0 ; send 0 never_arrived"
           " ; settle 0 ; sign 0 ; deliver 0 ; tick 5 ; look A c2 ; tick ; look B c1 ; send 0 accepted",
           {"honors_keys": True, "rings_again": True}),
    Needed(Rule.UNCLEAR_IS_UNCONFIRMED, "called again on a guess: the earlier call is not_placed",
           "claim A r0 ; send 0 lost ; settle 0 ; end 0 busy ; tick ; claim A r0 ; send 0 accepted"),
    Needed(Rule.ONLY_REQUEST_DECIDES, "two calls to one number at once: the other one is not_placed",
           "claim A r0 ; send 0 lost ; settle 0 ; tick 2 ; look A c1 ; send 0 unavailable ; settle 0 ; sql_edit r0"
           " ; tick ; claim A r0 ; send 0 accepted",
           {"honors_keys": True}),
    Needed(Rule.SAME_MESSAGE_IS_REPEATED, "a key was used again for another message",
           "claim A r0 ; send 0 lost ; settle 0 ; sql_edit r0 ; tick 2 ; look A c1 ; send 0 accepted",
           {"honors_keys": True}),
    Needed(Rule.KEY_AGES_BY_BOTH_CLOCKS, "a second call was placed under one key",
           "claim A r0 ; send 0 lost ; settle 0 ; tick 25 ; set_clock -20 ; look A c1 ; send 0 accepted",
           {"honors_keys": True}),
    Needed(Rule.KEY_IS_USED_AGAIN, "a second call after a 503 that had placed the first",
           "claim A r0 ; send 0 unavailable_but_placed ; settle 0 ; tick ; claim A r0 ; send 0 accepted",
           {"honors_keys": True, "places_after_503": True}),
    Needed(Rule.ACCOUNT_IS_KEPT, "a request was repeated with another account",
           "claim A r0 ; send 0 never_arrived ; settle 0 ; account A second ; tick 2 ; look A c1 ; send 0 accepted",
           {"honors_keys": True}),
    Needed(Rule.OWN_WORK_IS_NOT_ABANDONED, "a process took its own work for abandoned",
           "claim A r0 ; set_clock 7 ; look A c1"),
    Needed(Rule.LEASED_CALLS_ARE_LEFT_ALONE, "a call was taken from its process before the lease had run out",
           "claim A r0 ; sql_cancel r0 ; look B c1"),
    Needed(Rule.NOT_FOUND_PROVES_NOTHING, "called again on a guess: the earlier call is not_placed",
           "claim A r0 ; send 0 lost ; settle 0 ; end 0 busy ; tick 2 ; look A c1 ; ask 0 missed ; settle_look_up 0"
           " ; tick ; claim A r0 ; send 0 accepted",
           {"looks_up": True, "look_ups_lag": True}),
    Needed(Rule.SILENCE_BEFORE_GIVING_UP, "two calls to one number at once: the other one is unreported",
           "claim A r0 ; send 0 lost ; settle 0 ; tick 2 ; look A c1 ; claim A r1 ; send 0 accepted",
           {"rows": TWO}),
    Needed(Rule.SILENCE_BY_BOTH_CLOCKS, "two calls to one number at once: the other one is unreported",
           "claim A r0 ; send 0 accepted ; settle 0 ; set_clock 7 ; look A c1 ; claim A r1 ; send 0 accepted",
           {"rows": TWO}),
    Needed(Rule.DROPPED_IF_NOBODY_NEEDS_IT, "a call was dropped that a reminder still needed",
           "claim A r0 ; send 0 accepted ; settle 0 ; cancel r1 ; look A c1 ; ask 0 true",
           {"looks_up": True, "drops": True, "bundles": True, "rows": TWO}),
    Needed(Rule.UNKNOWN_CALLS_ARE_RECORDED, "two calls to one number at once: the other one is forgotten",
           "back_up ; claim A r0 ; send 0 accepted ; tick 3 ; restore ; tick 6 ; sign 0 ; deliver 0"
           " ; sql_insert r7 p 0 ; resume ; claim A r7 ; send 0 accepted"),
    Needed(Rule.ATTEMPT_ID_NEVER_FALLS_THROUGH, "two calls to one number at once: the other one is ended",
           "back_up ; claim A r0 ; send 0 accepted ; end 0 busy ; restore ; tick 6 ; resume ; call_again r0"
           " ; claim A r0 ; send 0 lost ; settle 0 ; deliver 0 ; tick 2 ; claim A r0 ; send 0 accepted"),
    Needed(Rule.ANOTHER_REMINDER_IS_ANOTHER_CALL, "called, but nobody heard it",
           "claim A r0 ; send 0 accepted ; settle 0 ; claim A r1 ; send 0 accepted ; settle 0 ; claim A r2"
           " ; send 0 accepted ; settle 0 ; end 2 heard ; deliver 0",
           {"reuses_ids": True, "repeats_attempt_id": False, "rows": (("p", 3, None), ("q", 3, None), ("s", 3, None))}),
    Needed(Rule.OWN_ID_COMES_FIRST, "heard and reported, and the reminder is failed",
           f"{BUSY} ; claim A r1 ; send 0 accepted ; settle 0 ; end 1 busy ; deliver 0 ; tick 2 ; claim A r0"
           " ; send 0 accepted ; settle 0 ; end 2 heard ; deliver 0 ; tick 6 ; look A c3",
           {"reuses_ids": True, "rows": TWO}),
    Needed(Rule.END_IS_FINAL, "a call is alive whose end was reported",
           "claim A r0 ; send 0 accepted ; end 0 busy ; deliver 0 ; settle 0"),
    Needed(Rule.CLOSED_CALLS_COME_BACK, "two calls to one number at once: the other one is unreported",
           f"{GIVEN_UP} ; sign 0 ; deliver 0 ; claim A r1 ; send 0 accepted", {"rows": TWO}),
    Needed(Rule.PROGRESS_LEAVES_FINAL_ALONE, "a cancelled reminder is no longer cancelled",
           "claim A r0 ; send 0 lost ; settle 0 ; cancel r0 ; sign 0 ; deliver 0"),
    Needed(Rule.HEARD_WINS, "heard and reported, and the reminder is failed", f"{GIVEN_UP} ; end 0 heard ; deliver 0"),
    Needed(Rule.HEARD_BY_ALL_MEMBERS, "called again after it was heard",
           "claim A r0 ; send 0 accepted ; settle 0 ; sql_move r0 3 ; end 0 heard ; deliver 0 ; sql_move r0 -3"
           " ; claim A r0 ; send 0 accepted"),
    Needed(Rule.SPOKEN_AS_HANDED_OUT, "called, but nobody heard it",
           "claim A r0 ; send 0 accepted ; settle 0 ; end 0 heard ; deliver 0", {"asks_what_to_say": True}),
    Needed(Rule.KEY_PRESS_IS_HEARD, "called again after it was heard",
           "claim A r0 ; send 0 accepted ; settle 0 ; answer 0 asks ; key 0 confirm ; end 0 busy ; deliver 0 ; tick 2"
           " ; claim A r0 ; send 0 accepted",
           {"asks_what_to_say": True}),
    Needed(Rule.HUNG_UP_ONCE_SPOKEN_IS_REACHED, "called, but nobody heard it",
           f"{ANSWERED} ; end 0 hung_up ; deliver 0", ASKS),
    Needed(Rule.LATE_REPORTS_MAKE_NO_CALL_LONGER, "called, but nobody heard it",
           f"{ANSWERED} ; end 0 hung_up ; tick ; deliver 0", ASKS),
    Needed(Rule.HUNG_UP_IS_FOR_STAFF, "called again after the patient hung up",
           f"{ANSWERED} ; end 0 hung_up ; deliver 0 ; tick 2 ; claim A r0 ; send 0 accepted", ASKS),
    Needed(Rule.DECLINED_IS_NOT_REDIALED, "called again after the patient declined",
           "claim A r0 ; send 0 accepted ; settle 0 ; end 0 declined ; deliver 0 ; tick 2 ; claim A r0"
           " ; send 0 accepted"),
    Needed(Rule.OTHER_PROGRAMS_WAKE_ROWS, "a reminder is dialing, and nobody looks at it",
           "claim A r0 ; sql_number r0 q"),
    Needed(Rule.CALL_AGAIN_WAITS_FOR_THE_CALL, "called again on a guess: the earlier call is unreported",
           "claim A r0 ; send 0 lost ; settle 0 ; cancel r0 ; call_again r0 ; claim A r0 ; tick 6 ; look A c1"
           " ; claim A r0 ; send 0 accepted"),
    Needed(Rule.STAFF_LIMIT_IS_APART, "the program wrote expires_at", "cancel r0 ; call_again r0"),
    Needed(Rule.QUIET_AFTER_RESTORE, "two calls to one number at once: the other one is forgotten",
           "back_up ; claim A r0 ; send 0 accepted ; restore ; resume ; tick ; sql_insert r7 p 0 ; claim A r7"
           " ; send 0 accepted"),
    Needed(Rule.QUIET_BY_BOTH_CLOCKS, "two calls to one number at once: the other one is forgotten",
           "back_up ; claim A r0 ; send 0 accepted ; restore ; resume ; set_clock 7 ; sql_insert r7 p 0 ; claim A r7"
           " ; send 0 accepted"),
    Needed(Rule.RESTORED_IS_FOR_STAFF, "called again on a guess: the earlier call is forgotten",
           "back_up ; claim A r0 ; send 0 accepted ; restore ; resume ; tick 6 ; claim A r0 ; send 0 accepted"),
    Needed(Rule.RESTORE_COUNTS_FROM_THE_LATER_TIME, "called again on a guess: the earlier call is forgotten",
           "set_clock 7 ; back_up ; claim A r0 ; send 0 accepted ; end 0 busy ; lose 0 ; set_clock -7 ; restore"
           " ; resume ; tick 6 ; claim A r0 ; send 0 accepted",
           {"rows": (("p", 9, None),)}),
]  # fmt: skip
NOT_SHOWN = {
    Rule.ERASE_WAITS_FOR_THE_CALL: "the call stays on record without its number; an opt-out by key would be lost",
    Rule.RECEIPT_COUNTS_ONCE: "received_at of the call says the same as long as the call is on record",
}


@pytest.mark.parametrize("needed", NEEDED, ids=lambda needed: needed.rule.name.lower())
def test_without_each_needed_rule_a_promise_breaks(needed: Needed) -> None:
    setting = Setting(**{"acts": frozenset(STAFF), **needed.setting})
    acts = written(needed.story)
    history, broken = replayed(acts, setting)
    assert broken is None, as_text(history.done[:40])
    history, broken = replayed(acts, setting, RULES - {needed.rule})
    assert (broken or "").startswith(needed.promise), f"{broken}: {as_text(history.done[:40])}"


def test_every_rule_has_a_history_that_needs_it_or_a_reason() -> None:
    assert {needed.rule for needed in NEEDED} | NOT_SHOWN.keys() == RULES


@frozen
class Example:
    """The final state of a history, once nothing goes wrong anymore."""

    name: str
    story: str
    ends: list[str]
    """The status of each reminder, with its end_code."""
    calls: int
    """How many phones rang."""
    setting: dict[str, Any] = field(factory=dict)


EXAMPLES = [
    Example("a call that nobody reports is for staff", f"{GIVEN_UP} ; end 0 busy ; lose 0", ["failed unconfirmed"], 1),
    Example("with ring_again it is called once more", GIVEN_UP, ["called"], 2, {"rings_again": True}),
    Example("a late busy changes nothing", f"{GIVEN_UP} ; end 0 busy ; deliver 0", ["failed unconfirmed"], 1),
    Example("a voicemail is redialed", "claim A r0 ; send 0 accepted ; settle 0 ; end 0 voicemail", ["called"], 2),
    Example("a patient who hangs up during the message is for staff", f"{ANSWERED} ; end 0 hung_up ; deliver 0",
            ["failed hung_up"], 1, ASKS),
    Example("a patient who hangs up after it was reached", f"{ANSWERED} ; tick ; end 0 hung_up ; deliver 0",
            ["called"], 1, ASKS),
    Example("of two messages only the first was heard", f"{ANSWERED} ; tick ; end 0 hung_up ; deliver 0",
            ["called", "failed hung_up"], 1, {**ASKS, "bundles": True, "rows": TWO}),
    Example("a call that was completed although nothing was spoken is redialed",
            "claim A r0 ; send 0 accepted ; settle 0 ; answer 0 hears_nothing ; end 0 heard ; deliver 0",
            ["called"], 2, ASKS),
    Example("a patient who is told that the call is not needed anymore was not reached",
            "claim A r0 ; send 0 accepted ; settle 0 ; opt_out p ; answer 0 asks ; end 0 heard ; deliver 0",
            ["cancelled opted_out"], 1, ASKS),
    Example("a hung-up call of another gateway is for staff",
            "claim A r0 ; send 0 accepted ; settle 0 ; end 0 hung_up ; deliver 0", ["failed hung_up"], 1),
    Example("a 503 that placed the call is answered with that call, where keys are honored",
            "claim A r0 ; send 0 unavailable_but_placed", ["called"], 1,
            {"honors_keys": True, "places_after_503": True}),
    Example("an opt-out before the last look", "claim A r0 ; opt_out p ; send 0 accepted", ["cancelled opted_out"], 0),
    Example("one of two is cancelled during the call",
            "claim A r0 ; send 0 accepted ; settle 0 ; cancel r1", ["called", "cancelled cancelled_by_staff"], 1,
            {"bundles": True, "rows": TWO}),
    Example("one of two is deleted, and the line was busy",
            "claim A r0 ; send 0 accepted ; settle 0 ; sql_delete r0 ; end 0 busy", ["called"], 2,
            {"bundles": True, "rows": TWO}),
    Example("a bundle waits for its latest reminder", "claim A r0", ["called", "called"], 1,
            {"bundles": True, "rows": SOON}),
    Example("a call that nobody needs is dropped",
            "claim A r0 ; send 0 accepted ; settle 0 ; cancel r0 ; look A c1 ; ask 0 true",
            ["cancelled cancelled_by_staff"], 1, {"looks_up": True, "drops": True}),
    Example("a moved reminder is called again", f"{HEARD} ; sql_move r0 40", ["called"], 2),
    Example("a replaced reminder of unknown outcome is not called",
            f"{GIVEN_UP} ; end 0 busy ; lose 0 ; sql_replace r0 0", ["failed unconfirmed"], 1),
    Example("a deleted reminder that is added again is another one", f"{HEARD} ; sql_delete r0 ; sql_insert r0 p 0",
            ["called"], 2),
    Example("what was due by a restore is for staff", "back_up ; claim A r0 ; send 0 accepted ; end 0 busy ; restore",
            ["failed restored"], 1),
    Example("a forgotten call that was heard counts",
            "back_up ; claim A r0 ; send 0 accepted ; restore ; end 0 heard ; deliver 0", ["called"], 1),
]  # fmt: skip


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_each_example_ends_as_the_rules_say(example: Example) -> None:
    setting = Setting(**{"acts": frozenset(STAFF), **example.setting})
    history, broken = replayed(written(example.story), setting)
    assert broken is None
    reminders = history.model.db.reminders.values()
    assert [f"{one.status} {one.end_code or ''}".strip() for one in reminders] == example.ends
    assert len(history.model.provider_calls) == example.calls
