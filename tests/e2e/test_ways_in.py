"""`add`, the import, its dry run and the API read the same reminder alike: the same reasons, the same warnings."""

import csv
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from attrs import frozen
from click.testing import CliRunner

from reminderd.cli.main import reminderd
from tests.support.api import TOKEN
from tests.support.clinic import Clinic
from tests.support.program import running

NOBODY_KNOWS_WHERE = '[messages]\ntemplates.visit = "Please call us."\n'
IN_WASHINGTON = (
    '[clinic]\ncountry = "US"\n[calling]\ntimezone = "America/New_York"\nstart = "09:00"\nend = "19:00"\n'
    '[messages]\nphone = "(202) 555-0190"\n'
    'templates.visit = "{name}, please call us."\n'
)
COLUMNS = (
    "ref",
    "phone_number",
    "message",
    "template",
    "appointment_at",
    "scheduled_at",
    "timezone",
    "language",
    "name",
)
OPTIONS = {"phone_number": "phone", "scheduled_at": "at", "appointment_at": "appointment"}
REMINDER = {"phone_number": "+1 202 555 0147", "message": "Hello.", "scheduled_at": "2099-03-02 10:00-05:00"}


@frozen
class WaysIn:
    """The running program and its commands; each way returns its errors about a reminder."""

    clinic: Clinic
    url: str

    def add(self, reminder: dict[str, str]) -> str:
        options = [f"--{OPTIONS.get(name, name)}={value}" for name, value in reminder.items()]
        return CliRunner().invoke(reminderd, ["add", *options]).stderr

    def import_(self, reminder: dict[str, str], *options: str) -> str:
        with (self.clinic.folder / "list.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, COLUMNS)
            table.writeheader()
            table.writerow(reminder)
        rejected = self.clinic.folder / "list.rejected.csv"
        rejected.unlink(missing_ok=True)
        said = CliRunner().invoke(reminderd, ["import", "list.csv", *options]).stderr
        return said + (rejected.read_text(encoding="utf-8-sig") if rejected.exists() else "")

    async def post(self, reminder: dict[str, str]) -> str:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = await self.clinic.client.post(f"{self.url}/api/reminders", json=reminder, headers=headers)
        document = answer.json()
        said = [error["detail"] for error in document.get("errors", [])] + document.get("warnings", [])
        return json.dumps(said, ensure_ascii=False)


@asynccontextmanager
async def ways_in(clinic: Clinic, sections: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WaysIn]:
    with (clinic.folder / "config.toml").open("a") as config:
        config.write(f'{sections}[api]\ntoken = "{TOKEN}"\n')
    monkeypatch.chdir(clinic.folder)
    async with running("run", cwd=clinic.folder) as program:
        yield WaysIn(clinic, await program.url())


@pytest.mark.parametrize(
    ("sections", "mistakes"),
    [
        (
            NOBODY_KNOWS_WHERE,
            [
                ({"phone_number": "202 555 0147"}, "without country code, and [clinic].country is not set"),
                ({"scheduled_at": "2099-03-02 10:00"}, "a local time, and [calling].timezone is not set"),
                (
                    {"message": "", "template": "visit", "appointment_at": "2099-03-03 09:00"},
                    "a local time, and [calling].timezone is not set",
                ),
            ],
        ),
        (
            IN_WASHINGTON,
            [
                ({"phone_number": "+49 30 123456"}, "a number of Germany (DE), and the clinic's own country is US"),
                ({"phone_number": "+1 999 999 9999"}, "no such number can exist"),
                ({"phone_number": "+1 900 555 0147"}, "a premium-rate number"),
                ({"phone_number": "+1 202 555 0190"}, "the clinic's own number"),
                ({"phone_number": "+1 202 555 0147 ext. 12"}, "has an extension"),
                ({"timezone": "EST"}, "EST has no daylight saving time; expected a zone like America/New_York"),
                ({"scheduled_at": "2099-03-02 10:00-11:00"}, "a slot or a time with an offset"),
                ({"language": "und"}, "not a known language; expected a language tag (BCP 47)"),
                ({"message": "", "template": "visit"}, "missing; expected the name that the template visit mentions"),
                ({"message": "", "template": "visit", "name": "{name}"}, "contains a brace, a placeholder or markup"),
            ],
        ),
    ],
    ids=["nobody knows where", "in Washington"],
)
async def test_every_way_in_refuses_an_uncallable_reminder_with_the_same_reason(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, sections: str, mistakes: list[tuple[dict[str, str], str]]
) -> None:
    async with ways_in(clinic, sections, monkeypatch) as ways:
        for changes, reason in mistakes:
            wanted = {name: value for name, value in (REMINDER | changes).items() if value}
            assert reason in ways.add(wanted)
            assert reason in ways.import_(wanted, "--dry-run")
            assert reason in ways.import_(wanted)
            assert reason in await ways.post(wanted)
    assert clinic.count("reminders") == 0


async def test_every_way_in_gives_the_same_warnings(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings = [
        ({"phone_number": "+1 202 555 0148"}, "this number has opted out: it will not be called"),
        ({"scheduled_at": "2099-03-02 20:00"}, "the calling hours leave no time to call before 2099-03-03 00:00 EST"),
        ({"message": "Dear [NameF]."}, "message: [NameF] would be read aloud as it stands"),
        ({"ref": "47"}, "may be 0047, rewritten by a spreadsheet"),
        ({"language": "Somali"}, "language: there are no texts in so, so the call is spoken by the voice for en-US"),
    ]
    async with ways_in(clinic, IN_WASHINGTON, monkeypatch) as ways:
        CliRunner().invoke(reminderd, ["opt-out", "add", "+1 202 555 0148"])
        clinic.insert("r1", "+12025550147", ref="0047", scheduled_at=4_076_000_000_000)
        for changes, warning in warnings:
            # Each way asks for another one, as nothing is said against the same again.
            first, second, third = (
                REMINDER
                | changes
                | {"message": f"{(REMINDER | changes)['message']} {number}."}
                | ({"ref": changes["ref"] + zeros} if "ref" in changes else {})
                for number, zeros in enumerate(("", ".0", ".00"))
            )
            assert warning in ways.import_(first, "--dry-run")
            assert warning in ways.import_(first)
            assert warning in ways.add(second)
            assert warning in await ways.post(third)
    assert clinic.count("reminders") == 1 + 3 * len(warnings)
