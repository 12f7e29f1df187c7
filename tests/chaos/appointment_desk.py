"""Change appointments in every way: by other programs' documented SQL, the API and commands; each method is a verb."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import UUID

from attrs import define, field

from reminderd.core.booking import AppointmentRequest
from reminderd.core.lifecycle.transition import Transition
from reminderd.core.sentences import NotAllowedError
from reminderd.core.upsert import Intake
from reminderd.store.appointments import (
    cancel_appointment,
    move_appointment,
    plan_due,
    put_all_appointments,
    replan_if_rules_changed,
)
from reminderd.store.errors import UnknownReminderError
from reminderd.store.intake import API, RequestsRefusedError, Source
from reminderd.store.reminders import accept, note_done
from tests.chaos.appointments import Diary, Visit
from tests.support.store import Store

if TYPE_CHECKING:
    from tests.chaos.two_processes import TwoProcesses

STAFF = Source(actor="staff")


@define
class AppointmentDesk:
    """Where appointments are booked, moved and cancelled."""

    program: "TwoProcesses"
    diary: Diary = field(factory=Diary)
    _lives: "count[int]" = field(factory=lambda: count(1))
    _uuids: "count[int]" = field(factory=lambda: count(1))

    def visit(self, which: int) -> Visit:
        return list(self.diary.visits.values())[which % len(self.diary.visits)]

    def mint(self) -> str:
        return str(UUID(int=next(self._uuids)))

    # What a process does by itself

    def compares_the_rules(self, store: Store) -> None:
        """Do what the poll loop does at a start and after a reload."""
        store.write(partial(replan_if_rules_changed, digest=store.rules.planning_digest))

    def plans(self, store: Store) -> None:
        """Do what the poll loop does before it claims."""
        transitions: list[Transition] = [Transition(ledger=None)]  # type: ignore[arg-type]
        while transitions:
            transitions = store.write(partial(plan_due, rules=store.rules, mint=self.mint, limit=2))
            ids = {one for transition in transitions for one in transition.ledger.appointments}
            self.diary.note_plan(ids, store.rules)

    # Other programs

    def books(self, phone_number: str, at: datetime) -> Visit:
        life = next(self._lives)
        visit = Visit(name=f"v-{life}", life=life, phone_number=phone_number, at=at.replace(second=0, microsecond=0))
        self.diary.visits[visit.name] = visit
        self._run(
            "INSERT INTO appointments (id, ref, phone_number, at, name) VALUES (:id, :ref, :phone_number, :at, :name)",
            visit,
        )
        return visit

    def moves(self, visit: Visit, at: datetime) -> None:
        visit.at = at.replace(second=0, microsecond=0)
        self._run("UPDATE appointments SET at = :at WHERE id = :id", visit)

    def changes_the_number(self, visit: Visit, phone_number: str) -> None:
        visit.phone_number = phone_number
        self._run("UPDATE appointments SET phone_number = :phone_number WHERE id = :id", visit)

    def cancels(self, visit: Visit) -> None:
        visit.is_cancelled, visit.is_held = True, False
        self._run("UPDATE appointments SET status = :status WHERE id = :id", visit)

    def books_again(self, visit: Visit) -> None:
        visit.is_cancelled = False
        self._run("UPDATE appointments SET status = :status WHERE id = :id", visit)

    def replaces(self, visit: Visit) -> None:
        if not self.program.other.has_replace:
            return
        visit.is_held = False
        self._run(
            "INSERT OR REPLACE INTO appointments (id, ref, phone_number, at, name, status)"
            " VALUES (:id, :ref, :phone_number, :at, :name, :status)",
            visit,
        )

    def deletes(self, visit: Visit) -> None:
        del self.diary.visits[visit.name]
        self._run("DELETE FROM appointments WHERE id = :id", visit)

    def _run(self, sql: str, visit: Visit) -> None:
        self.program.other.connection.execute(
            sql, {name: one for name, one in visit.columns.items() if f":{name}" in sql}
        )

    # The clinic's own system, and staff

    def posts(self, visit: Visit, phone_number: str, at: datetime) -> None:
        """Send the appointment with this number and time over the API."""
        store = self._store
        at = at.replace(second=0, microsecond=0)
        request = AppointmentRequest(ref=visit.name, phone_number=phone_number, at=at, name=visit.name)
        put = partial(put_all_appointments, requests=[request], rules=store.rules, mint=self.mint)
        try:
            [(_, decision)] = store.write(partial(put, source=Source(actor=API)))
        except RequestsRefusedError:
            return
        if decision.intake in {Intake.CHANGED, Intake.HELD}:
            visit.phone_number, visit.at, visit.is_cancelled = phone_number, at, False
            visit.is_held = decision.intake is Intake.HELD
            self.diary.note_plan({visit.id}, store.rules)

    def staff_move(self, visit: Visit, at: datetime) -> None:
        at = at.replace(second=0, microsecond=0)
        move = partial(move_appointment, appointment_id=visit.id, at=at, rules=self._store.rules, mint=self.mint)
        if self._is_allowed(partial(move, source=STAFF)):
            visit.at = at
            self.diary.note_plan({visit.id}, self._store.rules)

    def staff_cancel(self, visit: Visit) -> None:
        cancel = partial(cancel_appointment, appointment_id=visit.id, rules=self._store.rules, source=STAFF)
        if self._is_allowed(cancel):
            visit.is_cancelled, visit.is_held = True, False

    def staff_call_manually(self, visit: Visit, which: int) -> None:
        """Have staff note that they have called the patient of one of its reminders."""
        found = [one for one, written in self.diary.planned.items() if written[0] == visit.id]
        if not found:
            return
        reminder_id = found[which % len(found)]
        planned_at = self.diary.planned[reminder_id][1]
        notes = partial(note_done, reminder_id=reminder_id, note=None, rules=self._store.rules, source=STAFF)
        if self._is_allowed(notes) and planned_at is not None and planned_at == visit.at:
            visit.done_for.add(planned_at)

    def staff_accept(self, visit: Visit) -> None:
        for reminder_id, written in self.diary.planned.items():
            if written[0] == visit.id:
                accepts = partial(accept, reminder_id=reminder_id, rules=self._store.rules, source=STAFF)
                if self._is_allowed(accepts):
                    visit.is_held = False

    def _is_allowed(self, act: Callable[..., Any]) -> bool:
        with suppress(NotAllowedError, UnknownReminderError):
            self._store.write(act)
            return True
        return False

    @property
    def _store(self) -> Store:
        return self.program.processes[0].store
