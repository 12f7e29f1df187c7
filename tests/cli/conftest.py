"""The command line in this process, in its own folder."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from click.testing import CliRunner, Result

from reminderd.cli.main import reminderd
from reminderd.clock import SystemClock
from tests.support.program import clean_environment


@frozen
class Terminal:
    """Runs commands; the database is `reminderd.db` in `folder`, and the clinic is in Berlin."""

    folder: Path
    runner: CliRunner

    def type(self, *words: str, code: int = 0, stdin: str | None = None) -> Result:
        result = self.runner.invoke(reminderd, words, input=stdin, env={"COLUMNS": "200"})
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result

    def json(self, *words: str) -> Any:
        return json.loads(self.type(*words, "--json").stdout)

    def add(self, *more: str) -> dict[str, Any]:
        added: dict[str, Any] = self.json(
            "add", "--phone", "+49 30 123456", "--at", "2030-01-07 09:30", "--message", "Tomorrow at nine.", *more
        )
        return added


@pytest.fixture
def before_the_files_appointments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the clock to a day before the calls in the tests' files, which are too late on any day after March 2027."""
    monkeypatch.setattr(SystemClock, "now", lambda _clock: datetime(2027, 2, 1, 12, tzinfo=UTC))


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.chdir(tmp_path)
    for name in ("REMINDERD_CONFIG", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "config.toml").write_text('[calling]\ntimezone = "Europe/Berlin"\n')
    runner = CliRunner(env={name: value for name, value in clean_environment().items() if name != "PYTHONPATH"})
    return Terminal(tmp_path, runner)
