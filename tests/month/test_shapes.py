"""Import files as practice software writes them, call their patients, and write the results, with no cell edited.

Their profiles are read from docs/import.md.
"""

import csv
import os
import re
import shutil
import tomllib
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import trio
from attrs import frozen

from reminderd.config import Config, load_config, rules_of
from reminderd.core.answers import Accepted, Report
from reminderd.core.imports import ImportStatus
from reminderd.databases import SqliteFile
from reminderd.imports.folder import Folder, import_dropped
from reminderd.results.answer_files import Files, due_every, keep_writing
from reminderd.results.forms import Form
from reminderd.store.database import open_database
from reminderd.store.sqlite.opening import open_sync
from reminderd.store.stats import next_wakes
from tests.support.builders import BOTH, MINUTE
from tests.support.clock import HandClock
from tests.support.store import Store
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests/cli/files"
ZONE = ZoneInfo("America/New_York")
NOW = datetime(2027, 2, 22, 8, 0, tzinfo=ZONE)
"""A moment before all times in the samples."""

CONFIG = """
[database]
url = "sqlite:///clinic.db"
[clinic]
country = "US"
allowed_countries = ["US", "DE"]
[calling]
timezone = "America/New_York"
start = "09:00"
end = "19:00"
[messages]
templates = {{ checkup = "Your check-up is on {{date}} at {{time}}." }}
{reminders}
[import]
folder = "inbox"
[import.profiles.practice]
{profile}
[results]
folder = "answers"
every_minutes = 15
profile = "practice"
"""


@frozen
class Shape:
    """A row of the table in docs/import.md, or of `PLAIN`."""

    header: str
    profile: str = ""
    """The profile in TOML; empty if none is needed."""
    are_appointments: bool = False


PLAIN = (
    Shape("Telefon;Nachricht;Anrufdatum;Anrufzeit"),
    Shape("home phone,work phone,mobile phone,message,at"),
    Shape("phone|message|at"),
    Shape("phone,message,at"),
    Shape("phone,message,at,ref"),
    Shape("ref,phone,message,at"),
    Shape("phone,message,date,time,ref", profile='columns = { date = "date", time = "time" }'),
)
"""Tables of reminders whose headers are usual words for the columns, so that the document need not show them."""


def the_section() -> str:
    page = (ROOT / "docs/import.md").read_text(encoding="utf-8")
    return page[page.index("With these profiles, the files of practice software are imported as they are") :]


def the_shapes() -> list[Shape]:
    """Return the rows of the table in the document, and the tables that need no profile."""
    _, _, after = the_section().partition("| the file's header | its profile | its rows become |\n|---|---|---|\n")
    shapes = list(PLAIN)
    for line in after.split("\n\n")[0].splitlines():
        header, profile, become = (cell.strip() for cell in line.split("|")[1:4])
        header = header.split("`")[1]
        shapes.append(Shape(header, "" if profile == "none" else profile.strip("`"), become.startswith("appointments")))
    return shapes


def the_reminders() -> str:
    """Return the section of the configuration for them."""
    [block] = re.findall(r"^    \[reminders\]\n(?:    .*\n)+", the_section(), re.MULTILINE)[:1]
    text = re.sub(r"^    ", "", block, flags=re.MULTILINE)
    assert tomllib.loads(text)["reminders"]["before"]
    return text


def samples_of(shape: Shape) -> list[Path]:
    return [path for path in sorted(SAMPLES.glob("*.csv")) if shape.header in path.read_text("utf-8").splitlines()]


REJECTED = {"time-slots.csv": 3}
"""The number of lines that no profile makes readable: their slots can be read in two ways."""
NOT_IN_THE_TABLE = {"times.csv": "each line is a case of its own, with what it must be read as"}
NAMES = {
    "practice-export.csv": ("Patient Account Number", {"1001", "1002"}),  # its appointments have no number
    "appointment-only.csv": ("ApptGUID", {"g1"}),
    "appointment-and-call-columns.csv": ("Appointment ID", {"1001"}),
    "status-column.csv": ("Booking ID", {"B1"}),
    "termin.csv": ("Terminnummer", {"4711"}),
    "leading-zero-1.csv": ("ref", {"0047"}),
    "leading-zero-2.csv": ("ref", {"47"}),
    "unfilled-fields.csv": ("ref", {"U1", "U2", "U3"}),
    "time-slots.csv": ("ref", {"A1", "A2", "A3", "A4", "A6", "A7", "A10"}),
}
"""The column of the file by which the practice software finds a line of the results, and what is in it."""
OVER = {"status-column.csv": 2}
"""The number of lines whose appointments do not take place."""


def test_every_sample_has_a_profile_in_the_documents_or_plain_headers() -> None:
    covered = {path.name for shape in the_shapes() for path in samples_of(shape)}
    assert covered | NOT_IN_THE_TABLE.keys() == {path.name for path in SAMPLES.glob("*.csv")}


CASES = [
    pytest.param(shape, one.name, id=f"{one.name} {shape.profile}")
    for shape in the_shapes()
    for one in samples_of(shape)
]


@pytest.fixture
def clock() -> HandClock:
    return HandClock(time=NOW)


def configured(folder: Path, shape: Shape) -> Config:
    text = CONFIG.format(reminders=the_reminders(), profile=shape.profile)
    (folder / "config.toml").write_text(text, encoding="utf-8")
    (folder / "inbox").mkdir()
    (folder / "answers").mkdir()
    return load_config(None, {}, folder)


def drop(sample: str, folder: Path, config: Config, clock: HandClock) -> None:
    """Drop a file, and import it as the daemon does."""
    there = shutil.copy(SAMPLES / sample, folder / "inbox" / sample)
    os.utime(there, ((clock.time - MINUTE).timestamp(),) * 2)
    [dropped] = Folder(folder / "inbox").complete_files(clock.seconds, clock.time)
    result = import_dropped(dropped, config, clock, lambda: False)
    assert (result.status, result.rejected) == (ImportStatus.DONE, REJECTED.get(sample, 0)), result.text
    assert (folder / "inbox/done" / sample).read_bytes() == (SAMPLES / sample).read_bytes()


def everybody_is_called(folder: Path, config: Config, clock: HandClock) -> int:
    """Call everybody who is due, until nobody is; return the number of calls. Each is answered and heard."""
    calls = 0
    with open_sync(folder / "clinic.db") as connection:
        rules = rules_of(config, provider="fake", account="the clinic's", capabilities=BOTH)
        store = Store(connection, rules, clock.time)
        while (wake := next_wakes(connection, store.now).reminder) is not None:
            store.later(max(wake - store.now, timedelta(0)))
            for action in store.claim():
                store.answer(action, Accepted(f"ext-{action.call.id}"))
                ended = Report(
                    external_call_id=f"ext-{action.call.id}",
                    status="completed",
                    attempt_id=action.call.id,
                    duration_seconds=30,
                )
                store.report(ended)
                calls += 1
        clock.advance(store.now - clock.time)
        [uncalled] = connection.execute("SELECT count(*) FROM reminders WHERE status <> 'called'").fetchone()
        assert uncalled == 0
    return calls


async def results(folder: Path, config: Config, clock: HandClock) -> list[dict[str, str]]:
    """Have the file of results written, and read it."""
    stopping = trio.Event()
    form = Form(format="csv", columns=config.import_.profiles["practice"].columns, zone=ZONE)
    async with open_database(SqliteFile(folder / "clinic.db"), clock) as database, trio.open_nursery() as nursery:
        files = Files(
            folder=folder / "answers",
            form=form,
            profile="practice",
            due=due_every(15),
            database=database,
            clock=clock,
            stopping=stopping,
        )
        nursery.start_soon(keep_writing, files)
        written = await until(lambda: list((folder / "answers").glob("answers-*.csv")))
        stopping.set()
    with written[0].open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


@pytest.mark.parametrize(("shape", "sample"), CASES)
async def test_a_file_goes_from_the_folder_to_the_patients_and_back_into_a_file(
    tmp_path: Path, clock: HandClock, shape: Shape, sample: str
) -> None:
    config = configured(tmp_path, shape)
    drop(sample, tmp_path, config, clock)
    with (SAMPLES / sample).open(encoding="utf-8") as file:
        lines = sum(bool(line.strip()) for line in file) - 1 - (sample == "title-rows.csv")
    standing = lines - REJECTED.get(sample, 0) - OVER.get(sample, 0)
    per_line = 2 if shape.are_appointments else 1
    assert everybody_is_called(tmp_path, config, clock) == standing * per_line
    rows = await results(tmp_path, config, clock)
    called = [row for row in rows if row["status"] == "called"]
    assert len(called) == standing * per_line
    column, names = NAMES.get(sample, ("ref", {""}))
    assert {row[column] for row in called} == names
    assert len({row["change_id"] for row in rows}) == len(rows)
