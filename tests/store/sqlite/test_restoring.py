import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from reminderd.core.answers import Accepted
from reminderd.core.logins import Role, counters
from reminderd.core.model import Status
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.store import reminders as acts
from reminderd.store.audit import acts_on
from reminderd.store.claims import wake_waiting
from reminderd.store.errors import CopyError, StoreUnavailableError, StoreUnusableError
from reminderd.store.examination import broken_promises
from reminderd.store.intake import Source
from reminderd.store.opt_outs import opt_out
from reminderd.store.rows import to_ms
from reminderd.store.shared_state import database_id, last_pause, paused, set_pause, unreached_since
from reminderd.store.sqlite.copying import copy, open_copy
from reminderd.store.sqlite.driver import connect
from reminderd.store.sqlite.integrity import integrity_errors
from reminderd.store.sqlite.migrate import migrations
from reminderd.store.sqlite.opening import ensured_database_id, open_sync
from reminderd.store.sqlite.restoring import Restored, restore
from reminderd.store.users import (
    Secrets,
    add_user,
    find_user,
    has_logged_in_from,
    note_failure,
    open_session,
    remove_user,
    set_secrets,
)
from tests.support import schemas
from tests.support.builders import DAY, HOUR, MINUTE, NOW, RULES, a_report
from tests.support.rows import sqlite
from tests.support.store import Store, a_store, contents

LATER = NOW + 8 * HOUR

# Restores the second file over the first, again and again on copies in the folder named last. A timer kills it each
# time, later than the time before, until it comes to its end. Then it prints what the database contains. The first
# times are so short that it can't come to its end, even if it is now much quicker than when its time was taken.
STRUCK = """
import os, shutil, signal, sys, time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from reminderd.clock import SystemClock
from reminderd.store.sqlite.opening import open_sync
from reminderd.core.rules import Rules
from reminderd.store.sqlite.restoring import restore

old, backup, folder = map(Path, sys.argv[1:])

def put_back(path):
    restore(path, backup, SystemClock().now(), actor="anna", replace=True, rules=Rules())

shutil.copy(old, folder / "whole.db")
begun = time.monotonic()
put_back(folder / "whole.db")
whole = time.monotonic() - begun
for number in range(1, 41):
    path = folder / f"{number}.db"
    shutil.copy(old, path)
    child = os.fork()
    if child == 0:
        signal.setitimer(signal.ITIMER_REAL, 1.5 * whole * (number / 40) ** 2)
        put_back(path)
        os._exit(0)
    struck = os.WIFSIGNALED(os.waitpid(child, 0)[1])
    with open_sync(path) as connection:
        values = [row[0] for row in connection.execute("SELECT DISTINCT value FROM settings WHERE key GLOB '[0-9]*'")]
        sound = connection.execute("PRAGMA integrity_check").fetchone()[0]
    print(int(struck), *values, sound)
"""


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    return tmp_path / "backup.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with a_store(path) as store:
        yield store


def backed_up(store: Store, backup: Path) -> None:
    copy(sqlite(store.connection), backup)


def put_back(path: Path, backup: Path, *, replace: bool = True, now: datetime = LATER) -> Restored:
    return restore(path, backup, now, actor="anna", replace=replace, rules=RULES)


def resume(store: Store) -> None:
    store.write(partial(set_pause, on=False, reason=None, actor="anna"))


def test_all_reminders_that_may_have_been_called_fail(path: Path, backup: Path, store: Store) -> None:
    with store.one_transaction():
        for number in range(1_100):  # more than are decided together
            store.insert(f"r{number:04}", f"+1202555{number:04}")
    backed_up(store, backup)
    store.connection.close()
    held = put_back(path, backup).held
    assert [one.id for one in held] == [f"r{number:04}" for number in range(1_100)]
    assert {one.end_code for one in held} == {EndCode.RESTORED}


def test_a_restored_database_has_what_the_backup_had(path: Path, backup: Path) -> None:
    with a_store(path) as store:
        store.insert("done", status="called", wake_at=None)
        store.insert("next", scheduled_at=to_ms(NOW + DAY))
        backed_up(store, backup)
        before = contents(store.connection)
        store.connection.execute("DELETE FROM reminders")
    done = put_back(path, backup)
    with open_sync(path) as connection:
        after = contents(connection)
        for table in ("reminders", "call_logs", "webhook_receipts", "opt_outs", "alerts"):
            assert after[table] == before[table]
        assert integrity_errors(connection) == []
    assert (done.held, done.mistakes, done.opt_outs) == ([], [], 0)
    assert sorted(path.parent.iterdir()) == [backup, path, done.kept]


def test_dialing_is_paused_after_a_restore_with_the_reason(path: Path, backup: Path) -> None:
    with a_store(path) as store:
        store.insert("next", scheduled_at=to_ms(NOW + DAY), updated_at=to_ms(NOW))
        backed_up(store, backup)
    put_back(path, backup)
    with open_sync(path) as connection:
        assert paused(connection)
        act = last_pause(connection)
        assert act is not None
        assert (act["actor"], act["detail"]) == ("anna", "a backup was restored, last changed 2026-03-02 10:00 UTC")


def test_a_backup_with_a_pause_gets_the_reason_of_the_restore(path: Path, backup: Path) -> None:
    with a_store(path) as store:
        store.write(partial(set_pause, on=True, reason="holidays", actor="bert"))
        backed_up(store, backup)
    put_back(path, backup)
    with open_sync(path) as connection:
        act = last_pause(connection)
        assert act is not None
        assert "a backup was restored" in str(act["detail"])


def test_an_address_failing_in_the_backup_is_not_failing_after_the_restore(path: Path, backup: Path) -> None:
    with a_store(path) as store:
        store.insert()
        store.connection.execute("INSERT INTO settings (key, value) VALUES ('unreached_since', '1780000000000')")
        backed_up(store, backup)
    put_back(path, backup)
    with a_store(path) as store:
        assert unreached_since(store.connection) is None


def test_nobody_is_called_who_may_have_been_called_since_the_backup(path: Path, backup: Path) -> None:
    with a_store(path) as store:
        store.insert("open", "+12025550001")
        [action] = store.claim()
        store.answer(action, Accepted("ext-1"))
        store.insert("due", "+12025550002", scheduled_at=to_ms(LATER))
        store.insert("next", "+12025550003", scheduled_at=to_ms(LATER + timedelta(milliseconds=1)))
        backed_up(store, backup)
        # After the backup the call ends and the other is called.
        store.report(a_report("completed", reminder_id="open", attempt_id=action.call.id))
    done = put_back(path, backup)
    assert [reminder.id for reminder in done.held] == ["open", "due"]
    with a_store(path, first_id=100) as store:
        store.now = LATER + HOUR
        resume(store)
        assert [action.call.reminder_id for action in store.claim()] == ["next"]
        assert {store.reminder(each).end_code for each in ("open", "due")} == {EndCode.RESTORED}
        assert [act["act"] for act in acts_on(store.connection, "due")] == ["restore"]
        # What the provider still tells counts.
        store.report(a_report("completed", reminder_id="open", attempt_id=action.call.id))
        assert store.reminder("open").status is Status.CALLED
        assert broken_promises(store.connection) == []


def test_with_a_clock_behind_the_backups_last_change_that_change_counts(path: Path, backup: Path) -> None:
    with a_store(path) as store:
        store.insert("due", scheduled_at=to_ms(NOW + HOUR))
        store.insert("next", "+12025550002", scheduled_at=to_ms(NOW + HOUR + MINUTE))
        store.later(HOUR)
        store.insert("last", "+12025550003", scheduled_at=to_ms(NOW + DAY))
        backed_up(store, backup)
    assert [reminder.id for reminder in put_back(path, backup, now=NOW).held] == ["due"]


def test_a_patient_called_early_after_changed_hours_is_not_called_again(path: Path, backup: Path) -> None:
    with a_store(path) as store:
        store.insert(hold_code="hours", wake_at=to_ms(NOW + 3 * HOUR))
        backed_up(store, backup)
        store.write(wake_waiting)
        [_] = store.claim()
    assert [reminder.id for reminder in put_back(path, backup, now=NOW + MINUTE).held] == ["r1"]
    with a_store(path) as store:
        store.later(3 * HOUR)
        resume(store)
        assert store.claim() == []


def test_a_reminder_added_again_after_a_restore_is_called_only_if_staff_ask(path: Path, backup: Path) -> None:
    with a_store(path) as store:
        backed_up(store, backup)
        # After the backup it came with a list, and was called.
        store.insert()
        [_] = store.claim()
    put_back(path, backup, now=NOW + MINUTE)
    with a_store(path) as store:
        store.insert()
        store.insert("new", "+12025550002", scheduled_at=to_ms(NOW + 2 * MINUTE))
        store.later(HOUR)
        resume(store)
        assert [action.call.reminder_id for action in store.claim()] == ["new"]
        assert (store.reminder().status, store.reminder().end_code) == (Status.FAILED, EndCode.RESTORED)
        store.later(MINUTE)
        store.write(partial(acts.call_again, reminder_id="r1", rules=RULES, source=Source(actor="anna")))
        assert [action.call.reminder_id for action in store.claim()] == ["r1"]


@pytest.mark.parametrize("is_put_in_again", [False, True])
def test_a_report_of_a_call_made_after_the_backup_counts(path: Path, backup: Path, *, is_put_in_again: bool) -> None:
    with a_store(path) as store:
        if not is_put_in_again:
            store.insert()
        backed_up(store, backup)
        if is_put_in_again:
            store.insert()
        [action] = store.claim()
        store.answer(action, Accepted("ext-1"))
    put_back(path, backup, now=NOW + MINUTE)
    with a_store(path) as store:
        if is_put_in_again:
            store.insert()
        report = a_report("completed", reminder_id="r1", attempt_id=action.call.id)
        store.report(report)
        store.claims()
        assert store.reminder().status is Status.CALLED
        assert (store.call(action.call.id).adopted, store.call(action.call.id).external_call_id) == (True, "ext-1")
        assert store.report(report).duplicate
        resume(store)
        store.later(HOUR)
        assert store.claim() == []


def test_the_number_of_a_call_made_after_the_backup_is_busy_while_it_is_alive(path: Path, backup: Path) -> None:
    with a_store(path) as store:
        store.insert()
        backed_up(store, backup)
        [action] = store.claim()
        store.answer(action, Accepted("ext-1"))
    put_back(path, backup, now=NOW + MINUTE)
    with a_store(path, first_id=100) as store:
        store.insert("next", scheduled_at=to_ms(NOW + 2 * MINUTE))
        resume(store)
        store.later(10 * MINUTE)
        store.report(a_report("ringing", reminder_id="r1", attempt_id=action.call.id))
        store.later(RULES.outcome_timeout - MINUTE)
        assert store.claim() == []
        assert store.reminder("next").hold_code is HoldCode.NUMBER_BUSY
        store.later(MINUTE)
        assert [one.call.reminder_id for one in store.claim()] == ["next"]


def test_opt_outs_of_the_replaced_database_are_kept(path: Path, backup: Path) -> None:
    with a_store(path) as store:
        store.insert("next", "+12025550003", scheduled_at=to_ms(NOW + DAY))
        store.write(partial(opt_out, phone_number="+12025550009", source="before", actor="patient", rules=RULES))
        backed_up(store, backup)
        store.later(MINUTE)
        store.write(partial(opt_out, phone_number="+12025550003", source="key 9", actor="patient", rules=RULES))
    assert put_back(path, backup).opt_outs == 1
    with a_store(path) as store:
        rows = store.connection.execute("SELECT phone_number, source, created_at FROM opt_outs ORDER BY source")
        assert [tuple(row) for row in rows.fetchall()] == [
            ("+12025550009", "before", to_ms(NOW)),
            ("+12025550003", "key 9", to_ms(NOW + MINUTE)),
        ]
        assert store.reminder("next").status is Status.CANCELLED


def with_account(store: Store, name: str, password_hash: str) -> None:
    secrets = Secrets(password_hash=password_hash, totp_secret=None)
    if not store.write(partial(add_user, name=name, role=Role.DESK, secrets=secrets, actor="root")):
        store.write(partial(set_secrets, name=name, secrets=secrets, actor="root"))
    user = find_user(store.connection, name)
    assert user is not None
    store.write(partial(open_session, user=user, address="192.0.2.7", step=None))


def accounts_of(path: Path) -> dict[str, str]:
    with open_sync(path) as connection:
        assert connection.execute("SELECT count(*) FROM sessions").fetchone()[0] == 0
        assert connection.execute("SELECT count(*) FROM login_failures").fetchone()[0] == 0
        return {
            row["name"]: row["password_hash"] for row in connection.execute("SELECT name, password_hash FROM users")
        }


def test_the_accounts_of_the_replaced_database_are_kept_and_nobody_is_logged_in(path: Path, backup: Path) -> None:
    with a_store(path) as store:
        with_account(store, "anna", "old")
        with_account(store, "berta", "of somebody who has left")
        backed_up(store, backup)
        with_account(store, "anna", "new")
        store.write(partial(remove_user, name="berta", actor="root"))
        stranger = counters("anna", "198.51.100.7", exists=True, is_known=False)
        store.write(partial(note_failure, counted=stranger, detail=""))
    done = put_back(path, backup)
    assert (done.accounts, done.accounts_are_new) == (1, True)
    assert accounts_of(path) == {"anna": "new"}
    with open_sync(path) as connection:
        assert has_logged_in_from(connection, NOW, name="anna", address="192.0.2.7")


def test_where_no_database_with_accounts_is_replaced_those_of_the_backup_count(path: Path, backup: Path) -> None:
    with a_store(path) as store:
        with_account(store, "anna", "old")
        backed_up(store, backup)
    path.unlink()
    done = restore(path, backup, LATER, actor="anna", replace=False, rules=RULES)
    assert (done.accounts, done.accounts_are_new) == (1, False)
    assert accounts_of(path) == {"anna": "old"}
    with open_sync(path) as connection:
        connection.execute("DELETE FROM users")
    assert put_back(path, backup).accounts_are_new is False
    assert accounts_of(path) == {"anna": "old"}


def test_the_replaced_database_is_kept_whole_next_to_the_new_one(path: Path, backup: Path) -> None:
    with a_store(path) as store:
        backed_up(store, backup)
        store.insert("only here")
        before = contents(store.connection)
    kept = put_back(path, backup).kept
    assert kept == path.with_name("reminderd.db.replaced-20260302T180000Z")
    assert kept.stat().st_mode & 0o777 == 0o600
    with open_sync(kept) as connection:
        assert contents(connection) == before


def test_the_replaced_database_is_synced_before_anything_is_overwritten(
    path: Path, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_store(path) as store:
        backed_up(store, backup)
        store.insert(message="only in the original")
    seen = []

    def has_its_content() -> bool:
        # By another process: to close the file in this one would drop the locks that SQLite holds on it.
        return subprocess.run(["/usr/bin/env", "grep", "-q", "only in the original", path], check=False).returncode == 0

    def forced(file: Path) -> None:
        seen.append((file.name, len(list(path.parent.glob("reminderd.db.replaced-*"))), has_its_content()))

    monkeypatch.setattr("reminderd.files.force_to_disk", forced)
    put_back(path, backup)
    (kept, *before), folder = seen
    assert kept.startswith(".reminderd.db.replaced-")
    assert before == [0, True]
    assert folder == (path.parent.name, 1, True)
    assert not has_its_content()


def test_a_database_is_only_replaced_on_request(path: Path, store: Store, backup: Path) -> None:
    store.insert()
    backed_up(store, backup)
    with pytest.raises(CopyError, match=r"reminderd\.db: exists; --force replaces it"):
        put_back(path, backup, replace=False)
    assert store.count("audit") == 0


def test_a_new_restored_database_is_accessible_only_to_its_owner(tmp_path: Path, store: Store, backup: Path) -> None:
    store.insert("next", scheduled_at=to_ms(NOW + DAY))
    backed_up(store, backup)
    new = tmp_path / "new.db"
    done = put_back(new, backup, replace=False)
    assert (done.kept, done.opt_outs) == (None, None)
    assert new.stat().st_mode & 0o777 == 0o600
    with open_sync(new) as connection:
        assert connection.execute("SELECT id FROM reminders").fetchone()[0] == "next"


def test_an_open_database_is_not_replaced(path: Path, store: Store, backup: Path) -> None:
    store.insert()
    backed_up(store, backup)
    before = contents(store.connection)
    with pytest.raises(StoreUnavailableError, match="in use; stop the daemon"):
        put_back(path, backup)
    assert contents(store.connection) == before
    assert not list(path.parent.glob("*replaced*"))
    assert not list(path.parent.glob(".*"))


def test_a_killed_daemons_wal_is_part_of_the_kept_database(path: Path, backup: Path) -> None:
    with a_store(path) as store:
        backed_up(store, backup)
    program = (
        "import os, signal, sys; from pathlib import Path; from reminderd.store.sqlite.opening import open_connection\n"
        "connection = open_connection(Path(sys.argv[1]))\n"
        "connection.execute(\"INSERT INTO settings VALUES ('in the', 'log')\")\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program, path], check=False)
    assert path.with_name("reminderd.db-wal").stat().st_size > 0
    kept = put_back(path, backup).kept
    assert not list(path.parent.glob("reminderd.db-*"))
    assert kept is not None
    with open_sync(kept) as connection, open_sync(path) as restored:
        assert connection.execute("SELECT value FROM settings WHERE key = 'in the'").fetchone()[0] == "log"
        assert restored.execute("SELECT value FROM settings WHERE key = 'in the'").fetchone() is None


def test_a_damaged_database_is_replaced_and_kept_unchanged(path: Path, backup: Path) -> None:
    with a_store(path) as store:
        store.insert("next", scheduled_at=to_ms(NOW + DAY))
        backed_up(store, backup)
        page = store.connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'opt_outs'").fetchone()[0]
    content = bytearray(path.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    path.write_bytes(content)
    done = put_back(path, backup)
    assert done.opt_outs is None
    assert done.kept is not None
    assert done.kept.read_bytes()[(page - 1) * 4096 : page * 4096] == b"\xff" * 4096
    with open_sync(path) as connection:
        assert integrity_errors(connection) == []


def test_a_file_that_is_not_a_database_must_be_moved_away_first(path: Path, backup: Path, tmp_path: Path) -> None:
    with a_store(tmp_path / "other.db") as store:
        backed_up(store, backup)
    path.write_bytes(b"nonsense" * 1000)
    with pytest.raises(StoreUnusableError, match=r"not a SQLite database .*; move it away, with its -wal and -shm"):
        put_back(path, backup)
    assert path.read_bytes() == b"nonsense" * 1000


def test_another_programs_database_is_not_replaced(path: Path, backup: Path, tmp_path: Path) -> None:
    with a_store(tmp_path / "other.db") as store:
        backed_up(store, backup)
    with closing(connect(str(path))) as other:
        other.execute("CREATE TABLE patients(name)")
    with pytest.raises(StoreUnusableError, match="made by another program"):
        put_back(path, backup)
    with closing(connect(str(path))) as other:
        assert other.execute("SELECT count(*) FROM patients").fetchone()[0] == 0


def test_a_newer_programs_database_can_be_replaced_by_an_older_backup(path: Path, backup: Path) -> None:
    with a_store(path) as store:
        store.insert("next", scheduled_at=to_ms(NOW + DAY))
        backed_up(store, backup)
        store.connection.execute("PRAGMA user_version = 99")
    put_back(path, backup)
    with open_sync(path) as connection:
        assert connection.execute("SELECT count(*) FROM reminders").fetchone()[0] == 1


def test_a_damaged_backup_is_refused_before_any_change(path: Path, backup: Path) -> None:
    with a_store(path) as store:
        backed_up(store, backup)
        page = store.connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'audit'").fetchone()[0]
        before = contents(store.connection)
    content = bytearray(backup.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    backup.write_bytes(content)
    with pytest.raises(CopyError, match=r"backup\.db: the copy is damaged"):
        put_back(path, backup)
    with a_store(path) as store:
        assert contents(store.connection) == before


def test_a_newer_backup_is_refused(path: Path, backup: Path) -> None:
    with a_store(path) as store:
        backed_up(store, backup)
    with closing(connect(str(backup))) as newer:
        newer.execute("PRAGMA user_version = 99")
    with pytest.raises(CopyError, match=r"made by a newer reminderd \(schema 99"):
        put_back(path, backup)


@pytest.mark.parametrize("version", schemas.versions())
def test_an_older_backup_gets_the_newest_schema(path: Path, backup: Path, version: int) -> None:
    schemas.build(version, backup)
    done = put_back(path, backup)
    assert sorted(reminder.id for reminder in done.held) == ["rings", "waits"]
    with open_sync(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == migrations()[-1].number
        assert connection.execute("SELECT count(*) FROM reminders").fetchone()[0] == 4
    assert not list(path.parent.glob("*schema*"))


def test_a_database_cannot_be_restored_from_itself(path: Path) -> None:
    open_sync(path).__enter__().close()
    with pytest.raises(CopyError, match="is the database itself"):
        put_back(path, path)


def test_a_crash_leaves_the_old_or_the_restored_database(path: Path, backup: Path, tmp_path: Path) -> None:
    for value in ("new", "old"):
        with a_store(path) as store:
            store.connection.execute("BEGIN")
            store.connection.execute("DELETE FROM settings WHERE key GLOB '[0-9]*'")
            store.connection.executemany("INSERT INTO settings VALUES (?, ?)", [(f"{n}", value) for n in range(20_000)])
            store.connection.execute("COMMIT")
            if value == "new":
                backed_up(store, backup)
    (tmp_path / "struck").mkdir()
    command = [sys.executable, "-c", STRUCK, str(path), str(backup), str(tmp_path / "struck")]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert len(lines) == 40
    assert set(lines) <= {"1 old ok", "1 new ok", "0 new ok"}
    assert "1 old ok" in lines


def clinics(tmp_path: Path) -> list[Path]:
    """Return two databases, each with one reminder named after its clinic."""
    found = []
    for name in ("ours", "theirs"):
        found.append(tmp_path / f"{name}.db")
        with a_store(found[-1]) as store:
            store.insert(name, scheduled_at=to_ms(NOW + DAY))
    return found


def names_and_id(path: Path) -> tuple[list[str], str]:
    with open_sync(path) as connection:
        return [row["id"] for row in connection.execute("SELECT id FROM reminders")], ensured_database_id(connection)


def test_another_databases_backup_is_only_restored_on_request_and_the_id_stays(tmp_path: Path, backup: Path) -> None:
    ours, theirs = clinics(tmp_path)
    with open_sync(theirs) as connection:
        copy(connection, backup)
    before = names_and_id(ours)
    with pytest.raises(CopyError, match=r"is a backup of another database; .*--from-another restores it anyway"):
        put_back(ours, backup)
    assert names_and_id(ours) == before
    assert not list(tmp_path.glob("*replaced*"))
    restore(ours, backup, LATER, actor="anna", replace=True, rules=RULES, from_another=True)
    assert names_and_id(ours) == (["theirs"], before[1])


@pytest.mark.parametrize("loses", ["ours", "backup"])
def test_a_backup_without_a_matching_id_is_refused(tmp_path: Path, backup: Path, loses: str) -> None:
    ours = clinics(tmp_path)[0]
    forget = "DELETE FROM settings WHERE key = 'database_id'"
    with open_sync(ours) as connection:
        copy(connection, backup)
    with closing(connect(str(ours if loses == "ours" else backup), isolation_level=None)) as forgetful:
        forgetful.execute(forget)
    with pytest.raises(CopyError, match="expected one of this database"):
        put_back(ours, backup)
    with open_copy(backup) as copied:
        its_id = database_id(copied)
    restore(ours, backup, LATER, actor="anna", replace=True, rules=RULES, from_another=True)
    assert names_and_id(ours) != (["ours"], its_id), "it never takes over an id that may be another's"


def test_a_new_database_from_another_backup_has_its_own_id(tmp_path: Path, backup: Path) -> None:
    theirs = clinics(tmp_path)[1]
    with open_sync(theirs) as connection:
        copy(connection, backup)
    new = tmp_path / "new.db"
    restore(new, backup, LATER, actor="anna", replace=False, rules=RULES, from_another=True)
    assert names_and_id(new)[0] == ["theirs"]
    assert names_and_id(new)[1] != names_and_id(theirs)[1]


def test_without_a_database_the_restored_one_has_its_backups_id(tmp_path: Path, backup: Path) -> None:
    ours = clinics(tmp_path)[0]
    with open_sync(ours) as connection:
        copy(connection, backup)
    put_back(tmp_path / "new.db", backup)
    assert names_and_id(tmp_path / "new.db") == names_and_id(ours)


def test_a_second_restore_within_a_second_keeps_what_each_of_them_replaced(path: Path, backup: Path) -> None:
    with a_store(path) as store:
        backed_up(store, backup)
        store.insert("only here")
    first, second = put_back(path, backup).kept, put_back(path, backup).kept
    assert first is not None
    assert second == first.with_name(f"{first.name}-2")
    with open_sync(first) as connection:
        assert [row["id"] for row in connection.execute("SELECT id FROM reminders")] == ["only here"]


# A process whose files can't grow beyond the size that is named last, as a disk that fills up; says what it ran into.
SHORT_OF_ROOM = """
import resource, sys
from pathlib import Path
from reminderd.clock import SystemClock
from reminderd.core.rules import Rules
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.sqlite.restoring import restore

path, backup = map(Path, sys.argv[1:3])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    restore(path, backup, SystemClock().now(), actor="anna", replace=True, rules=Rules())
except StoreUnavailableError as error:
    print(error)
"""


def test_a_disk_that_fills_up_leaves_only_the_old_database(path: Path, backup: Path) -> None:
    with a_store(path) as store:
        backed_up(store, backup)
        store.insert("only here", message="x" * 2_000_000)
    with open_sync(path) as connection:
        before = contents(connection)
    for size in (4_096, 100_000, backup.stat().st_size, 1_000_000):
        command = [sys.executable, "-c", SHORT_OF_ROOM, str(path), str(backup), str(size)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        assert said.count("\n") == 1, (size, said)
        assert "disk" in said
        assert sorted(path.parent.iterdir()) == [backup, path]
        with open_sync(path) as connection:
            assert contents(connection) == before
