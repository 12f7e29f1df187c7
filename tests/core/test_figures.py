import pytest

from reminderd.core.figures import Figure, Figures, figures_of
from reminderd.core.model import Response, Status
from reminderd.core.reasons import EndCode, HoldCode


@pytest.mark.parametrize(
    ("status", "response", "figure", "need_human"),
    [
        (Status.SCHEDULED, None, Figure.OPEN, False),
        (Status.DIALING, None, Figure.OPEN, False),
        (Status.PROCESSING, "confirmed", Figure.OPEN, False),
        (Status.CALLED, None, Figure.REACHED, False),
        (Status.CALLED, "by another program", Figure.REACHED, False),
        (Status.CALLED, Response.OPTED_OUT, Figure.REACHED, False),
        (Status.CALLED, Response.CONFIRMED, Figure.CONFIRMED, False),
        (Status.CALLED, Response.CANCEL_REQUESTED, Figure.CANCELLED, True),
        (Status.FAILED, None, Figure.NOT_REACHED, True),
        (Status.EXPIRED, None, Figure.NOT_REACHED, True),
        (Status.CANCELLED, None, Figure.NOT_CALLED, False),
    ],
)
def test_each_reminder_counts_in_one_figure(
    status: Status, response: str | None, figure: Figure, *, need_human: bool
) -> None:
    found = figures_of(3, status, response, None, None, is_done=False)
    assert {one: found[one] for one in Figure if found[one]} == {figure: 3}
    assert (found.total, found.need_human) == (3, 3 if need_human else 0)


def test_what_staff_have_done_changes_no_figure_but_nobody_is_needed_anymore() -> None:
    found = figures_of(2, Status.FAILED, None, EndCode.NOT_ANSWERED, None, is_done=True)
    assert (found[Figure.NOT_REACHED], found.need_human) == (2, 0)


def test_a_reminder_that_waits_for_a_decision_needs_a_human() -> None:
    assert figures_of(1, Status.SCHEDULED, None, None, HoldCode.NUMBER_CHANGED, is_done=False).need_human == 1


def test_the_share_is_of_those_that_were_to_be_called_and_are_over() -> None:
    day = Figures({Figure.CONFIRMED: 2, Figure.REACHED: 1, Figure.CANCELLED: 1, Figure.NOT_CALLED: 9, Figure.OPEN: 9})
    assert day.share_heard == 1.0
    assert (day + Figures({Figure.NOT_REACHED: 4}, 4)).share_heard == 0.5
    assert Figures({Figure.OPEN: 9}).share_heard is None


def test_figures_add_up() -> None:
    both = Figures({Figure.OPEN: 1}, 1) + Figures({Figure.OPEN: 2, Figure.REACHED: 5})
    assert (both[Figure.OPEN], both[Figure.REACHED], both.need_human, both.total) == (3, 5, 1, 8)


def test_each_figure_is_defined() -> None:
    assert all(figure.definition.text.endswith(".") for figure in Figure)
