import re
from pathlib import Path

import pytest

from reminderd.core.model import TERMINAL
from reminderd.sandbox.behaviours import (
    BEHAVIOURS,
    LATE_STEPS,
    PROGRESS_BEFORE,
    Behaviour,
    behaviour_of,
    example_number,
)

DOCS = Path(__file__).parents[2] / "docs" / "sandbox.md"


def test_the_table_in_the_docs_is_the_code_s() -> None:
    rows = re.findall(r"^\| `(\d{4})` \| (.+?) \| (.+?) \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [(each.ending, each.name, each.story) for each in BEHAVIOURS]


def test_every_ending_and_every_name_is_there_once() -> None:
    assert len({each.ending for each in BEHAVIOURS}) == len({each.name for each in BEHAVIOURS}) == len(BEHAVIOURS)


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda each: each.name)
def test_every_behaviour_ends_in_a_word_of_ours_and_has_a_way_there(behaviour: Behaviour) -> None:
    assert set(behaviour.ends) <= TERMINAL & set(PROGRESS_BEFORE)


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda each: each.name)
def test_an_example_number_behaves_as_named_in_every_area(behaviour: Behaviour) -> None:
    numbers = {example_number(behaviour.name, area=area) for area in (202, 303, 999)}
    assert len(numbers) == 3
    assert {behaviour_of(number) for number in numbers} == {behaviour}


@pytest.mark.parametrize("number", ["+4930123456", "+12025550199", "+1", ""])
def test_any_other_number_is_answered(number: str) -> None:
    assert behaviour_of(number).name == "answered"


def test_a_name_that_nobody_knows_has_no_number() -> None:
    with pytest.raises(KeyError):
        example_number("polite")


def test_the_stories_tell_the_numbers_that_the_code_uses() -> None:
    assert f"{LATE_STEPS} steps" in behaviour_of(example_number("late webhook")).story
    slow = behaviour_of(example_number("slow"))
    assert f"{slow.answer_after} steps" in slow.story
