"""install.sh on a stub root: twice, upgraded, rolled back. A stand-in makes Python's environments: no network."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import frozen

from tests.support.program import clean_environment

PROJECT = Path(__file__).parents[2]

PYTHON3 = f"""#!/bin/sh
[ "$1" = -c ] && exec {sys.executable} "$@"
mkdir -p "$3/bin"
cat >"$3/bin/pip" <<'PIP'
#!/bin/sh
echo "pip $*" >>"$FOLDER/log"
cat >"$(dirname "$0")/reminderd" <<'REMINDERD'
#!/bin/sh
version=$(basename "$(dirname "$(dirname "$(realpath "$0")")")")
echo "$version $*" >>"$FOLDER/log"
database() {{
    sed -n 's|^url = "sqlite:///\\(/.*\\)"|\\1|p; s|^url = "\\(postgresql://.*\\)"|\\1|p' "$REMINDERD_CONFIG"
}}
case "$*" in
    check-config)
        grep -q nonsense "$REMINDERD_CONFIG" && exit 2
        echo "database: $(database)" ;;
    "db backup "*) [ ! -e "$FOLDER/full" ] && cp "$FOLDER/root$(database)" "$3" ;;
    "db check") [ ! -e "$FOLDER/newer" ] && [ ! -e "$FOLDER/mistakes" ] ;;
    "db migrate") [ ! -e "$FOLDER/newer" ] ;;
esac
REMINDERD
chmod +x "$(dirname "$0")/reminderd"
PIP
chmod +x "$3/bin/pip"
"""
"""Makes environments in which pip installs a reminderd that notes what it is asked, and can't open what is too new."""


MODES = {
    "etc/reminderd/config.toml": 0o640,
    "etc/reminderd/secrets": 0o700,
    "var/lib/reminderd": 0o700,
    "usr/local/bin/reminderd": 0o755,
}


@frozen
class Server:
    """A checkout, and the root that it is installed into."""

    folder: Path

    @property
    def checkout(self) -> Path:
        return self.folder / "checkout"

    @property
    def root(self) -> Path:
        return self.folder / "root"

    def install(self, *arguments: str, code: int = 0) -> str:
        """Run the script; what it says."""
        done = subprocess.run(
            [self.checkout / "deploy/install.sh", "--root", self.root, *arguments],
            env=clean_environment() | {"PATH": f"{self.folder}/bin:{os.environ['PATH']}", "FOLDER": str(self.folder)},
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def change(self) -> None:
        """Make another version of the checkout."""
        with (self.checkout / "reminderd/__init__.py").open("a") as file:
            file.write("# another\n")

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def asked(self, words: str) -> list[str]:
        """What the program was asked to do, of what has these words in it."""
        return [line for line in self.log.read_text().splitlines() if words in line]

    def at(self, link: str) -> str:
        return (self.root / "opt/reminderd" / link).resolve().name

    def all_files(self) -> dict[str, tuple[int, bytes]]:
        """Return every file with its mode and content."""
        files = (path for path in self.root.rglob("*") if path.is_file())
        return {str(path): (path.stat().st_mode, path.read_bytes()) for path in files}


@pytest.fixture
def server(tmp_path: Path) -> Server:
    server = Server(tmp_path)
    for folder in ("reminderd", "deploy", "docs"):
        shutil.copytree(PROJECT / folder, server.checkout / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "config.example.toml"):
        shutil.copy(PROJECT / file, server.checkout)
    stand_in = tmp_path / "bin/python3"
    stand_in.parent.mkdir()
    stand_in.write_text(PYTHON3)
    stand_in.chmod(0o755)
    return server


def test_shellcheck_accepts_the_scripts() -> None:
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed (Debian: shellcheck)")
    scripts = [PROJECT / name for name in ("deploy/install.sh", "deploy/reminderd.sh", ".ci/run", ".ci/release")]
    done = subprocess.run([shellcheck, *scripts], check=False, capture_output=True, text=True)
    assert done.stdout == ""


def test_files_are_installed_with_minimal_permissions(server: Server) -> None:
    secrets = server.checkout / "deploy/secrets"  # compose's
    secrets.mkdir()
    (secrets / "token").write_text("5ecret")
    said = server.install("--domain", "reminders.clinic.example")
    assert "Next: edit" in said
    root = server.root
    assert not [file for file in root.rglob("*") if file.is_file() and b"5ecret" in file.read_bytes()]
    modes = {
        name: oct((root / name).stat().st_mode & 0o777)
        for name in (
            "etc/reminderd/config.toml",
            "etc/reminderd/secrets",
            "var/lib/reminderd",
            "usr/local/bin/reminderd",
        )
    }
    assert list(modes.values()) == ["0o640", "0o700", "0o700", "0o755"]
    assert (root / "opt/reminderd/current/bin/reminderd").exists()
    assert (root / "etc/systemd/system/reminderd.service").read_text() == (
        PROJECT / "deploy/reminderd.service"
    ).read_text()
    config = (root / "etc/reminderd/config.toml").read_text()
    assert '\nurl = "sqlite:////var/lib/reminderd/reminderd.db"\n' in config
    assert '\npublic_base_url = "https://reminders.clinic.example"\n' in config
    config_file = str(root / "etc/reminderd/config.toml")
    check = [sys.executable, "-m", "reminderd", "check-config", "--config", config_file]
    assert b"no mistakes" in subprocess.run(check, env=clean_environment(), check=True, capture_output=True).stdout
    caddy = (root / "etc/caddy/Caddyfile").read_text()
    assert "{$REMINDERD_SITE:reminders.clinic.example}" in caddy


def test_installing_again_changes_nothing(server: Server) -> None:
    server.install("--domain", "reminders.clinic.example")
    before, builds = server.all_files(), server.asked("pip")
    said = server.install("--domain", "reminders.clinic.example")
    assert "is installed already" in said
    assert server.all_files() == before
    assert server.asked("pip") == builds


def test_an_interrupted_installation_starts_over(server: Server) -> None:
    server.install()
    asked = server.asked("pip")
    (server.root / "opt/reminderd/current/complete").unlink()
    server.install()
    assert server.asked("pip") == asked * 2
    assert (server.root / "opt/reminderd/current/complete").exists()


def test_an_upgrade_backs_up_the_database_with_the_old_version(server: Server) -> None:
    server.install()
    first = server.at("current")
    (server.root / "var/lib/reminderd/reminderd.db").write_text("patients")
    server.change()
    said = server.install()
    second = server.at("current")
    assert second != first
    assert server.at("previous") == first
    [backup] = server.asked("db backup")
    assert backup.startswith(f"{first} db backup {server.root}/var/lib/reminderd/backups/before-{second}-")
    assert Path(backup.split()[-1]).read_text() == "patients"
    assert f"upgraded from {first} to {second}" in said


def test_the_configured_database_is_the_one_backed_up(server: Server) -> None:
    server.install()
    config = server.root / "etc/reminderd/config.toml"
    config.write_text(config.read_text().replace("/var/lib/reminderd/reminderd.db", "/var/lib/reminderd/clinic.db"))
    database = server.root / "var/lib/reminderd/clinic.db"
    database.write_text("patients")
    server.change()
    said = server.install()
    [backup] = server.asked("db backup")
    assert Path(backup.split()[-1]).read_text() == "patients"
    assert f"{database} is backed up to" in said


def test_an_upgrade_that_finds_no_database_says_where_it_looked(server: Server) -> None:
    server.install()
    server.change()
    assert f"there is no database at {server.root}/var/lib/reminderd/reminderd.db" in server.install()
    assert server.asked("db backup") == []


def test_a_database_on_a_server_is_not_backed_up_and_upgraded_by_its_own_command(server: Server) -> None:
    server.install()
    first = server.at("current")
    config, name = server.root / "etc/reminderd/config.toml", "postgresql://reminderd@db.clinic.example/reminders"
    config.write_text(config.read_text().replace("sqlite:////var/lib/reminderd/reminderd.db", name))
    server.change()
    assert f"{name} is not backed up here, and not upgraded: see docs/postgresql.md" in server.install()
    assert server.asked("db backup") == server.asked("db migrate") == []
    assert f"to {first}" in server.install("--rollback")


def test_the_admins_changes_survive_an_upgrade(server: Server) -> None:
    server.install("--domain", "a.example")
    config, caddy = server.root / "etc/reminderd/config.toml", server.root / "etc/caddy/Caddyfile"
    for file in (config, caddy):
        file.write_text(file.read_text() + "\n# mine\n")
    newer = server.checkout / "deploy/Caddyfile"
    newer.write_text(newer.read_text() + "# newer\n")
    said = server.install("--domain", "a.example")
    assert config.read_text().endswith("# mine\n")
    assert caddy.read_text().endswith("# mine\n")
    assert f"{caddy} is yours and is left alone; the new one is {caddy}.new" in said
    assert Path(f"{caddy}.new").read_text().endswith("# newer\n")


def test_an_existing_caddyfile_is_kept_except_for_debians_default(server: Server) -> None:
    caddy = server.root / "etc/caddy/Caddyfile"
    caddy.parent.mkdir(parents=True)
    caddy.write_text("www.example { respond hello }\n")
    server.install("--domain", "a.example")
    assert caddy.read_text().startswith("www.example")
    shutil.rmtree(server.root)
    caddy.parent.mkdir(parents=True)
    caddy.write_text(":80 {\n\troot * /usr/share/caddy\n\tfile_server\n}\n")
    server.install("--domain", "a.example")
    assert "reminderd" in caddy.read_text()
    assert caddy.with_suffix(".debian").exists()


def test_a_failed_backup_or_an_invalid_configuration_prevents_an_upgrade(
    server: Server,
) -> None:
    server.install()
    first = server.at("current")
    (server.root / "var/lib/reminderd/reminderd.db").write_text("patients")
    server.change()
    (server.folder / "full").touch()
    assert "the backup failed, so nothing was changed" in server.install(code=1)
    assert server.at("current") == first
    config = server.root / "etc/reminderd/config.toml"
    kept = config.read_text()
    config.write_text("[nonsense]\n")
    assert "nothing was changed" in server.install("--no-backup", code=1)
    assert server.at("current") == first
    config.write_text(kept)
    server.install("--no-backup")
    assert server.at("current") != first


def test_a_rollback_can_be_rolled_back(server: Server) -> None:
    assert "there is no version to go back to" in server.install("--rollback", code=1)
    server.install()
    first = server.at("current")
    unit = server.root / "etc/systemd/system/reminderd.service"
    old_unit = unit.read_text()
    (server.checkout / "deploy/reminderd.service").write_text(old_unit + "# newer\n")
    server.install()
    second = server.at("current")
    assert unit.read_text().endswith("# newer\n")
    assert f"rolled back from {second} to {first}" in server.install("--rollback")
    assert (server.at("current"), unit.read_text()) == (first, old_unit)
    server.install("--rollback")
    assert server.at("current") == second


def test_a_rollback_to_a_version_that_cannot_read_the_database_says_what_to_do(server: Server) -> None:
    server.install()
    (server.root / "var/lib/reminderd/reminderd.db").write_text("patients")
    server.change()
    server.install()
    (server.folder / "newer").touch()
    said = server.install("--rollback", code=1)
    assert "does not take the database, so it is not started" in said
    assert "Restore the copy from before the upgrade" in said


def test_invalid_rows_do_not_prevent_a_rollback(server: Server) -> None:
    server.install()
    first = server.at("current")
    (server.root / "var/lib/reminderd/reminderd.db").write_text("patients")
    server.change()
    server.install()
    (server.folder / "mistakes").touch()
    assert f"to {first}" in server.install("--rollback")
    assert server.at("current") == first


def test_a_rollback_to_a_version_that_rejects_the_configuration_says_so(server: Server) -> None:
    server.install()
    server.change()
    server.install()
    config = server.root / "etc/reminderd/config.toml"
    config.write_text(config.read_text() + "[nonsense]\n")
    assert f"does not take {config} as it is, so it is not started" in server.install("--rollback", code=1)


def test_only_two_versions_are_kept(server: Server) -> None:
    server.install()
    for _ in range(2):
        server.change()
        server.install()
    kept = {path.name for path in (server.root / "opt/reminderd/versions").iterdir()}
    assert kept == {server.at("current"), server.at("previous")}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--domian", "x"], "--domian: unknown"),
        (["--domain"], "--domain: expected a value"),
        (["--domain", "a b; c"], "expected a name like"),
    ],
)
def test_wrong_usage_is_reported_with_what_was_expected(server: Server, arguments: list[str], words: str) -> None:
    said = server.install(*arguments, code=2)
    assert words in said
    assert "usage:" in said
    assert not server.root.exists()
