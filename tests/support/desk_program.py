"""The real program with the front desk's pages of a busy day, in its own process, for tests without Trio."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

from attrs import define, field

from reminderd.cli.demo import configured
from reminderd.cli.demo_day import place_of, write_day
from reminderd.clock import SystemClock
from reminderd.config import Config, rules_of
from reminderd.core.answers import Capabilities
from reminderd.core.logins import Role
from reminderd.desk.addresses import Addresses
from reminderd.passwords import hash_password
from reminderd.store.any_engine import open_sync
from reminderd.store.connection import Connection, transaction
from reminderd.store.users import Secrets, add_user
from tests.support.ports import a_free_port
from tests.support.program import clean_environment
from tests.support.waiting import PATIENCE

NAME, ADMIN, OTHER = "anna", "ben", "clara"
PASSWORD = "four tall quiet trees"


@define(kw_only=True)
class DeskProgram:
    """A started `reminderd run`."""

    folder: Path
    config: Config
    url: str
    process: "subprocess.Popen[str]"
    lines: list[str] = field(factory=list)

    def command(self, *words: str) -> str:
        """Run a command of staff in its folder, and return what it prints."""
        command = [sys.executable, "-m", "reminderd", *words]
        env = clean_environment()
        return subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, check=True).stdout

    def record_of(self, patient: str) -> str:
        """Return the path of the record of a patient's reminder."""
        [row] = self.rows(
            "SELECT r.id, s.value FROM reminders AS r JOIN appointments AS a ON a.id = r.appointment_id,"
            f" settings AS s WHERE a.name = '{patient}' AND s.key = 'desk_key'"
        )
        return f"/r/{Addresses(bytes.fromhex(str(row['value']))).address_of(str(row['id']))}"

    def run_sql(self, sql: str) -> None:
        """Change the database as another program does."""
        with open_sync(self.config.database.target) as connection:
            connection.execute(sql)

    def rows(self, sql: str) -> list[dict[str, object]]:
        """Return the rows of a query."""
        with open_sync(self.config.database.target) as connection:
            return [dict(row) for row in connection.execute(sql).fetchall()]


@contextmanager
def desk_program(folder: Path, *, language: str = "en", with_users: bool = True) -> Iterator[DeskProgram]:
    """Run the program on a busy day in an empty folder; its provider is the sandbox."""
    now = SystemClock().now()
    config = configured(folder, language, place_of(now), port=a_free_port())
    with open_sync(config.database.target) as connection:
        write_day(
            connection, now, rules_of(config, provider="sandbox", capabilities=Capabilities(asks_what_to_say=True))
        )
        if with_users:
            _add_users(connection)
    command = [sys.executable, "-m", "reminderd", "run"]
    env = clean_environment()
    with subprocess.Popen(command, cwd=folder, env=env, stderr=subprocess.PIPE, text=True) as process:
        lines: Queue[str] = Queue()
        reader = Thread(target=_read, args=(process, lines), daemon=True)
        reader.start()
        try:
            url = _line_with("the front desk's pages are at ", lines)
            yield DeskProgram(folder=folder, config=config, url=url, process=process)
        finally:
            process.kill()
            process.wait()
            reader.join()


@contextmanager
def demo_desk(folder: Path, *words: str) -> Iterator[tuple["subprocess.Popen[str]", dict[str, str]]]:
    """Run `reminderd demo --desk` in a folder; yield its process, and the address and the log-in that it prints."""
    (folder / "tmp").mkdir()
    env = clean_environment() | {"TMPDIR": str(folder / "tmp"), "REMINDERD__DATABASE__URL": "sqlite:///other.db"}
    command = [sys.executable, "-m", "reminderd", "demo", "--desk", *words]
    with subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(3)]
            yield process, {line[:10].strip(): line[10:].strip() for line in lines}
        finally:
            process.kill()


def _add_users(connection: Connection) -> None:
    now, secrets = SystemClock().now(), Secrets(password_hash=hash_password(PASSWORD), totp_secret=None)
    for name, role in ((NAME, Role.DESK), (ADMIN, Role.ADMIN), (OTHER, Role.DESK)):
        transaction(connection, partial(add_user, name=name, role=role, secrets=secrets, actor="test"), now)


def _read(process: "subprocess.Popen[str]", lines: "Queue[str]") -> None:
    assert process.stderr is not None
    for line in process.stderr:
        lines.put(line)


def _line_with(text: str, lines: "Queue[str]") -> str:
    """Return what follows a text in the log."""
    seen: list[str] = []
    try:
        while True:
            seen.append(lines.get(timeout=PATIENCE))
            if text in seen[-1]:
                return seen[-1].partition(text)[2].strip()
    except Empty:
        raise AssertionError(f"no {text!r} in {seen}") from None
