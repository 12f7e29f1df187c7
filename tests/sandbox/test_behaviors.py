import re
from pathlib import Path

import pytest

from reminderd.core.model import TERMINAL
from reminderd.sandbox.behaviors import (
    BEHAVIORS,
    LATE_STEPS,
    PROGRESS_BEFORE,
    Behavior,
    behavior_of,
    example_number,
)

DOCS = Path(__file__).parents[2] / "docs" / "sandbox.md"


def test_the_table_in_the_docs_matches_the_code() -> None:
    rows = re.findall(r"^\| `(\d{4})` \| (.+?) \| (.+?) \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [(each.ending, each.name, each.description) for each in BEHAVIORS]


def test_endings_and_names_are_unique() -> None:
    assert len({each.ending for each in BEHAVIORS}) == len({each.name for each in BEHAVIORS}) == len(BEHAVIORS)


@pytest.mark.parametrize("behavior", BEHAVIORS, ids=lambda each: each.name)
def test_every_behavior_has_steps_to_its_terminal_status(behavior: Behavior) -> None:
    assert set(behavior.ends) <= TERMINAL & set(PROGRESS_BEFORE)


@pytest.mark.parametrize("behavior", BEHAVIORS, ids=lambda each: each.name)
def test_an_example_number_has_its_behavior_in_every_area_code(behavior: Behavior) -> None:
    numbers = {example_number(behavior.name, area=area) for area in (202, 303, 999)}
    assert len(numbers) == 3
    assert {behavior_of(number) for number in numbers} == {behavior}


@pytest.mark.parametrize("number", ["+4930123456", "+12025550199", "+1", ""])
def test_any_other_number_is_answered(number: str) -> None:
    assert behavior_of(number).name == "answered"


def test_an_unknown_name_has_no_number() -> None:
    with pytest.raises(KeyError):
        example_number("polite")


def test_the_descriptions_have_the_numbers_that_the_code_uses() -> None:
    assert f"{LATE_STEPS} steps" in behavior_of(example_number("late webhook")).description
    slow = behavior_of(example_number("slow"))
    assert f"{slow.answer_after} steps" in slow.description
