"""The real program reports the outcomes of reminders to the clinic's own system."""

import csv
import json
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import trio
from standardwebhooks import Webhook

from reminderd.clock import SystemClock
from reminderd.store.sqlite.opening import open_sync
from tests.support.api import TOKEN
from tests.support.clinic import Clinic
from tests.support.generic_server import SECRET, send, webhook
from tests.support.hostile_provider import answering, hostile
from tests.support.program import running
from tests.support.waiting import until

HEADERS = {"Authorization": f"Bearer {TOKEN}"}
ENVIRONMENT = {"REMINDERD__API__TOKEN": TOKEN}


def results(clinic: Clinic, url: str, more: str = "") -> None:
    clinic.configure()
    with (clinic.folder / "config.toml").open("a") as file:
        file.write(f'[results]\nurl = "{url}"\nsecret = "{SECRET}"\n{more}')


def written(clinic: Clinic) -> list[Path]:
    return list((clinic.folder / "out").glob("answers-*.csv"))


async def test_an_outcome_reaches_the_clinics_system_a_client_that_waits_and_a_file(clinic: Clinic) -> None:
    (clinic.folder / "out").mkdir()
    async with hostile(answering(204)) as system:
        results(clinic, system.url, 'folder = "out"\nevery_minutes = 60\n')
        clinic.insert("r0", ref="appointment-0", status="cancelled")
        async with running("run", cwd=clinic.folder, env=ENVIRONMENT) as program, trio.open_nursery() as nursery:
            url = await program.url()
            pages: list[dict[str, Any]] = []

            async def wait() -> None:
                parameters = {"after": cursor, "wait": "25"}
                answer = await clinic.client.get(f"{url}/api/changes", params=parameters, headers=HEADERS)
                pages.append(answer.json())

            cursor = (await clinic.client.get(f"{url}/api/changes", headers=HEADERS)).json()["next"]
            nursery.start_soon(wait)
            clinic.insert("r1", ref="appointment-1")
            [ring] = await clinic.provider.rang(1)
            await clinic.until("r1", "processing")
            await send(clinic.client, url, webhook(ring))
            [_, request] = await system.heard(2)
            files = await until(partial(written, clinic))
            assert await program.terminate() == 0
    change = Webhook(SECRET).verify(request.body, dict(request.headers))["data"]
    assert (change["reminder_ref"], change["outcome"], change["call_outcome"]) == ("appointment-1", "reached", "heard")
    assert [page["changes"] for page in pages] == [[change]]
    with files[0].open(encoding="utf-8", newline="") as text:
        [row] = csv.DictReader(text)
    assert (row["ref"], row["outcome"]) == ("appointment-0", "cancelled")
    assert not any("Tomorrow" in line or "+1202" in line for line in program.lines)


async def test_after_a_reload_changes_go_to_the_new_address_and_a_client_that_waits_is_answered(
    clinic: Clinic,
) -> None:
    async with hostile(answering(503)) as old, hostile(answering(204)) as new:
        results(clinic, old.url)
        async with running("run", cwd=clinic.folder, env=ENVIRONMENT) as program:
            url = await program.url()
            clinic.insert("r1", status="cancelled")
            await old.heard(1)
            cursor = (await clinic.client.get(f"{url}/api/changes", headers=HEADERS)).json()["next"]
            answers: list[dict[str, Any]] = []

            async def wait() -> None:
                parameters = {"after": cursor, "wait": "60"}
                answer = await clinic.client.get(f"{url}/api/changes", params=parameters, headers=HEADERS)
                answers.append(answer.json())

            with trio.fail_after(50):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(wait)
                    results(clinic, new.url)
                    await program.reload(r"INFO .*reloaded, changed: \[results\]\.url$")
                    while not answers:  # it may have begun to wait only after that reload
                        await program.reload(r"INFO .*reloaded, changed: nothing$")
            [request] = await new.heard(1)
            assert json.loads(request.body)["data"]["reminder_id"] == "r1"
            assert answers == [{"changes": [], "next": cursor}]
            assert await program.terminate() == 0


async def test_what_was_not_accepted_before_a_kill_is_sent_after_the_next_start(clinic: Clinic) -> None:
    async with hostile(answering(500)) as down:
        results(clinic, down.url)
        async with running("run", cwd=clinic.folder) as program:
            await program.url()
            clinic.insert("r1", status="cancelled")
            [first, *_] = await down.heard(1)
            await program.kill()
    async with hostile(answering(200)) as up:
        results(clinic, up.url)
        async with running("run", cwd=clinic.folder) as program:
            [again, *_] = await up.heard(1)
            assert again.headers["webhook-id"] == first.headers["webhook-id"]
            assert await program.terminate() == 0


async def test_a_dropped_file_is_called_and_comes_back_in_its_own_columns(clinic: Clinic) -> None:
    """The clinic edits no cell, and has one profile for both ways."""
    for name in ("in", "out"):
        (clinic.folder / name).mkdir()
    clinic.configure()
    with (clinic.folder / "config.toml").open("a") as file:
        file.write(
            '[import]\nfolder = "in"\n[import.profiles.practice]\nfiles = "*.csv"\n'
            'columns = { scheduled_at = "Anruf" }\n'
            '[results]\nfolder = "out"\nevery_minutes = 1\nprofile = "practice"\n'
        )
    due = SystemClock().now() - timedelta(minutes=5)
    async with running("run", cwd=clinic.folder) as program:
        url = await program.url()
        unfinished = clinic.folder / "list.tmp"
        unfinished.write_text(
            f"Terminnummer,Mobil,Anruf,Nachricht\nT 7,+4930123456,{due:%Y-%m-%d %H:%MZ},Morgen um neun.\n"
        )
        unfinished.rename(clinic.folder / "in" / "list.csv")
        [ring] = await clinic.provider.rang(1)
        await clinic.until(ring.reminder_id, "processing")
        await send(clinic.client, url, webhook(ring))
        await clinic.until(ring.reminder_id, "called")
        assert await program.terminate() == 0
    # The next start writes what is due by then: no test waits for a minute.
    with open_sync(clinic.folder / "clinic.db") as connection:
        connection.execute("DELETE FROM settings WHERE key = 'results_folder_at'").fetchall()
    async with running("run", cwd=clinic.folder) as program:
        files = await until(partial(written, clinic))
        assert await program.terminate() == 0
    with files[0].open(encoding="utf-8", newline="") as text:
        [row] = csv.DictReader(text)
    assert (row["Terminnummer"], row["Mobil"], row["status"], row["outcome"]) == (
        "T 7",
        "'+4930123456",
        "called",
        "reached",
    )
