"""Break each promise of `promises.py` once, and test that no exception is wider than documented."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from attrs import define, evolve, field

from reminderd.core.model import CallOutcome, CallState, Status
from reminderd.core.reasons import EndCode
from reminderd.core.rules import Rules
from tests.chaos.carrier import Carrier, CarrierCall
from tests.chaos.configurations import Account, Configuration
from tests.chaos.endings import ENDINGS, HEARD, Ending
from tests.chaos.front_desk import PHONES
from tests.chaos.other_programs import Book
from tests.chaos.promises import Circumstances, broken_by_a_new_call, broken_in_the_database, broken_in_the_outcomes
from tests.chaos.snapshot import Snapshot
from tests.support.builders import ACCOUNT, BOTH, HOUR, MINUTE, NO_HOURS, NOW, a_call, a_reminder

PHONE, OTHER, _ = PHONES
GENERIC = Account(provider="generic", account=ACCOUNT, capabilities=BOTH)
LATER = 600.0


@define
class Scene:
    """A reminder, a call for it, and earlier calls."""

    book: Book = field(factory=Book)
    circumstances: Circumstances = field(init=False)
    rules: Rules = field(factory=lambda: Configuration(account=GENERIC).rules)
    earlier: list[CarrierCall] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.circumstances = Circumstances(book=self.book, outcome_timeout=15 * MINUTE, ring_again=False)
        self.book.new("r-1", PHONE, NOW)

    def call(self, **changes: Any) -> CarrierCall:
        subjects = (self.book.reminders["r-1"].subject,)
        values: dict[str, Any] = {
            "key": f"key-{len(self.earlier)}",
            "reminder_id": "r-1",
            "call_id": f"ext-{len(self.earlier)}",
            "at": 0,
            "phone_number": PHONE,
            "account": GENERIC,
            "subjects": subjects,
            "spoken": subjects,
            "began": 0.0,
            "sign_at": 0.0,
        }
        return CarrierCall(**(values | changes))

    def had(self, **changes: Any) -> CarrierCall:
        """Add an earlier call."""
        self.earlier.append(self.call(**changes))
        return self.earlier[-1]

    def broken(self, *, now: timedelta = 0 * MINUTE, message: str | None = None, **changes: Any) -> str:
        """Return the promises that are broken when the call begins now."""
        sentences = broken_by_a_new_call(
            self.call(began=LATER, **changes),
            message=message or self.book.reminders["r-1"].message,
            earlier=self.earlier,
            belongs_to=("generic", ACCOUNT),
            rules=self.rules,
            now=NOW + now,
            circumstances=self.circumstances,
        )
        return "; ".join(sentences)


def test_a_call_at_its_time_breaks_no_promise() -> None:
    assert Scene().broken() == ""


def _cancels(scene: Scene) -> None:
    scene.book.reminders["r-1"].is_cancelled = True


def _moves(scene: Scene) -> None:
    scene.book.reminders["r-1"].scheduled_at = NOW + MINUTE


def _edits(scene: Scene) -> None:
    scene.book.reminders["r-1"].version = 1


def _expires(scene: Scene) -> None:
    scene.book.reminders["r-1"].expires_at = NOW


def _changes_the_number(scene: Scene) -> None:
    scene.book.reminders["r-1"].phone_number = OTHER


def _opts_out(scene: Scene) -> None:
    scene.book.opted_out.add(PHONE)


def _pauses(scene: Scene) -> None:
    scene.circumstances.is_paused = True


def _restores(scene: Scene) -> None:
    scene.circumstances.quiet_until = NOW + MINUTE


def _closes(scene: Scene) -> None:
    scene.rules = evolve(scene.rules, calling_hours=NO_HOURS)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (_cancels, "which is cancelled"),
        (_moves, "before its time"),
        (_edits, "an old message"),
        (_expires, "after its limit"),
        (_changes_the_number, "another number now"),
        (_opts_out, "opted out"),
        (_pauses, "while dialing is paused"),
        (_restores, "in the quiet time"),
        (_closes, "outside the calling hours"),
    ],
)
def test_a_call_that_contradicts_the_clinics_rows_is_reported(changes: Callable[[Scene], None], sentence: str) -> None:
    scene = Scene()
    message = scene.book.reminders["r-1"].message
    changes(scene)
    assert sentence in scene.broken(message=message)


def test_a_call_for_a_deleted_reminder_is_reported() -> None:
    assert "which was deleted" in Scene().broken(message="This is r-9. Version 0.")


def test_a_request_to_another_account_is_reported() -> None:
    assert "does not belong to" in Scene().broken(account=evolve(GENERIC, account="https://other.example"))


def test_two_alive_calls_are_reported_until_one_was_silent_for_the_outcome_timeout() -> None:
    scene = Scene()
    former = scene.had(subjects=(), sign_at=LATER - 899)
    assert "two live calls" in scene.broken()
    former.sign_at = LATER - 900
    assert scene.broken() == ""


def test_a_call_missing_from_the_backup_is_excused_after_a_clock_change_and_a_restart() -> None:
    scene = Scene()
    scene.had(subjects=(), sign_at=LATER - 60)
    scene.circumstances.restored_at = 1.0
    assert "two live calls" in scene.broken()
    scene.circumstances.set_forward_at = 2.0
    assert "two live calls" in scene.broken()
    scene.circumstances.restarted_at = 3.0
    assert scene.broken() == ""


def test_a_call_placed_despite_a_503_is_excused_until_a_sign_of_life() -> None:
    scene = Scene()
    former = scene.had(is_misreported=True)
    assert scene.broken() == ""
    former.has_shown_life = True
    assert "two live calls" in scene.broken()


def test_two_calls_with_one_key_are_reported_unless_clock_and_process_explain_them() -> None:
    scene = Scene()
    scene.had(key="key-1", end="busy", is_reported=True, subjects=())
    assert "two calls under one key" in scene.broken(key="key-1")
    scene.circumstances.set_back_at = scene.circumstances.restarted_at = 1.0
    assert scene.broken(key="key-1") == ""


def test_a_call_after_a_heard_one_is_reported_unless_staff_asked() -> None:
    scene = Scene()
    former = scene.had(end="completed", is_reported=True)
    former.known_heard.update(former.subjects)
    assert "was heard in ext-0, and is called again" in scene.broken()
    scene.circumstances.asked_again_at["r-1"] = 1.0
    assert scene.broken() == ""


def test_a_call_on_a_guess_is_reported_unless_configured() -> None:
    scene = Scene()
    scene.had(end="busy")
    assert "on a guess" in scene.broken()
    scene.circumstances.ring_again = True
    assert scene.broken() == ""
    scene.had(end="busy")
    assert "on a guess" in scene.broken()


def test_more_calls_than_the_limits_allow_are_reported() -> None:
    scene = Scene(rules=Configuration(account=GENERIC, per_day=1, max_calls=1).rules)
    scene.had(end="busy", is_reported=True, reached_at=NOW - HOUR)
    assert "as often today as the limits allow" in scene.broken()
    assert "was called 1 times already" in scene.broken()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"scheduled_at": NOW + HOUR}, "than the clinic has written"),
        ({"wake_at": None}, "nobody looks at it"),
        ({"status": Status.FAILED, "wake_at": None}, "with the end code None"),
        ({"status": Status.FAILED, "wake_at": None, "end_code": EndCode.PROGRAM_ERROR}, "the program has failed on it"),
        ({"status": Status.CALLED, "wake_at": None}, "nobody has heard it"),
    ],
)
def test_a_reminder_in_an_unexplained_state_is_reported(changes: dict[str, Any], sentence: str) -> None:
    scene = Scene()
    values = {"id": "r-1", "message": scene.book.reminders["r-1"].message} | changes
    found = Snapshot({"r-1": a_reminder(**values)}, {}, (), {})
    assert sentence in "; ".join(broken_in_the_database(found, [], scene.circumstances))


def test_a_lost_reminder_is_reported() -> None:
    scene = Scene()
    found = Snapshot({}, {}, (), {})
    assert list(broken_in_the_database(found, [], scene.circumstances)) == ["r-1: in the book or in the database only"]


def test_a_reminder_whose_name_was_reused_is_still_accounted_for() -> None:
    scene = Scene()
    former = scene.book.reminders["r-1"]
    scene.book.retires(former)
    scene.book.new("r-1", PHONE, NOW, id="another")
    rows = {one: a_reminder(id=one, message=former.message) for one in ("r-1", "another")}
    assert list(broken_in_the_database(Snapshot(rows, {}, (), {}), [], scene.circumstances)) == []
    del rows["r-1"]
    assert "r-1: in the book" in "; ".join(broken_in_the_database(Snapshot(rows, {}, (), {}), [], scene.circumstances))


NOT_TOLD = [one for one in ENDINGS if one.means != "completed" or one.is_empty or one.answered_by == "FAX"]


def after(scene: Scene, ending: Ending) -> CarrierCall:
    """Return the scene's call after the provider has ended it in this way."""
    call = scene.call(picked_up=True, answered_at=0.0)
    carrier = Carrier(
        capabilities=BOTH, account=GENERIC, calls=[call], subjects_of=scene.book.subjects_of, voicemail_is_reached=True
    )
    carrier.finishes(call, ending, LATER)
    return call


@pytest.mark.parametrize("ending", NOT_TOLD)
def test_a_reminder_marked_called_after_an_unheard_call_is_reported(ending: Ending) -> None:
    scene = Scene()
    reminder = a_reminder(Status.CALLED, id="r-1", message=scene.book.reminders["r-1"].message)
    found = Snapshot({"r-1": reminder}, {}, (), {})
    assert "nobody has heard it" in "; ".join(
        broken_in_the_database(found, [after(scene, ending)], scene.circumstances)
    )
    assert list(broken_in_the_database(found, [after(scene, HEARD)], scene.circumstances)) == []


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        (CallOutcome.HEARD, "recorded as heard, and nobody was told"),
        (CallOutcome.CONFIRMED, "nobody has pressed 1"),
        (CallOutcome.VOICEMAIL, "left to a machine, and none has answered"),
    ],
)
def test_a_call_with_a_wrong_recorded_outcome_is_reported(outcome: CallOutcome, sentence: str) -> None:
    scene = Scene()
    call = after(scene, Ending(is_empty=True))
    stored = a_call(CallState.ENDED, external_call_id=call.call_id, outcome=outcome)
    found = Snapshot({}, {stored.id: stored}, (), {})
    assert sentence in "; ".join(broken_in_the_outcomes(found, [call], scene.circumstances))
    agreed = Snapshot({}, {stored.id: evolve(stored, outcome=CallOutcome.NOT_HEARD)}, (), {})
    assert list(broken_in_the_outcomes(agreed, [call], scene.circumstances)) == []


def test_a_call_to_an_unaccepted_number_is_reported() -> None:
    scene = Scene()
    scene.book.reminders["r-1"].is_held = True
    assert "whose new number nobody has accepted" in scene.broken()
