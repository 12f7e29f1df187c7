"""One file by three ways, the command, the folder and the page: each does, rejects and records the same."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from reminderd.cli.main import reminderd
from reminderd.clock import SystemClock
from reminderd.config import Config, load_config
from reminderd.core.imports import FileRefusedError
from reminderd.core.tables.columns import ColumnsError
from reminderd.databases import Target
from reminderd.desk.uploads import Checked, ImportSummary, check_upload, import_as_shown
from reminderd.imports.folder import Folder, import_dropped
from reminderd.imports.formats import profile_of
from reminderd.imports.one_file import FileImport, refusal_of
from reminderd.imports.snapshot import Coverage
from reminderd.store.any_engine import open_sync
from tests.support.databases import url_of
from tests.support.program import clean_environment

pytestmark = pytest.mark.also_on_postgres

CONFIG = """
[calling]
timezone = "Europe/Berlin"
[messages.templates]
visit = "Your appointment is on {date}."
[reminders]
before = ["3 days"]
template = "visit"
[import]
folder = "inbox"
[import.profiles.practice]
files = "*.csv"
snapshot_days = 400
"""
HEADER = "ref,mobile,home phone,appointment_at\n"
FIRST = HEADER + "".join(f"A-{number},+4930123456,,2040-01-0{number + 1} 09:30\n" for number in range(6))
SECOND = (
    HEADER
    + "A-0,+4930123456,,2040-01-01 09:30\nA-1,,+4930123457,2040-01-02 10:30\n"
    + "".join(f"A-{number},+4930123456,,2040-01-0{number + 1} 09:30\n" for number in range(3, 6))
    + "A-8,030,,2040-01-07 09:30\nA-9,+4930123458,,2040-01-20 09:30\n"
)
NO_TABLE = "Erika Mustermann,+49 30 123456\n"


def by_command(file: Path, config: Config) -> None:
    assert config.path is not None
    words = ["import", str(file), "--profile", "practice", "--config", str(config.path)]
    result = CliRunner(env=dict(clean_environment())).invoke(reminderd, words)
    assert "Traceback" not in result.output


def by_folder(file: Path, config: Config) -> None:
    inbox = config.path.parent / "inbox" if config.path is not None else file.parent
    inbox.mkdir(exist_ok=True)
    (inbox / file.name).write_bytes(file.read_bytes())
    folder, now = Folder(inbox), SystemClock().now()
    folder.complete_files(0, now)
    for dropped in folder.complete_files(3600, now):
        import_dropped(dropped, config, SystemClock(), lambda: False)


def by_page(file: Path, config: Config) -> None:
    profile = profile_of(config, "practice")
    one = FileImport(
        file=file,
        name=file.name,
        profile=profile,
        coverage=Coverage(days=profile.snapshot_days),
        rejected=file.with_name("page.rejected.csv"),
        actor="maria",
        config=config,
        clock=SystemClock(),
    )
    with open_sync(config.database.target):
        pass  # the daemon has made it
    shown = check_upload(one, config.database.target, lambda _share, _tally: None, lambda: False)
    assert isinstance(shown, Checked)
    done = import_as_shown(one, config.database.target, shown, lambda _share, _tally: None, lambda: False)
    assert isinstance(done, ImportSummary)
    assert done == shown.would, "what was shown is what is done"


def state(target: Target) -> dict[str, list[tuple[Any, ...]]]:
    """What is stored, but who did it and when."""
    with open_sync(target) as connection:
        return {sql: [tuple(row) for row in connection.execute(sql).fetchall()] for sql in STORED}


STORED = (
    "SELECT ref, phone_number, at, status, source, end_code, former_number IS NULL FROM appointments ORDER BY ref",
    "SELECT phone_number, scheduled_at, status, message, end_code, hold_code FROM reminders ORDER BY 1, 2, 3, 5",
    """
    SELECT file, profile, status, added, changed, held, unchanged, cancelled, rejected, reason FROM imports ORDER BY id
    """,
    "SELECT act, detail, count(*) FROM audit GROUP BY act, detail ORDER BY act, detail",
)


def after(
    folder: Path, target: Target, way: Callable[[Path, Config], None], *contents: str
) -> dict[str, list[tuple[Any, ...]]]:
    """Return what is stored after some files have come in one way."""
    folder.mkdir()
    (folder / "config.toml").write_text(f'{CONFIG}\n[database]\nurl = "{url_of(target)}"\n')
    config = load_config(folder / "config.toml", {}, folder)
    (folder / "files").mkdir()
    for content in contents:
        (folder / "files" / "list.csv").write_text(content)
        way(folder / "files" / "list.csv", config)
    return state(target)


def test_a_snapshot_does_the_same_by_each_way(tmp_path: Path, new_target: Callable[[], Target]) -> None:
    ways = {"command": by_command, "folder": by_folder, "page": by_page}
    found = {name: after(tmp_path / name, new_target(), way, FIRST, SECOND) for name, way in ways.items()}
    assert found["command"] == found["folder"] == found["page"]
    [_, second] = found["page"][STORED[2]]
    assert second == ("list.csv", "practice", "done", 1, 0, 1, 4, 1, 1, None)


def test_a_file_that_is_refused_is_recorded_in_the_same_way(tmp_path: Path, new_target: Callable[[], Target]) -> None:
    ways = {"command": by_command, "folder": by_folder}
    found = {name: after(tmp_path / name, new_target(), way, FIRST, NO_TABLE) for name, way in ways.items()}
    assert found["command"] == found["folder"]
    [_, refused] = found["folder"][STORED[2]]
    assert (refused[2], "phone_number: no column" in refused[-1], "Erika" in refused[-1]) == ("refused", True, False)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FileRefusedError("it is empty; expected a header"), "it is empty; expected a header"),
        (ColumnsError(["phone_number: no column", 'headers found: "Erika"']), "phone_number: no column"),
        (ColumnsError(["status: what is it?"]), "status: what is it?"),
    ],
)
def test_the_reason_of_a_refusal_has_no_cells(error: FileRefusedError | ColumnsError, reason: str) -> None:
    refusal = refusal_of(error)
    assert refusal.reason == reason
    assert refusal.mistakes == getattr(error, "mistakes", [str(error)])
