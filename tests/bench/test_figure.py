import json
from pathlib import Path

from bench.figure import Bar, Figure, keep, measured


def test_a_figure_of_rounds_is_their_median_with_the_lowest_and_the_highest() -> None:
    figure = Figure.of_rounds([0.61, 0.55, 0.58], name="webhooks", unit="", meaning="a ratio")

    assert (figure.value, figure.low, figure.high) == (0.58, 0.55, 0.61)
    assert measured(figure) == "0.58 (0.55–0.61)"


def test_a_single_reading_shows_no_noise() -> None:
    figure = Figure(name="idle, memory", value=80.26, unit="MB", meaning="resident")

    assert measured(figure) == "80.3 MB"


def test_the_results_carry_the_noise_and_which_of_two_values_is_better(tmp_path: Path) -> None:
    rate = Figure.of_rounds([700, 900, 800], name="rate", unit="/s", better="more", meaning="by the daemon")
    yardstick = Figure(name="client", value=5000, unit="/s", meaning="what the client can do")
    ratio = Figure(name="ratio", value=2, unit="", bar=Bar("at most", 3), meaning="a ratio")

    keep([rate, yardstick, ratio], {"cores": 2}, tmp_path / "results.json")

    rows = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["figures"]
    assert [(row["value"], row["low"], row["high"], row["better"]) for row in rows] == [
        (800, 700, 900, "more"),
        (5000, None, None, None),
        (2, None, None, "less"),
    ]
