"""The section [reminders]: which calls are planned before an appointment."""

from pathlib import Path

import pytest

from reminderd.config import ConfigError, load_config, planning_of
from reminderd.core.rules import CallPlan, Planning, Rules
from reminderd.core.schedule.cadence import read_cadence

BEGIN = """
[calling]
timezone = "Europe/Berlin"

[messages]
templates = { visit = "Your appointment is at {time}.", surgery = "Your surgery is at {time}." }
"""


def planned(tmp_path: Path, text: str) -> Planning:
    (tmp_path / "config.toml").write_text(BEGIN + text, encoding="utf-8")
    return planning_of(load_config(None, {}, tmp_path))


def errors(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        planned(tmp_path, text)
    return [error.removeprefix("config.toml: ") for error in caught.value.errors]


def test_without_the_section_no_calls_are_planned(tmp_path: Path) -> None:
    assert planned(tmp_path, "").default == CallPlan()


def test_types_take_what_they_leave_out_from_the_section(tmp_path: Path) -> None:
    found = planned(
        tmp_path,
        """
        [reminders]
        before = ["3 days", "1 day at 10:00"]
        template = "visit"
        [reminders.types."Big Surgery"]
        before = ["1 week"]
        template = "surgery"
        [reminders.types.other]
        template = "surgery"
        """,
    )
    both = (read_cadence("3 days"), read_cadence("1 day at 10:00"))
    assert found.default == CallPlan(before=both, template="visit")
    assert found.of("bigsurgery") == CallPlan(before=(read_cadence("1 week"),), template="surgery")
    assert found.of("OTHER") == CallPlan(before=both, template="surgery")
    assert found.of("any") == found.of(None) == found.default


def test_the_environment_sets_the_cadence(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(BEGIN, encoding="utf-8")
    config = load_config(None, {"REMINDERD__REMINDERS__BEFORE": "3 days, 1 day at 10:00"}, tmp_path)
    assert [one.name for one in planning_of(config).default.before] == ["3 days", "1 day at 10:00"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('before = ["soon"]', "[reminders].before: entry 1 is not a time before an appointment; expected a list of"),
        ('before = ["1 day", "1  days"]', "[reminders].before: entry 2 is there twice; expected a list of times"),
        ('before = "1 day"', "[reminders].before: is text; expected a list of times before an appointment"),
        (
            'template = "visits"',
            "[reminders].template: is unknown (did you mean visit?); expected one of visit, surgery",
        ),
        ('types.x.template = "y"', "[reminders.types.x].template: is unknown; expected one of visit, surgery"),
        (
            'types.x.before_it = ["1 day"]',
            "[reminders.types.x].before_it: unknown key (did you mean before?); expected one of",
        ),
        ('types.x.before = ["2 x"]', "[reminders.types.x].before: entry 1 is not a time before an appointment"),
        ("types = 3", "[reminders].types: is not a section; expected a section for each type of appointment"),
        ("types.x = 3", "[reminders].types: contains something other than sections; expected a section for each"),
        ("types.x = {}\ntypes.X = {}", "[reminders].types: entry 2 has the name of another, as spaces and capital"),
        ('types." " = {}', "[reminders].types: entry 1 has a name that is not allowed; expected a section for each"),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_what_is_expected(tmp_path: Path, text: str, error: str) -> None:
    (found,) = errors(tmp_path, f"[reminders]\n{text}")
    assert found.startswith(error)


def test_all_errors_of_all_types_are_listed(tmp_path: Path) -> None:
    found = errors(tmp_path, '[reminders.types]\na.before = ["x"]\nb.before = ["y"]\nc = { templates = "visit" }')
    assert [error.partition(":")[0] for error in found] == [
        "[reminders.types.a].before",
        "[reminders.types.b].before",
        "[reminders.types.c].templates",
    ]


def test_calls_before_appointments_need_the_clinics_time_zone(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[reminders]\nbefore = ["1 day"]', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"\[calling\]\.timezone: is missing, but needed for \[reminders\]\.before"):
        load_config(None, {}, tmp_path)


def test_other_rules_have_another_digest(tmp_path: Path) -> None:
    texts = ['before = ["1 day"]', 'before = ["2 days"]', 'template = "visit"', 'types.x.template = "surgery"']
    digests = {Rules(planning=planned(tmp_path, f"[reminders]\n{text}")).planning_digest for text in ["", *texts]}
    assert len(digests) == len(texts) + 1
