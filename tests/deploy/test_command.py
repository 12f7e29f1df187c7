"""The command that staff type: it runs reminderd as the daemon's user, with its configuration and its secrets."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from attrs import frozen

from tests.support.program import clean_environment

COMMAND = Path(__file__).parents[2] / "deploy" / "reminderd.sh"
VISUDO = shutil.which("visudo") or ""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

PROGRAM = """#!/bin/sh
id -un
echo "$@"
echo "$REMINDERD_CONFIG"
echo "$LOGNAME"
echo "$DATABASE_URL"
echo "$CREDENTIALS_DIRECTORY"
cat "$CREDENTIALS_DIRECTORY/secret_token"
stat -c '%U %a' "$CREDENTIALS_DIRECTORY/secret_token"
echo "$STATE_DIRECTORY"
exit 7
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Yield a folder that every user may enter, unlike pytest's own."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield Path(name)


@frozen
class Installed:
    """A stand-in for the program, and its secret."""

    folder: Path

    def program(self, text: str) -> None:
        """Be this program from here on."""
        file = self.folder / "bin/reminderd"
        file.write_text(text)
        file.chmod(0o755)

    def run(self, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        """Run the command with only this in its environment."""
        given = {"REMINDERD_USER": "daemon", "REMINDERD_VERSION": str(self.folder)}
        given["REMINDERD_SECRETS"] = str(self.folder / "secrets")
        env = clean_environment() | given | environ
        return subprocess.run([COMMAND, *arguments], env=env, check=False, capture_output=True, text=True)


@pytest.fixture
def installed(folder: Path) -> Installed:
    (folder / "bin").mkdir()
    (folder / "secrets").mkdir(0o700)
    (folder / "secrets/token").write_text("5ecret\n")
    there = Installed(folder)
    there.program(PROGRAM)
    return there


def test_the_command_runs_as_the_daemons_user_and_removes_its_copy_of_the_secrets(installed: Installed) -> None:
    done = installed.run("list", "--all of it", SUDO_USER="anna", DATABASE_URL="")
    assert (done.returncode, done.stderr) == (7, "")
    who, arguments, config, actor, _, credentials, secret, mode, state = done.stdout.splitlines()
    assert (who, arguments) == ("daemon", "list --all of it")
    assert (config, actor, state) == ("/etc/reminderd/config.toml", "anna", "/var/lib/reminderd")
    assert (secret, mode) == ("5ecret", "daemon 400")
    assert not Path(credentials).exists()


def test_a_database_passed_through_sudo_is_used(installed: Installed) -> None:
    done = installed.run("show", "7", SUDO_USER="anna", DATABASE_URL="sqlite:////var/lib/reminderd/replaced.db")
    assert done.stdout.splitlines()[4] == "sqlite:////var/lib/reminderd/replaced.db"


@pytest.mark.parametrize(
    ("arguments", "environ"),
    [
        (["list", "--config", "evil.toml"], {}),
        (["list", "--config=evil.toml"], {}),
        (["list"], {"REMINDERD_CONFIG": "evil.toml"}),
        (["list"], {"REMINDERD__PROVIDER__GENERIC__API_URL": "https://evil.example"}),
    ],
)
def test_only_root_may_use_the_secrets_with_another_configuration(
    installed: Installed, arguments: list[str], environ: Mapping[str, str]
) -> None:
    done = installed.run(*arguments, SUDO_USER="anna", **environ)
    assert (done.returncode, done.stdout) == (2, "")
    assert "for root alone" in done.stderr
    assert installed.run(*arguments, SUDO_USER="root", **environ).returncode == 7


@pytest.mark.parametrize("signal", ["HUP", "INT", "TERM"])
def test_closing_the_terminal_leaves_no_secrets_behind(installed: Installed, signal: str) -> None:
    installed.program(f'#!/bin/sh\necho "$CREDENTIALS_DIRECTORY"\nkill -{signal} "$PPID"\nexit 7\n')
    done = installed.run("list", REMINDERD_USER="root")
    assert done.returncode == 7
    assert not Path(done.stdout.strip()).exists()


@pytest.mark.skipif(not VISUDO, reason="sudo is not installed (Debian: sudo)")
def test_the_documented_sudoers_line_for_staff_is_valid(folder: Path) -> None:
    guide = (COMMAND.parents[1] / "docs/operations.md").read_text(encoding="utf-8")
    found = re.search(r"^    Cmnd_Alias FRONT_DESK.*?NOPASSWD: FRONT_DESK$", guide, re.MULTILINE | re.DOTALL)
    assert found is not None
    file = folder / "sudoers"
    file.write_text(found[0].replace("\n    ", "\n").strip() + "\n")
    file.chmod(0o440)
    done = subprocess.run([VISUDO, "-c", "-f", file], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
