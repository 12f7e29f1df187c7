"""The command that staff type: it runs reminderd as the daemon's user, with its configuration and its secrets."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

COMMAND = Path(__file__).parents[2] / "deploy" / "reminderd.sh"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

PROGRAM = """#!/bin/sh
id -un
echo "$@"
echo "$REMINDERD_CONFIG"
echo "$LOGNAME"
echo "$CREDENTIALS_DIRECTORY"
cat "$CREDENTIALS_DIRECTORY/secret_token"
stat -c '%U %a' "$CREDENTIALS_DIRECTORY/secret_token"
exit 7
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may pass through, unlike pytest's own."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield Path(name)


def test_it_becomes_the_daemons_user_with_a_copy_of_the_secrets_that_it_leaves_nowhere(folder: Path) -> None:
    program, secrets = folder / "bin/reminderd", folder / "secrets"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    program.chmod(0o755)
    secrets.mkdir(0o700)
    (secrets / "token").write_text("5ecret\n")
    environ = {name: value for name, value in os.environ.items() if name != "REMINDERD_CONFIG"} | {
        "REMINDERD_USER": "daemon",
        "REMINDERD_VERSION": str(folder),
        "REMINDERD_SECRETS": str(secrets),
        "SUDO_USER": "anna",
    }
    done = subprocess.run([COMMAND, "list", "--all of it"], env=environ, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (7, "")
    who, arguments, config, actor, credentials, secret, mode = done.stdout.splitlines()
    assert (who, arguments) == ("daemon", "list --all of it")
    assert (config, actor) == ("/etc/reminderd/config.toml", "anna")
    assert (secret, mode) == ("5ecret", "daemon 400")
    assert not Path(credentials).exists()
