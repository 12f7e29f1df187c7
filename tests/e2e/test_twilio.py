"""Twilio, end to end: the real program, and the sandbox that speaks Twilio's dialect over real sockets."""

import sys
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import pytest
import trio

from reminderd.clock import SystemClock
from reminderd.core.model import CallOutcome, Status
from reminderd.core.reasons import EndCode
from reminderd.providers.twilio.webhooks import signature
from reminderd.store.connection import transaction
from reminderd.store.intake import Source
from reminderd.store.reminders import cancel
from reminderd.store.rows import to_ms
from reminderd.store.sqlite.opening import open_sync
from tests.support.builders import RULES
from tests.support.ports import a_free_port
from tests.support.program import clean_environment, running
from tests.support.twilio_clinic import TwilioClinic, a_twilio_clinic
from tests.support.twilio_sandbox import TOKEN
from tests.support.waiting import until

FORM = "application/x-www-form-urlencoded"


async def until_response(clinic: TwilioClinic, reminder_id: str, response: str) -> None:
    await until(lambda: clinic.database.reminder(reminder_id).response == response)


async def until_reported(clinic: TwilioClinic, reminder_id: str) -> None:
    """Wait until the end of every call is on record: a program that stops earlier cuts a webhook off."""
    await until(lambda: all(call.received_at for call in clinic.database.calls(reminder_id)))


@pytest.mark.parametrize(
    ("behavior", "response"),
    [
        ("confirms", "confirmed"),
        ("asks to cancel", "cancel_requested"),
        ("opts out", "opted_out"),
        ("has it repeated", "confirmed"),
        ("wrong key", "confirmed"),
        ("silent", None),
    ],
)
async def test_a_patients_key_press_is_the_response_and_the_phone_rings_once(
    tmp_path: Path, behavior: str, response: str | None
) -> None:
    async with a_twilio_clinic(tmp_path) as clinic, running("run", cwd=tmp_path) as program:
        await program.url()
        name = clinic.insert(behavior)
        reached = await clinic.database.until(name, "called")
        if response is not None:
            await until_response(clinic, name, response)
        else:
            assert reached.response is None
        (placed,) = clinic.twilio.calls
        await until_reported(clinic, name)
        (call,) = clinic.database.calls(name)
        assert await program.terminate() == 0
    assert (call.status, call.external_call_id, call.answered_by) == ("completed", placed.id, "human")
    (placed,) = clinic.twilio.calls
    assert placed.complaints == ()
    assert placed.heard[0].startswith("Hello, this is Doctor Brown's practice")
    assert placed.heard[1] == "Tomorrow at nine."


@pytest.mark.parametrize(
    ("language", "greeting", "thanks"),
    [
        ("es", "Hola, soy Doctor Brown's practice.", "Gracias. Su cita queda confirmada."),
        ("pl", "Dzień dobry, tu Doctor Brown's practice, dzwonimy", "Dziękujemy. Wizyta jest potwierdzona."),
        ("so", "Hello, this is Doctor Brown's practice", "Thank you. Your appointment is confirmed."),
    ],
)
async def test_a_patient_hears_and_answers_a_call_in_their_language(
    tmp_path: Path, language: str, greeting: str, thanks: str
) -> None:
    async with a_twilio_clinic(tmp_path) as clinic:
        with (tmp_path / "config.toml").open("a") as config:
            config.write('[messages.es-US]\nvoice = "Polly.Lupe-Neural"\ngreeting = "Hola, soy {clinic}."\n')
        async with running("run", cwd=tmp_path) as program:
            await program.url()
            name = clinic.insert("confirms", language=language)
            await until_response(clinic, name, "confirmed")
            await until_reported(clinic, name)
            assert await program.terminate() == 0
    (placed,) = clinic.twilio.calls
    assert placed.complaints == ()
    assert placed.heard[0].startswith(greeting)
    assert placed.heard[1] == "Tomorrow at nine."
    assert placed.heard[-1] == thanks


@pytest.mark.parametrize(
    ("behavior", "outcome", "end_code", "reason"),
    [
        ("hangs up", CallOutcome.HUNG_UP, EndCode.HUNG_UP, "hung up during the message"),
        ("hears nothing", CallOutcome.NOT_HEARD, EndCode.NOT_HEARD, "not heard, after 2 calls"),
        ("fax", CallOutcome.NOT_HEARD, EndCode.NOT_HEARD, "not heard, answered by a fax, after 2 calls"),
        ("phone off", CallOutcome.NOT_ANSWERED, EndCode.NOT_ANSWERED, "not answered (SIP 480), after 2 calls"),
        ("declines", CallOutcome.DECLINED, EndCode.DECLINED, "the provider reported: declined (SIP 603)"),
    ],
)
async def test_a_patient_who_did_not_hear_the_message_is_left_to_staff(
    tmp_path: Path, behavior: str, outcome: CallOutcome, end_code: EndCode, reason: str
) -> None:
    async with a_twilio_clinic(tmp_path) as clinic, running("run", cwd=tmp_path) as program:
        await program.url()
        name = clinic.insert(behavior)
        failed = await clinic.database.until(name, "failed")
        assert (failed.end_code, failed.last_error) == (end_code, reason)
        assert {call.outcome for call in clinic.database.calls(name)} == {outcome}
        assert len(clinic.twilio.calls) == (2 if "after 2 calls" in reason else 1)
        assert all("nine" not in text for call in clinic.twilio.calls for text in call.heard)


async def test_a_patient_who_hangs_up_after_the_message_is_reached(tmp_path: Path) -> None:
    async with a_twilio_clinic(tmp_path, pace=1) as clinic, running("run", cwd=tmp_path) as program:
        await program.url()
        name = clinic.insert("hears it out")
        await clinic.database.until(name, "called")
        [call] = clinic.database.calls(name)
        assert call.outcome is CallOutcome.HUNG_UP
        assert call.fetched_at is not None
        assert call.hung_up_at is not None
        assert call.hung_up_at > call.fetched_at


async def test_a_person_detected_as_a_machine_presses_a_key_and_hears_the_message(tmp_path: Path) -> None:
    async with a_twilio_clinic(tmp_path) as clinic, running("run", cwd=tmp_path) as program:
        await program.url()
        name = clinic.insert("mistaken for a machine")
        await clinic.database.until(name, "called")
        await until_response(clinic, name, "confirmed")
        [call] = clinic.twilio.calls
        assert "Tomorrow at nine." in call.heard
        assert call.complaints == ()


async def test_a_message_that_twilio_cannot_fetch_is_not_heard(tmp_path: Path) -> None:
    """The clinic's own address is wrong: Twilio says that the call was completed, and the patient heard an error."""
    async with a_twilio_clinic(tmp_path) as clinic:
        elsewhere = {"REMINDERD__WEB__PUBLIC_BASE_URL": "http://127.0.0.1:9", "REMINDERD__LOG__LEVEL": "DEBUG"}
        elsewhere |= {"REMINDERD__WORKER__OUTCOME_TIMEOUT_SECONDS": "0.5"}
        async with running("run", cwd=tmp_path, env=elsewhere) as program:
            await program.url()
            name = clinic.insert("confirms")
            failed = await clinic.database.until(name, "failed")
            assert failed.end_code is EndCode.NOT_HEARD
            calls = clinic.database.calls(name)
    assert [(call.status, call.outcome, call.fetched_at) for call in calls] == [
        ("completed", CallOutcome.NOT_HEARD, None)
    ] * 2


async def test_an_opt_out_by_key_cancels_all_waiting_reminders_of_the_number(tmp_path: Path) -> None:
    async with a_twilio_clinic(tmp_path) as clinic, running("run", cwd=tmp_path) as program:
        await program.url()
        tomorrow = to_ms(SystemClock().now()) + 86_400_000
        phone = "+12025550119"
        clinic.database.insert("tomorrow", phone, scheduled_at=tomorrow)
        clinic.insert("opts out", name="today")
        await clinic.database.until("tomorrow", "cancelled")
        assert clinic.database.reminder("tomorrow").end_code is EndCode.OPTED_OUT
        assert clinic.database.reminder("today").response == "opted_out"
        assert clinic.database.count("opt_outs") == 1


async def test_a_machine_does_not_hear_the_message_and_the_patient_is_called_again(tmp_path: Path) -> None:
    async with a_twilio_clinic(tmp_path) as clinic, running("run", cwd=tmp_path) as program:
        await program.url()
        name = clinic.insert("voicemail")
        failed = await clinic.database.until(name, "failed")
        assert failed.end_code is EndCode.VOICEMAIL
        assert [call.answered_by for call in clinic.database.calls(name)] == ["machine_end_beep"] * 2
        for call in clinic.twilio.calls:
            assert call.heard == (call.heard[0],) * 2
            assert call.heard[0].startswith("Hello, this is Doctor Brown's practice")
            assert "nine" not in call.heard[0]


@pytest.mark.parametrize("behavior", ["lost answer", "error, placed"])
async def test_a_request_with_a_lost_answer_is_never_repeated_and_its_report_settles_it(
    tmp_path: Path, behavior: str
) -> None:
    async with a_twilio_clinic(tmp_path) as clinic, running("run", cwd=tmp_path) as program:
        await program.url()
        name = clinic.insert(behavior)
        await program.line("unconfirmed: ")
        await clinic.database.until(name, "called")
        assert len(clinic.twilio.calls) == 1


async def test_a_call_that_is_never_reported_is_found_by_asking_twilio(tmp_path: Path) -> None:
    """Killed between the request and its answer, the next daemon knows only its own id, which Twilio does not list."""
    async with a_twilio_clinic(tmp_path, lease_seconds=1, timeout_seconds=0.5, outcome_timeout_seconds=1) as clinic:
        async with running("run", cwd=tmp_path) as program:
            await program.url()
            name = clinic.insert("no webhook")
            await until(lambda: clinic.twilio.calls)
            await program.kill()
        with open_sync(tmp_path / "clinic.db") as connection:  # as if it had died before the answer came
            connection.execute(
                "UPDATE call_logs SET state = 'dialing', status = NULL, external_call_id = NULL, evidence = 0,"
                " lease_token = 'gone', wake_at = created_at"
            )
            connection.execute("UPDATE reminders SET status = 'dialing', revision = revision + 1")
        async with running("run", cwd=tmp_path) as program:
            await clinic.database.until(name, "called")
            found, again = clinic.database.calls(name)
            assert (found.external_call_id, found.outcome) == (clinic.twilio.calls[0].id, CallOutcome.NOT_HEARD)
            assert again.outcome is CallOutcome.HEARD
            assert len(clinic.twilio.calls) == 2


async def test_a_phone_that_rings_for_a_cancelled_reminder_stops_ringing(tmp_path: Path) -> None:
    async with a_twilio_clinic(tmp_path, pace=0.5) as clinic, running("run", cwd=tmp_path) as program:
        await program.url()
        name = clinic.insert("answered")
        await clinic.rings("answered")
        with open_sync(tmp_path / "clinic.db") as connection:
            stop = partial(cancel, reminder_id=name, rules=RULES, source=Source(actor="staff"))
            transaction(connection, stop, SystemClock().now())
        await until(lambda: not any(call.state.alive for call in clinic.database.calls(name)))
        assert clinic.database.reminder(name).status is Status.CANCELLED
        (call,) = clinic.twilio.calls
        assert (call.status, call.heard) == ("canceled", ())
        assert [call.status for call in clinic.database.calls(name)] == ["canceled"]


async def test_a_failing_address_pauses_dialing_until_it_is_corrected(tmp_path: Path) -> None:
    """Nothing reaches us, so only look-ups tell that two calls were answered; nobody else is called to hear nothing."""
    async with a_twilio_clinic(tmp_path, outcome_timeout_seconds=0.5) as clinic:
        config = tmp_path / "config.toml"
        right = config.read_text()
        config.write_text(right.replace(f'"{clinic.url}"', f'"http://127.0.0.1:{a_free_port()}"'))
        async with running("run", cwd=tmp_path) as program:
            await program.url()
            clinic.insert("answered", area=202)
            clinic.insert("answered", area=203, name="second")
            await program.line(r"ERROR .*dialing pauses: .*\[web\]\.public_base_url")
            clinic.insert("confirms", name="third")
            assert await program.terminate() == 0
        called = len(clinic.twilio.calls)
        async with running("run", cwd=tmp_path) as program:
            url = await program.url()
            await program.line(r"ERROR .*dialing pauses: ")  # a restart alone needs no more patients to say so
            ready = await clinic.database.client.get(f"{url}/health/ready")
            assert (ready.status_code, [*ready.json()["failing"]]) == (503, ["public address"])
            assert "[web].public_base_url" in ready.json()["failing"]["public address"]
            assert (len(clinic.twilio.calls), clinic.calls_to("confirms")) == (called, [])
            config.write_text(right)
            await program.reload(r"changed: \[web\]\.public_base_url$")
            await program.line("dialing resumes")
            await clinic.database.until("third", "called")
            assert (await clinic.database.client.get(f"{url}/health/ready")).status_code == 200
            assert await program.terminate() == 0


async def test_a_changed_public_address_ends_the_pause_at_once(tmp_path: Path) -> None:
    async with a_twilio_clinic(tmp_path) as clinic, running("run", cwd=tmp_path) as program:
        await program.url()
        with open_sync(tmp_path / "clinic.db") as connection:
            now = str(to_ms(SystemClock().now()))
            connection.execute("INSERT INTO settings (key, value) VALUES ('unreached_since', ?)", (now,))
        await program.line(r"ERROR .*dialing pauses: .*\[web\]\.public_base_url")
        config = tmp_path / "config.toml"
        config.write_text(config.read_text().replace(f'"{clinic.url}"', f'"{clinic.url}/webhooks-of-ours"'))
        await program.reload(r"changed: \[web\]\.public_base_url$")
        await program.line("our address has changed: dialing resumes")
        assert clinic.twilio.calls == ()
        assert await program.terminate() == 0


async def test_a_forged_callback_is_403_and_changes_nothing(tmp_path: Path) -> None:
    async with a_twilio_clinic(tmp_path, pace=30) as clinic, running("run", cwd=tmp_path) as program:
        await program.url()
        name = clinic.insert("answered")
        await clinic.database.until(name, "processing")
        (call,) = clinic.database.calls(name)
        fields = [("CallSid", call.external_call_id or ""), ("CallStatus", "completed")]
        url = f"{clinic.url}/webhooks/twilio/status/{call.id}"
        headers = {"Content-Type": FORM, "X-Twilio-Signature": signature("not the token", url, fields)}
        answer = await clinic.database.client.post(url, content=urlencode(fields), headers=headers)
        assert (answer.status_code, answer.json()) == (403, {"error": "Invalid signature"})
        assert clinic.database.reminder(name).status is Status.PROCESSING
        headers["X-Twilio-Signature"] = signature(TOKEN, url, fields)
        answer = await clinic.database.client.post(url, content=urlencode(fields), headers=headers)
        assert (answer.status_code, answer.content) == (204, b"")
        [ended] = clinic.database.calls(name)
        assert (ended.status, ended.outcome) == ("completed", CallOutcome.NOT_HEARD), "nothing was spoken in it"


async def test_a_wrong_token_pauses_dialing_and_keeps_the_reminders(tmp_path: Path) -> None:
    async with a_twilio_clinic(tmp_path) as clinic:
        async with running("run", cwd=tmp_path, env={"TWILIO_AUTH_TOKEN": "wrong"}) as program:
            await program.url()
            name = clinic.insert("answered")
            line = await program.line("the provider is failing, dialing pauses: (.*)")
            assert line[1].startswith("401 Unauthorized: 20003")
            assert not clinic.database.reminder(name).status.final
            await program.terminate()
        async with running("run", cwd=tmp_path) as program:
            await clinic.database.until(name, "called")


@pytest.mark.parametrize(
    ("environment", "code", "words"),
    [
        ({}, 0, "online: the provider accepts our account"),
        ({"TWILIO_AUTH_TOKEN": "wrong"}, 1, "online: the account can't be read: 401 Unauthorized: 20003"),
        ({"TWILIO_FROM_NUMBER": "+12025550170"}, 1, "online: from_number is not this account's"),
    ],
)
async def test_check_config_online_says_whether_twilio_accepts_the_account(
    tmp_path: Path, environment: dict[str, str], code: int, words: str
) -> None:
    async with a_twilio_clinic(tmp_path):
        command = [sys.executable, "-m", "reminderd", "check-config", "--online"]
        done = await trio.run_process(
            command,
            cwd=tmp_path,
            env=clean_environment(environment),
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == code, said
    assert words in said
