"""What a day's reminders are counted by in a report: each of them counts in one figure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from attrs import field, frozen

from reminderd.core.model import Response, Status
from reminderd.core.sentences import Sentence


class Figure(StrEnum):
    """What has become of a reminder, as a clinic counts it; what staff have done since changes nothing."""

    CONFIRMED = "confirmed"
    REACHED = "reached"
    CANCELLED = "asked to cancel"
    NOT_REACHED = "not reached"
    NOT_CALLED = "not called"
    OPEN = "not over yet"

    @property
    def definition(self) -> Sentence:
        """Return the sentence that says what is counted."""
        return _DEFINITIONS[self]


_DEFINITIONS: Final = {
    Figure.CONFIRMED: Sentence("Somebody has heard the message, and confirmed by key."),
    Figure.REACHED: Sentence("Somebody has heard the message, and has neither confirmed nor asked to cancel."),
    Figure.CANCELLED: Sentence("Somebody has heard the message, and asked by key to cancel the appointment."),
    Figure.NOT_REACHED: Sentence("No call has reached the patient, and none will be made."),
    Figure.NOT_CALLED: Sentence("It was cancelled before a call had reached the patient."),
    Figure.OPEN: Sentence("It waits for its call, or is in one."),
}

NEEDS_HUMAN_DEFINITION: Final = Sentence(
    "The patient was not reached or asked to cancel, or a new phone number is to be accepted; "
    "and nobody has noted it as done."
)
SHARE_DEFINITION: Final = Sentence("How many of the reminders that were to be called and are over somebody has heard.")


@frozen
class Figures:
    """How many reminders of a day, or of several, are in each figure."""

    counts: Mapping[Figure, int] = field(factory=dict)
    """A figure that is missing is 0."""
    need_human: int = 0
    """How many reminders somebody must act on; each of them also counts in one of the figures."""

    def __add__(self, other: "Figures") -> "Figures":
        """Return the figures of both."""
        counts = {one: self[one] + other[one] for one in Figure}
        return Figures(counts, self.need_human + other.need_human)

    def __getitem__(self, figure: Figure) -> int:
        return self.counts.get(figure, 0)

    @property
    def total(self) -> int:
        """Return how many reminders there are."""
        return sum(self.counts.values())

    @property
    def share_heard(self) -> float | None:
        """Return the share that somebody has heard; None: none is over."""
        heard = sum(self[one] for one in _HEARD)
        over = heard + self[Figure.NOT_REACHED]
        return heard / over if over else None


_HEARD: Final = (Figure.CONFIRMED, Figure.REACHED, Figure.CANCELLED)
_BY_STATUS: Final = {
    Status.SCHEDULED: Figure.OPEN,
    Status.DIALING: Figure.OPEN,
    Status.PROCESSING: Figure.OPEN,
    Status.CALLED: Figure.REACHED,
    Status.FAILED: Figure.NOT_REACHED,
    Status.EXPIRED: Figure.NOT_REACHED,
    Status.CANCELLED: Figure.NOT_CALLED,
}
_BY_RESPONSE: Final = {Response.CONFIRMED: Figure.CONFIRMED, Response.CANCEL_REQUESTED: Figure.CANCELLED}


def figure_of(status: Status, response: str | None) -> Figure:
    """Return in which figure a reminder counts; a response counts once it is `called`, as in `outcome`."""
    if status is Status.CALLED and response in set(Response):
        return _BY_RESPONSE.get(Response(response), Figure.REACHED)
    return _BY_STATUS[status]
