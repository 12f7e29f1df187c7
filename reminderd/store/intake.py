"""What the write paths of reminders and of appointments share."""

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal, Protocol

from attrs import evolve, frozen

from reminderd.core.reasons import EndCode
from reminderd.core.upsert import Decision, Intake
from reminderd.store.connection import Connection
from reminderd.store.rows import rows_named

API: Final = "api"
"""The actor of requests over HTTP."""

_NUMBER: Final = re.compile(r"0*([0-9]+)(?:[.,]0+)?")
_REFS: Final = "SELECT phone_number, ref FROM TABLE WHERE ref IS NOT NULL AND phone_number IN {}"


@frozen(kw_only=True)
class Source:
    """Who adds or changes reminders, for the audit."""

    actor: str
    detail: str | None = None
    """Where the request comes from; contains no phone number and no message."""
    profile: str | None = None
    """The import profile of the file; the reminders and appointments that the file names keep it."""
    cancels_as: EndCode = EndCode.CANCELLED_BY_STAFF
    """The code of the appointments that it cancels; only it can book these again at the same time."""


class RefTakenError(Exception):
    """Another reminder, or appointment, has this `ref` already; the message is its id."""


@frozen
class Refusal:
    """Why one of the requested reminders is refused."""

    place: int
    """Its position in the request, from 0."""
    decision: Decision


class RequestsRefusedError(Exception):
    """Nothing was stored; `refusals` has every reason."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        super().__init__("; ".join(refusal.decision.reason for refusal in refusals))
        self.refusals = refusals


def refuse_all_if_any(decisions: Iterable[Decision]) -> None:
    """Raise an error if any request is refused.

    Raises:
        RequestsRefusedError: at least one is.
    """
    refusals = [Refusal(place, decision) for place, decision in enumerate(decisions) if decision.refused]
    if refusals:
        raise RequestsRefusedError(refusals)


class NewRequest(Protocol):
    """A request that may have a `ref`."""

    @property
    def ref(self) -> str | None:
        """Return the clinic's own name for it."""

    @property
    def phone_number(self) -> str:
        """Return the phone number that it is about."""


def similar_ref_warnings(
    connection: Connection, added: Sequence[NewRequest], *, table: Literal["reminders", "appointments"] = "reminders"
) -> dict[str | None, list[str]]:
    """Return warnings for each new `ref` that may be another one, rewritten by a spreadsheet: 47 or 47.0 for 0047.

    The same line of a table would then be a second reminder of the same patient.
    """
    named = [(one.phone_number, one.ref, _number_of(one.ref)) for one in added if one.ref is not None]
    own = {ref for _, ref, _ in named}
    refs: dict[tuple[str, str | None], str] = {}
    numbers = sorted({phone for phone, _, number in named if number is not None})
    for row in rows_named(connection, _REFS.replace("TABLE", table), numbers):
        if row["ref"] not in own:
            refs.setdefault((row["phone_number"], _number_of(row["ref"])), row["ref"])
    found: dict[str | None, list[str]] = {}
    for phone, ref, number in named:
        other = ref if number is None else refs.setdefault((phone, number), ref)
        if other != ref:
            what = f"ref: {ref} may be {other}, rewritten by a spreadsheet, as both have the same phone number"
            found[ref] = [f"{what}; expected refs formatted as text, and one reminder for one appointment"]
    return found


def with_similar_ref_warnings(
    connection: Connection,
    requests: Sequence[NewRequest],
    decisions: Sequence[Decision],
    *,
    table: Literal["reminders", "appointments"] = "reminders",
) -> list[Decision]:
    """Return the decisions, with the warnings of `similar_ref_warnings` about added requests."""
    added = [one for one, decision in zip(requests, decisions, strict=True) if decision.intake is Intake.ADDED]
    warnings = similar_ref_warnings(connection, added, table=table)
    return [
        evolve(decision, warnings=(*decision.warnings, *warnings[one.ref])) if one.ref in warnings else decision
        for one, decision in zip(requests, decisions, strict=True)
    ]


def _number_of(ref: str) -> str | None:
    """Return the digits of a `ref` that a spreadsheet reads as a number; None if it doesn't."""
    number = _NUMBER.fullmatch(ref)
    return None if number is None else number[1]


def time_ordered_id(random_id: str, milliseconds: int) -> str:
    """Return a random UUID that begins with the time (version 7, RFC 9562).

    The ids of a chunk are then next to each other in their index; random ids would touch all of its pages.
    """
    time = f"{milliseconds:012x}"
    return f"{time[:8]}-{time[8:]}-7{random_id[15:]}"
