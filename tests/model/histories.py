"""Histories: one event after another, at random or as written, and a fair ending to each."""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, Final

from tests.model import claims, promises, provider, requests, staff
from tests.model.model import Model
from tests.model.rows import (
    ACCOUNTS,
    ALIVE,
    DAY,
    FINAL,
    NUMBERS,
    OPENS,
    PROCESSES,
    BrokenPromiseError,
    Reminder,
    Setting,
)
from tests.model.rules import RULES, Rule

Act = tuple[Any, ...]
"""What happens, and to what."""

LENGTH: Final = 110
FAIR_STEPS: Final = 900
FAR_AWAY: Final = 200

STAFF: Final = ("cancel", "again", "sql", "pause", "opt", "erase", "restore", "clock", "look_at_all", "account")
"""What staff and other programs do; each history has some of these acts."""

_ACTS: Final[dict[str, Callable[..., None]]] = {
    "tick": Model.tick,
    "claim": claims.claim_reminder,
    "look": claims.claim_call,
    "send": requests.send,
    "settle": requests.settle,
    "ask": provider.ask,
    "settle_look_up": provider.settle_look_up,
    "crash": staff.crash,
    "sign": provider.show_sign,
    "end": provider.end,
    "answer": provider.answer,
    "key": provider.press_key,
    "deliver": provider.deliver,
    "deliver_and_repeat": provider.deliver_and_repeat,
    "lose": provider.lose,
    "cancel": staff.cancel,
    "call_again": staff.call_again,
    "pause": staff.pause,
    "resume": staff.resume,
    "look_at_all": staff.look_at_all,
    "opt_out": staff.opt_out,
    "opt_in": staff.opt_in,
    "erase": staff.erase,
    "back_up": staff.back_up,
    "restore": staff.restore,
    "set_clock": staff.set_clock,
    "account": staff.switch_account,
    "sql_cancel": staff.sql_cancel,
    "sql_status": staff.sql_status,
    "sql_move": staff.sql_move,
    "sql_edit": staff.sql_edit,
    "sql_number": staff.sql_number,
    "sql_insert": staff.sql_insert,
    "sql_replace": staff.sql_replace,
    "sql_delete": staff.sql_delete,
}
_BY_OTHERS: Final = frozenset(
    {"call_again", "sql_status", "sql_replace", "sql_delete", "sql_insert", "erase", "restore"}
)
"""After these acts, a reminder may be a different one, or wait again."""

_WEIGHTS: Final = {
    "tick": 7, "claim": 6, "look": 5, "send": 1.5, "settle": 4, "ask": 3, "settle_look_up": 4, "crash": 0.6,
    "sign": 0.7, "end": 0.7, "answer": 1, "key": 1.5, "deliver": 2, "deliver_and_repeat": 0.5, "lose": 0.5,
    "cancel": 0.2, "call_again": 1, "pause": 0.15, "resume": 0.7, "look_at_all": 0.3, "opt_out": 0.12, "opt_in": 0.3,
    "erase": 0.2, "back_up": 0.8, "restore": 0.8, "set_clock": 0.15, "account": 0.2, "sql_cancel": 0.1,
    "sql_status": 0.1, "sql_move": 0.1, "sql_edit": 0.1, "sql_number": 0.12, "sql_insert": 0.3, "sql_replace": 0.1,
    "sql_delete": 0.15,
}  # fmt: skip
_WEIGHTS_OF_SOME: Final = {
    ("send", "accepted"): 5, ("send", "lost"): 2.5, ("send", "unavailable"): 0.7, ("send", "refused"): 0.4,
    ("send", "account"): 0.4, ("end", "heard"): 0.8, ("end", "busy"): 1.2, ("end", "failed"): 0.2,
    ("end", "declined"): 0.2, ("end", "hung_up"): 0.4,
}  # fmt: skip


def draw_setting(dice: Random, always: tuple[str, ...] = ()) -> Setting:
    """Draw the setting of a history; `always` names the acts that staff do in any case."""
    rows: list[tuple[str, int, int | None]] = []
    for place in range(dice.choice((1, 2, 2, 3))):
        number = "p" if place == 0 else dice.choice("pppq")
        scheduled_at = OPENS + dice.randint(0, 3 if place == 0 else 8)
        rows.append((number, scheduled_at, dice.choice((None, None, None, scheduled_at + dice.randint(4, 40)))))
    looks_up = dice.random() < 0.5
    asks = dice.random() < 0.35
    repeats = asks or dice.random() < 0.8
    return Setting(
        honors_keys=dice.random() < 0.5,
        looks_up=looks_up,
        look_ups_lag=looks_up and dice.random() < 0.5,
        drops=looks_up and dice.random() < 0.5,
        repeats_attempt_id=repeats,
        asks_what_to_say=asks,
        reuses_ids=repeats and dice.random() < 0.15,
        rings_again=dice.random() < 0.3,
        places_after_503=dice.random() < 0.15,
        bundles=dice.random() < 0.75,
        acts=frozenset((*always, *dice.sample(STAFF, dice.choice((1, 2, 2, 3, 4))))),
        rows=tuple(rows),
    )


class History:
    """One history while it is played."""

    def __init__(self, setting: Setting, rules: frozenset[Rule] = RULES) -> None:
        self.model = Model(setting, rules)
        self.done: list[Act] = []
        self.count: Counter[str] = Counter()

    def do(self, act: Act) -> None:
        """Let one thing happen, and check the result against the promises."""
        name, *rest = act
        model = self.model
        self.done.append(act)
        self.count["sql" if name.startswith("sql_") else name] += 1
        cancelled = set() if name in _BY_OTHERS else promises.cancelled_ids(model)
        if name == "look":
            promises.hold_at_look(model, *rest)
        _ACTS[name](model, *rest)
        if name == "claim":
            promises.hold_after_claim(model, rest[1])
        promises.hold_cancelled(model, cancelled)
        promises.hold_database(model)

    def can_happen(self, act: Act) -> bool:
        """Return whether a written act makes sense now; acts of other programs and clocks are always possible."""
        name, reminders = act[0], self.model.db.reminders
        if name.startswith("sql_"):
            return bool((act[1] in reminders) != (name == "sql_insert"))
        return name in {"tick", "set_clock"} or act in self.possible()

    def play(self, dice: Random) -> None:
        """Let things happen at random, then play a fair ending."""
        for _ in range(LENGTH):
            acts = self.possible()
            [act] = dice.choices(acts, [_weight(one) for one in acts])
            self.do(act)
        self.finish()

    def finish(self) -> None:
        """Let nothing go wrong anymore, until everything is at rest."""
        self.model.db.paused = False
        self.count = Counter(sql=self.count["sql"])
        for _ in range(FAIR_STEPS):
            act = self._fair_act()
            if act is not None:
                self.do(act)
            elif self._is_at_rest():
                promises.hold_at_rest(self.model)
                return
            else:
                self.do(("tick",))
        self.model.broken(f"not at rest after {FAIR_STEPS} fair steps")

    def _fair_act(self) -> Act | None:
        """Choose what would happen next if nothing went wrong; None: time passes."""
        acts = self.possible()
        for act in acts:
            name, last = act[0], act[-1]
            if name in {"settle", "settle_look_up", "deliver"} or (name in {"claim", "look"} and act[1] == "A"):
                return act
            if (name, last) in {("send", "accepted"), ("ask", "true"), ("answer", "asks")}:
                return act
        for act in acts:
            if act[0] == "end" and act[2] == "heard":
                call = self.model.provider_calls[act[1]]
                if self.model.elapsed - call.placed_at >= 2:
                    return act
        return None

    def _is_at_rest(self) -> bool:
        db, late = self.model.db, self.model.now + FAR_AWAY
        is_resting = all(
            one.status in FINAL and (one.wake_at is None or one.wake_at > late) for one in db.reminders.values()
        )
        return is_resting and not any(call.state in ALIVE for call in db.calls.values())

    # What may happen next

    def possible(self) -> list[Act]:
        model = self.model
        acts: list[Act] = [("tick",)]
        for process in PROCESSES:
            acts += [("claim", process, one) for one in claims.due_reminders(model, process)]
            acts += [("look", process, one) for one in claims.due_calls(model, process)]
            if self.count["crash"] < 2 and any(task.process == process for task in model.tasks):
                acts.append(("crash", process))
        return acts + self._tasks() + self._provider() + self._staff() + self._sql()

    def _tasks(self) -> list[Act]:
        setting = self.model.setting
        answers = ["accepted", "lost", "never_arrived", "unavailable", "refused", "account"]
        answers += ["unavailable_but_placed"] if setting.places_after_503 else []
        findings = ["true", "fails", *(["missed"] if setting.look_ups_lag else [])]
        acts: list[Act] = []
        for place, task in enumerate(self.model.tasks):
            if task.is_sent:
                acts.append(("settle" if task.is_request else "settle_look_up", place))
            elif task.is_request:
                acts += [("send", place, answer) for answer in answers]
            else:
                acts += [("ask", place, finding) for finding in findings]
        return acts

    def _provider(self) -> list[Act]:
        asks = self.model.setting.asks_what_to_say
        acts: list[Act] = []
        for call in self.model.provider_calls:
            if not call.is_active:
                continue
            by_machine = () if call.spoken and asks else ("voicemail",)
            ends = ("heard", "hung_up", *by_machine, "busy", "declined", "failed")
            acts += [("end", call.place, how) for how in ends]
            if call.signs < 2:
                acts.append(("sign", call.place))
            if asks and call.answered_at is None:
                acts += [("answer", call.place, how) for how in ("asks", "hears_nothing")]
            if asks and call.spoken and not call.heard:
                acts += [("key", call.place, key) for key in ("confirm", "opt_out", "none")]
        for place, report in enumerate(self.model.reports):
            acts += [("deliver", place), ("lose", place)]
            acts += [("deliver_and_repeat", place)] if report.times < 1 else []
        return acts

    def _staff(self) -> list[Act]:  # noqa: C901 - a table
        model, count, acts = self.model, self.count, self.model.setting.acts
        db, possible = model.db, list[Act]()
        for reminder in db.reminders.values():
            is_final = reminder.status in FINAL
            if "cancel" in acts and not is_final and count["cancel"] < 2:
                possible.append(("cancel", reminder.id))
            if "again" in acts and is_final and reminder.status != "called" and count["call_again"] < 2:
                possible.append(("call_again", reminder.id))
        if db.paused:
            possible.append(("resume",))
        elif "pause" in acts and count["pause"] < 2:
            possible.append(("pause",))
        if "opt" in acts:
            possible += [("opt_in", number) for number in sorted(db.opted_out)]
            possible += [("opt_out", one) for one in NUMBERS if one not in db.opted_out and count["opt_out"] < 2]
        if "erase" in acts and count["erase"] < 2:
            possible += [("erase", number) for number in NUMBERS]
        if "restore" in acts and model.backup is None:
            possible.append(("back_up",))
        elif "restore" in acts and count["restore"] < 1:
            possible.append(("restore",))
        if "clock" in acts and count["set_clock"] < 2:
            possible += [("set_clock", by) for by in (-20, -7, 7, 20, 3 * DAY) if model.skew + by >= -20]
        if "look_at_all" in acts:
            possible.append(("look_at_all",))
        if "account" in acts and count["account"] < 2:
            possible += [
                ("account", name, ACCOUNTS[process.account == ACCOUNTS[0]]) for name, process in model.processes.items()
            ]
        return possible

    def _sql(self) -> list[Act]:
        db = self.model.db
        if "sql" not in self.model.setting.acts or self.count["sql"] >= 4:
            return []
        acts = [act for reminder in db.reminders.values() for act in _sql_on(reminder)]
        if len(db.reminders) < 4:
            free = [one for one in ("r0", "r7") if one not in db.reminders]
            acts += [("sql_insert", one, number, by) for one in free for number in NUMBERS for by in (0, 4)]
        return acts


def _sql_on(reminder: Reminder) -> list[Act]:
    key, is_final = reminder.id, reminder.status in FINAL
    acts: list[Act] = [] if is_final else [("sql_cancel", key)]
    acts += [("sql_move", key, by) for by in (-5, 3, DAY)]
    acts += [("sql_replace", key, 0), ("sql_replace", key, DAY), ("sql_delete", key), ("sql_edit", key)]
    acts.append(("sql_number", key, NUMBERS[reminder.phone_number == NUMBERS[0]]))
    for status in ("processing", "scheduled"):
        is_allowed = reminder.status not in {"called", status} and not (is_final and status == "scheduled")
        acts += [("sql_status", key, status)] if is_allowed else []
    return acts


def _weight(act: Act) -> float:
    some = _WEIGHTS_OF_SOME.get((act[0], act[2])) if len(act) > 2 else None
    return some or _WEIGHTS[act[0]]


# Playing


def played(seed: int, rules: frozenset[Rule] = RULES, always: tuple[str, ...] = ()) -> tuple[History, str | None]:
    """Play one history, and return it with the promise that it has broken; None: it has broken none."""
    dice = Random(seed)
    history = History(draw_setting(dice, always), rules)
    try:
        history.play(dice)
    except BrokenPromiseError as broken:
        return history, str(broken)
    return history, None


def replayed(acts: list[Act], setting: Setting, rules: frozenset[Rule] = RULES) -> tuple[History, str | None]:
    """Play these acts without those that can't happen, and a fair ending."""
    history = History(setting, rules)
    try:
        for act in acts:
            if history.can_happen(act):
                history.do(act)
        history.finish()
    except BrokenPromiseError as broken:
        return history, str(broken)
    return history, None


def written(text: str) -> list[Act]:
    """Return the acts of a history that is written like `claim A r0 ; send 0 accepted ; tick 3`."""
    words = [act.split() for act in text.split(";")]
    return [tuple(int(word) if word.lstrip("-").isdecimal() else word for word in act) for act in words]


def as_text(acts: list[Act]) -> str:
    return " ; ".join(" ".join(map(str, act)) for act in acts)


def shortest(history: History, promise: str) -> list[Act]:
    """Return the fewest of a history's acts that still break the promise."""
    acts, is_shorter = history.done, True
    while is_shorter:
        is_shorter = False
        for width in (6, 3, 2, 1):
            place = 0
            while place < len(acts):
                fewer = acts[:place] + acts[place + width :]
                shorter, broken = replayed(fewer, history.model.setting, history.model.rules)
                if broken == promise and len(shorter.done) < len(acts):
                    acts, is_shorter = shorter.done, True
                else:
                    place += width
    return acts
