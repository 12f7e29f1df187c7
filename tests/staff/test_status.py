"""What the status has from the database and the disk, and the line for each fact."""

from datetime import timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve

from reminderd.cli.common import in_zone
from reminderd.config import Config
from reminderd.config.installation import BackupConfig, DatabaseConfig
from reminderd.core.daemons import Job
from reminderd.core.imports import FOLDER, ImportStatus
from reminderd.core.monitoring import DaemonReport, StatusReport
from reminderd.core.sentences import text_of
from reminderd.databases import SqliteFile, Target
from reminderd.staff.status import lines_of, look_at_database, status_report
from reminderd.store.any_engine import open_sync
from reminderd.store.connection import snapshot, transaction
from reminderd.store.daemon_rows import record_alive
from reminderd.store.import_records import begin_import, end_import
from reminderd.store.rows import to_ms
from reminderd.store.shared_state import set_pause
from tests.support.builders import NOW, a_daemon
from tests.support.databases import url_of
from tests.support.rows import insert_row

pytestmark = pytest.mark.also_on_postgres

DAEMON = DaemonReport(
    version="1.2.3",
    started_at=NOW,
    provider="generic",
    parts={"provider": "dialing is paused: HTTP 503"},
    last_poll=None,
    last_webhook=NOW - timedelta(seconds=1_200),
    database_id=None,
)


def seen(config: Config, daemon: DaemonReport | str = DAEMON) -> StatusReport:
    with open_sync(config.database.target) as connection:
        return status_report(
            snapshot(connection, partial(look_at_database, config=config, now=NOW, uncallable={})), daemon, config
        )


def lines(report: StatusReport) -> dict[str, str]:
    show = partial(in_zone, ZoneInfo("UTC"))
    return {text_of(name, show): text_of(line, show) for name, line in lines_of(report)}


def config_of(target: Target) -> Config:
    return evolve(Config(), database=DatabaseConfig(url=url_of(target)))


def test_each_fact_has_a_line(target: Target) -> None:
    found = lines(seen(config_of(target)))
    assert found["last webhook"] == "2026-03-02 09:40:00, 1,200 s ago"
    assert found["last poll"] == "not by this process, which only receives webhooks"
    assert found["provider"] == "generic, dialing is paused: HTTP 503"
    if isinstance(target, SqliteFile):
        assert found["backup"] == "none: [backup].folder is not set"
    assert found["dialing"] == "not paused"
    assert "results" not in found
    assert found["daemons"] == "none"


def test_held_reminders_are_counted_by_their_reason(target: Target) -> None:
    with open_sync(target) as connection:
        for place, code in enumerate(("hours", "redial", "redial")):
            row = {"id": f"r{place}", "phone_number": "+12025550147", "message": "Hello", "scheduled_at": to_ms(NOW)}
            insert_row(connection, "reminders", row | {"hold_code": code})
    held = lines(seen(config_of(target)))["held"]
    assert held.startswith("3: ")
    assert set(held[3:].split(", ")) == {"outside the calling hours (1)", "not reached yet; will be called again (2)"}


def test_all_daemons_that_are_alive_are_named_with_what_they_do(target: Target) -> None:
    config = config_of(target)
    others = [a_daemon("a"), a_daemon("b", host="south", version="1.3.0")]
    with open_sync(config.database.target) as connection:
        for daemon, wanted in zip(others, ([Job.ALERTS, Job.RETENTION], [Job.ALERTS]), strict=True):
            transaction(connection, partial(record_alive, daemon=daemon, wanted=wanted), NOW - timedelta(seconds=3))
    found = lines(seen(config))
    assert found["daemons"] == (
        "north (pid 1), 1.2.0, since 2026-03-02 10:00:00, seen 3 s ago, jobs for all: alerts, deleting old data;"
        " south (pid 1), 1.3.0, since 2026-03-02 10:00:00, seen 3 s ago, jobs for all: none"
    )
    assert found["warning"].startswith("the daemons run different versions: 1.2.0 on north (pid 1), 1.3.0 on south")


def test_a_pause_is_named_with_who_when_and_why(target: Target) -> None:
    config = config_of(target)
    with open_sync(config.database.target) as connection:
        transaction(connection, partial(set_pause, on=True, reason="fire drill", actor="anna"), NOW)
    assert lines(seen(config))["dialing"] == (
        "dialing is paused by anna since 2026-03-02 10:00:00 (fire drill); reminderd resume ends it"
    )


def test_only_refused_files_of_the_last_day_are_errors(target: Target) -> None:
    config = config_of(target)
    with open_sync(config.database.target) as connection:
        for hours, name in ((25, "old.csv"), (23, "new.csv")):
            at = NOW - timedelta(hours=hours)
            begun = transaction(connection, partial(begin_import, file=name, profile=None, actor=FOLDER), at)
            end = partial(
                end_import, import_id=begun, status=ImportStatus.REFUSED, done={}, rejected=0, reason="no rows"
            )
            transaction(connection, end, at)
    report = seen(config)
    assert [one.file for one in report.refused] == ["new.csv"]
    assert lines(report)["last import"] == "2026-03-01 11:00:00: new.csv: refused: no rows"


def test_a_missing_folder_of_backups_is_named_by_its_key(tmp_path: Path) -> None:
    config = evolve(
        config_of(SqliteFile(tmp_path / "reminderd.db")), backup=BackupConfig(folder=str(tmp_path / "secret"))
    )
    report = seen(config)
    assert report.backup == "backup: there is none in [backup].folder"
    assert lines(report)["backup"] == "there is none in [backup].folder"
