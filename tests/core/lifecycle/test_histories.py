"""Compare random histories of crashes, lost and late reports, staff and other programs with the provider's record."""

import os
from random import Random

import pytest

from reminderd.core.model import Status
from tests.core.lifecycle.world import OUTCOME, STEP, Act, Broken, World, a_setting

HISTORIES = int(os.environ.get("REMINDERD_HISTORIES", "250"))
LENGTH = 110
GROUPS = 10
_WEIGHTS = {
    "tick": 7, "claim": 6, "look": 5, "send": 1.5, "settle": 4, "ask": 3, "ask_settle": 4, "ends": 0.7, "news": 0.7,
    "answers": 1, "key": 0.7, "hook": 2, "hook_lost": 0.5, "hook_again": 0.5, "crash": 0.6, "cancel": 0.2, "again": 1,
    "f_cancel": 0.1, "f_move": 0.1, "f_edit": 0.1, "f_phone": 0.12, "replace": 0.1, "delete": 0.15, "f_status": 0.1,
    "f_insert": 0.3, "pause": 0.15, "resume": 0.7, "opt_out": 0.12, "opt_in": 0.3, "erase": 0.2, "backup": 0.8,
    "restore": 0.8, "step": 0.15, "wake_waiting": 0.3, "account": 0.2,
}  # fmt: skip
_RARER = {
    ("send", "ok"): 5, ("send", "lost"): 2.5, ("send", "refuse"): 0.4, ("send", "account"): 0.4, ("send", "503"): 0.7,
    ("ends", "heard"): 0.8, ("ends", "busy"): 1.2, ("ends", "failed"): 0.2,
}  # fmt: skip


def weight(act: Act) -> float:
    rare = _RARER.get((act[0], act[2])) if len(act) > 2 else None
    return rare or _WEIGHTS[act[0]]


def played(seed: int) -> World:
    """Play one history, then let time pass without faults until everything has ended."""
    dice, world = Random(seed), World(a_setting(seed))
    done: list[Act] = []
    try:
        for _ in range(LENGTH):
            acts = world.possible()
            [act] = dice.choices(acts, [weight(one) for one in acts])
            done.append(act)
            world.do(act)
        finish(world)
    except Broken as broken:
        story = " ; ".join(" ".join(map(str, act)) for act in done)
        raise AssertionError(f"seed {seed}: {broken}\n{world.setting}\n{story}") from broken
    return world


def is_at_rest(world: World) -> bool:
    late = world.now + 200 * STEP
    resting = all(
        one.status.final and (one.wake_at is None or one.wake_at > late) for one in world.db.reminders.values()
    )
    return resting and not any(call.state.alive for call in world.db.calls.values())


def fair(world: World, acts: list[Act]) -> Act:
    """Choose what a world would do in which nothing goes wrong."""
    for act in acts:
        name = act[0]
        if name in {"claim", "look"} and act[1] == "A":
            return act
        if name in {"settle", "ask_settle", "hook"} or act[2:] == ("ok",) or (name == "ask" and act[2] == "true"):
            return act
        if name == "answers" and act[2]:
            return act
    for act in acts:
        if act[0] == "ends" and act[2] == "heard" and world.steps - world.phones[act[1]].at >= 2:
            return act
    return ("tick",)


def finish(world: World) -> None:
    world.paused = False
    for _ in range(900):
        acts = world.possible()
        if is_at_rest(world):
            return
        world.do(fair(world, acts))
    waiting = [f"{one.status} ({one.hold_code})" for one in world.db.reminders.values() if not one.status.final]
    alive = [str(call.state) for call in world.db.calls.values() if call.state.alive]
    raise Broken(f"not at rest after 900 fair steps: {waiting} {alive}")


@pytest.mark.parametrize("group", range(GROUPS))
def test_no_history_breaks_an_invariant(group: int) -> None:
    for seed in range(group * HISTORIES // GROUPS, (group + 1) * HISTORIES // GROUPS):
        played(seed)


def test_the_histories_reach_every_case_they_are_about() -> None:
    """Else they would prove nothing."""
    worlds = [played(seed) for seed in range(40)]
    phones = [phone for world in worlds for phone in world.phones]
    assert len(phones) > 60
    assert any(phone.heard for phone in phones)
    assert any(len(phone.asked) > 1 for phone in phones)
    states = {str(call.state) for world in worlds for call in world.db.calls.values()}
    assert states >= {"ended", "refused", "not_placed", "unreported"}
    assert {one.status for world in worlds for one in world.db.reminders.values()} >= {
        Status.CALLED,
        Status.FAILED,
        Status.EXPIRED,
        Status.CANCELLED,
    }
    assert OUTCOME
