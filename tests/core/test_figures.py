import pytest

from reminderd.core.figures import Figure, Figures, figure_of
from reminderd.core.model import Response, Status


@pytest.mark.parametrize(
    ("status", "response", "figure"),
    [
        (Status.SCHEDULED, None, Figure.OPEN),
        (Status.DIALING, None, Figure.OPEN),
        (Status.PROCESSING, "confirmed", Figure.OPEN),
        (Status.CALLED, None, Figure.REACHED),
        (Status.CALLED, "by another program", Figure.REACHED),
        (Status.CALLED, Response.OPTED_OUT, Figure.REACHED),
        (Status.CALLED, Response.CONFIRMED, Figure.CONFIRMED),
        (Status.CALLED, Response.CANCEL_REQUESTED, Figure.CANCELLED),
        (Status.FAILED, None, Figure.NOT_REACHED),
        (Status.EXPIRED, Response.CONFIRMED, Figure.NOT_REACHED),
        (Status.CANCELLED, None, Figure.NOT_CALLED),
    ],
)
def test_each_reminder_counts_in_one_figure(status: Status, response: str | None, figure: Figure) -> None:
    assert figure_of(status, response) is figure


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
