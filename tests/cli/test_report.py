"""`reminderd report`, and the filters of `list`."""

import csv
import io
import json
import re
from typing import Any

import pytest

from reminderd.store.rows import to_ms
from reminderd.store.sqlite.opening import open_sync
from tests.cli.conftest import Terminal
from tests.support.builders import NOW
from tests.support.rows import insert_call, insert_row

DAY = "2026-03-02"  # NOW's


def insert(terminal: Terminal, name: str, **columns: Any) -> None:
    row = {"id": name, "ref": f"ref {name}", "phone_number": "+4930123456", "message": "Hello", **columns}
    row.setdefault("scheduled_at", to_ms(NOW))
    with open_sync(terminal.folder / "reminderd.db") as connection:
        insert_row(connection, "reminders", row)


@pytest.fixture
def clinic(terminal: Terminal) -> Terminal:
    insert(terminal, "a-confirmed", status="called", response="confirmed")
    insert(terminal, "b-waits", hold_code="hours")
    insert(terminal, "c-failed", status="failed", last_error="busy, after 3 calls")
    insert(terminal, "d-wants", status="called", response="cancel_requested")
    insert(terminal, "e-out", status="cancelled", end_code="opted_out", last_error="opted out")
    insert(terminal, "f-other-day", scheduled_at=to_ms(NOW) + 86_400_000)
    return terminal


def test_reminders_that_need_a_human_come_first_with_the_reason(clinic: Terminal) -> None:
    rows = json.loads(clinic.type("report", "--date", DAY, "--json").stdout)
    assert [(row["outcome"], row["id"], row["why"]) for row in rows["reminders"]] == [
        ("wants to cancel", "d-wants", None),
        ("not reached", "c-failed", "busy, after 3 calls"),
        ("waiting", "b-waits", "outside the calling hours"),
        ("confirmed", "a-confirmed", None),
        ("opted out", "e-out", "opted out"),
    ]
    assert rows["totals"]["not reached"] == 1
    assert rows["totals"]["reached"] == 0


def test_a_report_ends_with_totals(clinic: Terminal) -> None:
    lines = clinic.type("report", "--date", DAY).stdout.splitlines()
    assert lines[-2] == "1 wants to cancel, 1 not reached, 1 waiting, 1 confirmed, 1 opted out"
    assert lines[-1] == "2 need a human"


def test_the_last_outcome_is_text_in_tables_and_a_code_in_json(clinic: Terminal) -> None:
    with open_sync(clinic.folder / "reminderd.db") as connection:
        insert_call(connection, "c-failed", outcome="hung_up", spoken=True)
        insert_call(connection, "b-waits", outcome="heard", spoken=False)
    rows = json.loads(clinic.type("report", "--date", DAY, "--json").stdout)["reminders"]
    assert {row["id"]: row["call_outcome"] for row in rows if row["call_outcome"]} == {
        "c-failed": "hung_up",
        "b-waits": "not_heard",
    }
    assert "hung up" in clinic.type("report", "--date", DAY).stdout
    assert "not reached,hung up," in clinic.type("report", "--date", DAY, "--csv").stdout


def test_every_report_lists_reminders_of_other_days_that_need_a_decision(terminal: Terminal) -> None:
    table = "ref,phone,message,at\nA1,+4930123456,Hello.,2030-01-07 09:30\nA2,+4930123458,Hello.,2030-01-08 09:30\n"
    for text in (table, table.replace("456", "457")):
        (terminal.folder / "list.csv").write_text(text)
        terminal.type("import", "list.csv")
    said = terminal.type("report", "--date", "2030-01-08").stdout
    assert "also needs a decision, on another day: accept the new number, or cancel" in said
    assert said.index("A2") < said.index("1 waiting") < said.index("A1")
    assert said.endswith("1 needs a human\n")
    assert "A1" in terminal.type("report", "--date", "2030-01-09").stdout
    document = terminal.json("report", "--date", "2030-01-08")
    assert [row["ref"] for row in document["reminders"]] == ["A2"]
    assert [row["ref"] for row in document["other_days"]] == ["A1"]
    assert document["totals"]["number changed"] == 0
    assert "number changed" in terminal.type("report", "--date", "2030-01-08", "--csv").stdout.splitlines()[-1]
    own = terminal.type("report", "--date", "2030-01-07")
    assert "also needs" not in own.stdout
    assert own.stdout.count("A1") == 1


def test_show_lists_the_outcome_of_each_call(clinic: Terminal) -> None:
    with open_sync(clinic.folder / "reminderd.db") as connection:
        insert_call(connection, "c-failed", status="completed", outcome="hung_up", spoken=True)
    assert [call["outcome"] for call in clinic.json("show", "c-failed")["calls"]] == ["hung_up"]
    [table] = re.findall(r"(?s)\ncalls *\n(.*)\nhistory", clinic.type("show", "c-failed").stdout)
    assert "outcome" in table
    assert "hung up" in table


def test_a_range_of_days_is_one_report(clinic: Terminal) -> None:
    rows = json.loads(clinic.type("report", "--from", DAY, "--to", "2026-03-03", "--json").stdout)
    assert len(rows["reminders"]) == 6
    assert clinic.type("report", "--date", "2026-03-09").stdout == "no reminders\n"
    assert clinic.type("report").stdout == "no reminders\n", "today has none"


def test_a_csv_report_has_no_formulas(clinic: Terminal) -> None:
    insert(clinic, "g", ref='=HYPERLINK("http://evil.example")')
    table = list(csv.DictReader(io.StringIO(clinic.type("report", "--date", DAY, "--csv").stdout)))
    assert {row["phone_number"] for row in table} == {"'+4930123456"}
    assert [row["ref"] for row in table if row["id"] == "g"] == ['\'=HYPERLINK("http://evil.example")']
    assert table[0]["scheduled_at"] == "2026-03-02 11:00"


def test_list_filters_by_day_number_response_and_need(clinic: Terminal) -> None:
    def ids(*words: str) -> list[str]:
        return [row["id"] for row in clinic.json("list", *words)]

    assert ids("--date", "2026-03-03") == ["f-other-day"]
    assert ids("--to", DAY, "--response", "confirmed") == ["a-confirmed"]
    assert ids("--needs-human") == ["c-failed", "d-wants"]
    assert ids("--phone", "3456", "--status", "failed") == ["c-failed"]
    assert ids("--phone", "999") == []


def test_every_mistake_in_the_options_is_reported_at_once(clinic: Terminal) -> None:
    said = clinic.type("list", "--phone", "+49", "--from", "monday", "--to", "3.3.", code=2).stderr
    assert [line.split(":")[0] for line in said.splitlines()] == ["--phone", "--from", "--to"]
    assert "the one or the other" in clinic.type("report", "--date", DAY, "--to", DAY, code=2).stderr
    arabic = "\N{ARABIC-INDIC DIGIT THREE}\N{ARABIC-INDIC DIGIT FOUR}"  # no stored number has these digits
    assert "--phone" in clinic.type("list", "--phone", arabic, code=2).stderr


@pytest.mark.parametrize("command", ["report", "list"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--date", "9999-12-31"], "--date: the year 9999; expected one from 1971 to 2999"),
        (["--from", "0001-01-01"], "--from: the year 1; expected one from 1971 to 2999"),
        (["--from", "2030-01-08", "--to", "2030-01-07"], "--to: before --from; expected the same day or a later one"),
    ],
)
def test_impossible_days_are_wrong_usage(terminal: Terminal, command: str, words: list[str], said: str) -> None:
    terminal.add()
    assert terminal.type(command, *words, code=2).stderr == f"{said}\n"


def test_an_empty_date_is_an_error(terminal: Terminal) -> None:
    assert "--date: not a date" in terminal.type("report", "--date", "", code=2).stderr


@pytest.mark.parametrize("words", [["report", "--json", "--csv"], ["opt-out", "list", "--csv", "--json"]])
def test_json_and_csv_together_are_wrong_usage(clinic: Terminal, words: list[str]) -> None:
    refused = clinic.type(*words, code=2)
    assert (refused.stdout, refused.stderr) == ("", "--csv: with --json; expected one or the other\n")


def test_a_patient_noted_as_called_by_staff_no_longer_needs_a_human(clinic: Terminal) -> None:
    said = [clinic.type("done", f"ref {name}").stdout for name in ("c-failed", "d-wants", "b-waits")]
    assert said == [
        "ref c-failed is failed, and done\n",
        "ref d-wants is called, and done\n",
        "ref b-waits is cancelled, and done\n",
    ]
    rows = json.loads(clinic.type("report", "--date", DAY, "--json").stdout)["reminders"]
    assert [row["id"] for row in rows if row["outcome"] == "done by staff"] == ["b-waits", "c-failed", "d-wants"]
    assert clinic.type("report", "--date", DAY).stdout.endswith("nobody needs a human\n")
    assert clinic.json("list", "--needs-human") == []
