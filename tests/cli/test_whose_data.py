"""The sandbox and a clinic's data: which commands close a database to it."""

from pathlib import Path

import pytest

from reminderd.store.sqlite.opening import open_sync
from reminderd.store.sqlite.restoring import restore
from tests.cli.conftest import Terminal
from tests.support.builders import NOW, RULES

GENERIC = '[provider]\nkind = "generic"\n[provider.generic]\napi_url = "http://127.0.0.1:9"\napi_key = "k"\n'
PLACE = '[calling]\ntimezone = "Europe/Berlin"\n'
SECRET = 'webhook_secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"\n'
ADD = ("add", "--phone", "+493012345678", "--at", "2030-01-07 09:30Z", "--message", "Tomorrow at nine.", "--ref", "r1")


@pytest.fixture(autouse=True)
def _a_daemon_that_is_not_refused_ends_anyway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMINDERD__WEB__HOST", "192.0.2.1")  # nobody's address, RFC 5737: it cannot listen there


@pytest.fixture
def real(terminal: Terminal) -> Path:
    """Return a configuration with a real provider, in a file that is not found by default."""
    (terminal.folder / "config.toml").unlink()
    file = terminal.folder / "clinic.toml"
    file.write_text(GENERIC + SECRET + PLACE)
    return file


def refused(terminal: Terminal, *words: str) -> str:
    return terminal.type("run", *words, code=2).output


@pytest.mark.parametrize("command", [ADD, ("list",), ("opt-out", "add", "+493012345678"), ("pause",)])
def test_any_command_with_a_real_provider_closes_the_database_to_the_sandbox(
    terminal: Terminal, real: Path, command: tuple[str, ...]
) -> None:
    terminal.type(*ADD[:-1], "newcomer")
    terminal.type(*command, "--config", str(real))
    assert "has been in use with the provider generic" in refused(terminal)


def test_a_configuration_without_a_provider_is_refused_naming_the_file(terminal: Terminal, real: Path) -> None:
    terminal.type(*ADD, "--config", str(real))
    (terminal.folder / "config.toml").write_text(PLACE)
    assert refused(terminal).startswith(f"{terminal.folder / 'config.toml'} names no provider, but ")


def test_sandbox_and_a_real_provider_exclude_each_other(terminal: Terminal, real: Path) -> None:
    said = refused(terminal, "--config", str(real), "--sandbox")
    assert said == f"--sandbox: {real} names a real provider; expected one or the other\n"


def test_a_restore_keeps_the_database_closed_to_the_sandbox(terminal: Terminal, real: Path) -> None:
    terminal.type(*ADD)
    backup, database = terminal.folder / "early.db", terminal.folder / "reminderd.db"
    terminal.type("db", "backup", str(backup))
    terminal.type("list", "--config", str(real))
    restore(database, backup, NOW, actor="admin", replace=True, rules=RULES)
    assert "has been in use with the provider generic" in refused(terminal)


def test_a_restore_with_a_real_provider_closes_the_database_to_the_sandbox(terminal: Terminal, real: Path) -> None:
    with open_sync(terminal.folder / "early.db"):
        pass
    terminal.type("db", "restore", "early.db", "--config", str(real))
    assert "has been in use with the provider generic" in refused(terminal)
