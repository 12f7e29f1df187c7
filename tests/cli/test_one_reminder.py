"""Commands about one reminder: add, show, cancel, accept, call-again."""

import pytest

from reminderd.cli.common import store_errors
from reminderd.core.model import Status
from reminderd.store.errors import UnknownReminderError
from reminderd.store.sqlite.opening import open_sync
from tests.cli.conftest import Terminal
from tests.support.rows import insert_call

ADD = ("add", "--phone", "+4930123456", "--at", "2030-01-07 09:30", "--message")


def test_an_added_reminder_is_listed_in_the_clinics_time(terminal: Terminal) -> None:
    added = terminal.add("--ref", "appointment 7")
    [row] = terminal.json("list")
    assert row == added
    assert (row["phone_number"], row["status"], row["ref"]) == ("+4930123456", "scheduled", "appointment 7")
    assert row["scheduled_at"] == "2030-01-07T09:30:00.000+01:00"
    assert "appointment 7" in terminal.type("list").stdout


def test_add_prints_the_time_with_its_zone(terminal: Terminal) -> None:
    assert terminal.type(*ADD, "Hello.").stdout.endswith(", due 2030-01-07 09:30:00 (Europe/Berlin)\n")


@pytest.mark.parametrize("words", [("opt-out", "add", "+4930123456"), (*ADD, "Hello.")])
def test_a_command_in_the_wrong_folder_prints_where_it_created_a_database(
    terminal: Terminal, words: tuple[str, ...]
) -> None:
    new = f"there was no database yet: created {terminal.folder / 'reminderd.db'}\n"
    assert terminal.type(*words).stderr == new
    assert terminal.type(*words).stderr == ""


def test_a_time_with_an_offset_is_stored_as_given(terminal: Terminal) -> None:
    terminal.type("add", "--phone", "+4930123456", "--at", "2030-01-07T09:30:00-05:00", "--message", "Hello.")
    assert terminal.json("list")[0]["scheduled_at"] == "2030-01-07T15:30:00.000+01:00"


def test_every_mistake_is_reported_at_once(terminal: Terminal) -> None:
    result = terminal.type(
        "add",
        "--phone",
        "030 123456",
        "--at",
        "soon",
        "--message",
        " ",
        "--timezone",
        "Berlin",
        "--expires",
        "late",
        code=2,
    )
    for option in ("--phone", "--at", "--message", "--timezone", "--expires"):
        assert option in result.stderr
    assert "no database yet" in terminal.type("list", code=1).stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--at", "2030-03-31 02:30"], "does not exist"),
        (["--at", "2030-03-31"], "not a time"),
        (["--at", "9030-03-31 09:00"], "the year 9030"),
        (["--at", "2030-01-07 09:30", "--expires", "2030-01-07 09:00"], "--expires"),
        (["--at", "2030-01-07 09:30", "--ref", "a\nb"], "--ref"),
    ],
)
def test_impossible_options_are_refused(terminal: Terminal, words: list[str], said: str) -> None:
    result = terminal.type("add", "--phone", "+4930123456", "--message", "Hello.", *words, code=2)
    assert said in result.stderr


def test_a_time_that_is_already_too_late_is_not_added(terminal: Terminal) -> None:
    result = terminal.type("add", "--phone", "+4930123456", "--at", "2020-01-07 09:30", "--message", "Hello.", code=1)
    assert "too late" in result.stderr
    assert "no database yet" in terminal.type("list", code=1).stderr


def test_adding_a_ref_twice_is_refused(terminal: Terminal) -> None:
    terminal.add("--ref", "7")
    words = ("add", "--phone", "+4930123456", "--at", "2030-01-07 09:30", "--message", "Hello.", "--ref", "7")
    assert "has this ref already" in terminal.type(*words, code=1).stderr


def test_show_prints_everything_by_id_or_ref(terminal: Terminal) -> None:
    added = terminal.add("--ref", "7")
    with open_sync(terminal.folder / "reminderd.db") as connection:
        insert_call(connection, added["id"], status="busy", transcript="Hello?")
    shown = terminal.json("show", "7")
    assert [call["status"] for call in shown["calls"]] == ["busy"]
    assert [act["act"] for act in shown["audit"]] == ["add"]
    table = terminal.type("show", added["id"]).stdout
    assert "busy" in table
    assert "Hello?" in table


def test_a_cancelled_reminder_can_be_called_again(terminal: Terminal) -> None:
    reminder_id = terminal.add()["id"]
    assert terminal.json("cancel", reminder_id)["status"] == "cancelled"
    assert "already" in terminal.type("cancel", reminder_id, code=1).stderr
    assert terminal.json("call-again", reminder_id)["status"] == "scheduled"
    assert "only failed, expired or cancelled" in terminal.type("call-again", reminder_id, code=1).stderr
    assert [row["id"] for row in terminal.json("list", "--status", Status.SCHEDULED.value)] == [reminder_id]
    assert terminal.json("list", "--status", "failed") == []


@pytest.mark.parametrize("command", ["show", "cancel", "call-again"])
def test_an_unknown_name_is_a_one_line_error_with_exit_code_1(terminal: Terminal, command: str) -> None:
    terminal.add()
    assert terminal.type(command, "nobody", code=1).stderr == "no reminder has the id or ref nobody\n"


@pytest.mark.parametrize("command", ["show", "cancel", "call-again"])
def test_a_name_that_is_both_an_id_and_another_reminders_ref_is_refused(terminal: Terminal, command: str) -> None:
    first = terminal.add("--ref", "first")
    second = terminal.add("--ref", first["id"])
    said = terminal.type(command, first["id"], code=1).stderr
    assert said == (
        f"{first['id']} is the id of one reminder and the ref of another;"
        f" expected its ref first for the one, {second['id']} for the other\n"
    )
    assert {row["status"] for row in terminal.json("list")} == {"scheduled"}
    assert terminal.json("cancel", "first")["id"] == first["id"]
    assert terminal.json("cancel", second["id"])["id"] == second["id"]


def test_a_truncated_table_says_that_there_are_more_rows(terminal: Terminal) -> None:
    for _ in range(3):
        terminal.add()
    assert "there are more; --limit shows them" in terminal.type("list", "--limit", "2").stdout
    assert "more" not in terminal.type("list", "--limit", "3").stdout
    assert len(terminal.json("list", "--limit", "2")) == 2
    assert len(terminal.json("list")) == 3


@pytest.mark.parametrize(
    "words",
    [
        ["lst"],
        ["list", "--status", "lost"],
        ["add"],
        ["run", "--only", "nothing"],
        ["run", "--config", "missing.toml"],
        ["run", "--only", "web"],
        ["sandbox", "--webhook-url", "http://127.0.0.1:1", "--webhook-secret", "short"],
    ],
)
def test_wrong_usage_ends_with_exit_code_2_and_no_traceback(terminal: Terminal, words: list[str]) -> None:
    assert terminal.type(*words, code=2).stderr


def test_check_config_prints_what_must_be_set_at_the_provider(terminal: Terminal) -> None:
    (terminal.folder / "config.toml").write_text(
        '[web]\npublic_base_url = "https://clinic.example"\n[provider.generic]\napi_url = "https://voice.example"\n'
        'api_key = "key"\nwebhook_secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"\n'
    )
    said = terminal.type("check-config").stdout
    assert "https://clinic.example/webhooks/call-status" in said
    assert "warning: no calling hours are set" in said


def test_check_config_warns_of_a_script_that_could_be_better_and_passes(terminal: Terminal) -> None:
    (terminal.folder / "config.toml").write_text(
        '[web]\npublic_base_url = "https://clinic.example"\n[clinic]\ncountry = "US"\n'
        '[calling]\ntimezone = "US/Eastern"\nstart = "09:00"\n'
        "[limits]\nanswered_per_day = 1\n"
        f'[provider.twilio]\naccount_sid = "AC{0:032}"\nauth_token = "t"\nfrom_number = "+12025550190"\n'
        '[messages]\nclinic = "Dr. Brown"\nphone = "+12025550190"\nmenu = "Press 1, 2 or 3."\n'
    )
    lines = terminal.type("check-config").stdout.splitlines()
    assert [line for line in lines if line.startswith("warning: ")] == [
        "warning: [messages].menu does not mention key 9, which stops these calls, as the law in the USA demands"
    ]
    assert lines[-1].endswith("it sends webhooks to https://clinic.example/webhooks/twilio/…")


def test_a_provider_that_only_speaks_the_message_gets_no_warnings_about_prompts(terminal: Terminal) -> None:
    (terminal.folder / "config.toml").write_text(
        '[provider.generic]\napi_url = "https://voice.example"\napi_key = "key"\nwebhook_auth = "none"\n'
    )
    assert "[messages]" not in terminal.type("check-config").stdout


def test_db_check_passes_a_sound_database_and_names_an_invalid_row(terminal: Terminal) -> None:
    assert "no database yet" in terminal.type("db", "check", code=1).stderr
    reminder_id = terminal.add()["id"]
    assert "sound" in terminal.type("db", "check").stdout
    with open_sync(terminal.folder / "reminderd.db") as connection:
        connection.execute("UPDATE reminders SET status = 'processing', wake_at = NULL, revision = 1")
    assert f"a waiting reminder has no wake_at: {reminder_id}" in terminal.type("db", "check", code=1).stderr


def test_db_check_names_an_opt_out_that_stops_no_call(terminal: Terminal) -> None:
    terminal.add()
    with open_sync(terminal.folder / "reminderd.db") as connection:
        connection.execute("DROP TRIGGER opt_outs_inserted_in_e164")
        connection.execute("INSERT INTO opt_outs (phone_number) VALUES ('+1 202 555 0194')")
    said = terminal.type("db", "check", code=1).stderr
    assert "opt_outs: a number that ends in '94' is not E.164, so it stops no call; correct it" in said


def test_a_damaged_database_is_a_one_line_error_with_exit_code_1(terminal: Terminal) -> None:
    (terminal.folder / "reminderd.db").write_bytes(b"This is no database." * 300)
    assert "not a SQLite database" in terminal.type("list", code=1).stderr


def test_a_reminder_may_be_added_with_a_template(terminal: Terminal) -> None:
    (terminal.folder / "t.toml").write_text(
        'calling.timezone = "Europe/Berlin"\nmessages.templates.checkup = "On {date} at {time}."\n'
    )
    words = (
        "add",
        "--config",
        "t.toml",
        "--phone",
        "+4930123456",
        "--at",
        "2030-01-07 09:30",
        "--template",
        "checkup",
    )
    assert "--appointment: missing" in terminal.type(*words, code=2).stderr
    terminal.type(*words, "--appointment", "2030-01-08 16:00")
    [row] = terminal.json("list")
    assert terminal.json("show", row["id"])["message"] == "On Tuesday, January 8 at 4:00 PM."


def test_a_reminder_may_be_added_in_a_language_and_a_name_for_its_template_is_asked_for(terminal: Terminal) -> None:
    with (terminal.folder / "config.toml").open("a") as config:
        config.write('[messages]\ntemplates.checkup = "Hello {name}."\n')
    words = ("add", "--phone", "+4930123456", "--at", "2030-01-07 09:30", "--template", "checkup")
    assert "--name: missing" in terminal.type(*words, code=2).stderr
    assert "not written in es" in terminal.type(*words, "--name", "Ana", "--language", "Spanish").stderr
    terminal.add("--language", "es")
    languages = [terminal.json("show", row["id"])["language"] for row in terminal.json("list")]
    assert sorted(languages, key=str) == [None, "es"]


def test_a_time_is_read_in_the_patients_time_zone_if_there_is_one(terminal: Terminal) -> None:
    added = terminal.add("--timezone", "America/New_York", "--expires", "2030-01-07 10:00")
    assert added["scheduled_at"] == "2030-01-07T15:30:00.000+01:00"
    assert added["expires_at"] == "2030-01-07T16:00:00.000+01:00"


def test_adding_a_reminder_that_will_not_be_called_warns(terminal: Terminal) -> None:
    with (terminal.folder / "config.toml").open("a") as config:
        config.write('start = "09:00"\nend = "19:00"\n')
    terminal.add()
    words = ["add", "--phone", "+4930123456", "--message", "Hello.", "--at"]
    assert terminal.type(*words, "2030-01-07 05:30").stderr == ""
    late = "the calling hours leave no time to call before 2030-01-07 23:59 CET, so it will expire"
    assert late in terminal.type(*words, "2030-01-07 19:59").stderr
    terminal.type("opt-out", "add", "+4930123456")
    assert "has opted out: it will not be called" in terminal.type(*words, "2030-01-07 10:00").stderr


def test_a_reminder_deleted_during_the_command_is_a_one_line_error_with_exit_code_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match="1"), store_errors():
        raise UnknownReminderError("r1")
    assert capsys.readouterr().err == "not done: no reminder has the id r1\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ("--phone", "+1 876 555 0147"),
            "--phone: a number of Jamaica (JM), and the clinic's own country is US; expected",
        ),
        (("--phone", "+1 900 555 0147"), "--phone: a premium-rate number"),
        (("--phone", "+1 202 555 0190"), "--phone: the clinic's own number"),
        (("--phone", "+1 202 555 0147 ext. 3"), "--phone: has an extension"),
        (("--phone", "202 555 0147", "--timezone", "EST"), "--timezone: EST has no daylight saving time"),
    ],
)
def test_add_refuses_what_an_import_rejects_with_the_same_reason(
    terminal: Terminal, words: tuple[str, ...], says: str
) -> None:
    (terminal.folder / "config.toml").write_text(
        '[clinic]\ncountry = "US"\n[calling]\ntimezone = "US/Eastern"\n[messages]\nphone = "(202) 555-0190"\n'
    )
    said = terminal.type("add", "--at", "2030-01-07 09:30", "--message", "Hello.", *words, code=2).stderr
    assert said.startswith(says)
    assert said.count("\n") == 1


def test_a_national_number_is_stored_as_it_is_dialed_from_abroad(terminal: Terminal) -> None:
    (terminal.folder / "config.toml").write_text('[clinic]\ncountry = "US"\n[calling]\ntimezone = "US/Eastern"\n')
    terminal.type("add", "--phone", "(202) 555-0147", "--at", "2030-01-07 09:30", "--message", "Hello.")
    [row] = terminal.json("list")
    assert row["phone_number"] == "+12025550147"
    assert row["scheduled_at"] == "2030-01-07T09:30:00.000-05:00"
    terminal.type("opt-out", "add", "202-555-0147")
    assert terminal.json("show", row["id"])["status"] == "cancelled"


def test_unfilled_placeholders_and_lost_leading_zeros_cause_warnings(terminal: Terminal) -> None:
    first = ("add", "--phone", "+4930123456", "--at", "2030-01-07 09:30", "--ref")
    assert terminal.type(*first, "0047", "--message", "Hello.").stderr.count("warning") == 0
    said = terminal.type(*first, "47", "--message", "Dear [NameF].").stderr
    assert "warning: message: [NameF] would be read aloud as it stands" in said
    assert "warning: ref: 47 may be 0047, rewritten by a spreadsheet" in said


def test_show_prints_codes_in_json_and_text_in_tables(terminal: Terminal) -> None:
    reminder_id = terminal.add()["id"]
    with open_sync(terminal.folder / "reminderd.db") as connection:
        insert_call(connection, reminder_id, outcome="not_answered")
        connection.execute("UPDATE reminders SET hold_code = 'number_changed', response = 'cancel_requested'")
    document, text = terminal.json("show", reminder_id), terminal.type("show", reminder_id).stdout
    assert document["hold_code"] == "number_changed"
    assert document["calls"][0]["outcome"] == "not_answered"
    assert "not answered" in text
    assert "cancel requested" in text
    assert not any(code in text for code in ("hold_code", "number_changed", "not_answered", "cancel_requested"))


def test_a_note_of_the_manual_call_is_in_the_history_without_a_number(terminal: Terminal) -> None:
    reminder = terminal.add("--ref", "a7")
    terminal.type("done", "a7", "--note", "spoke to her at 0170 123456")
    terminal.type("done", "a7", "--note", "spoke to her at 0170 123456")
    terminal.type("done", "a7", "--note", "she comes")
    shown = terminal.json("show", reminder["id"])
    assert (shown["status"], shown["end_code"]) == ("cancelled", "done_by_staff")
    assert [act["detail"] for act in shown["audit"] if act["act"] == "done"] == [
        "spoke to her at *********56",
        "she comes",
    ]
    assert terminal.type("done", "a7", "--note", " ", code=2).stderr.startswith("--note: not a note")


def test_a_reminder_that_needs_nothing_is_not_noted_as_done(terminal: Terminal) -> None:
    terminal.add("--ref", "a7")
    terminal.type("cancel", "a7")
    refused = terminal.type("done", "a7", code=1).stderr
    assert refused == "not noted: it needs nothing: cancelled (status: cancelled)\n"
    assert terminal.type("call-again", "a7").stdout.endswith(" is scheduled\n")
