"""`reminderd user`: who may log in to the front desk's pages."""

import json
import os
import pty
import re
import select
import subprocess
import sys
from functools import partial

import pytest
from pyotp import TOTP

from reminderd.cli.main import reminderd
from reminderd.clock import SystemClock
from reminderd.passwords import matches_hash
from reminderd.store.connection import snapshot, transaction
from reminderd.store.sqlite.opening import open_sync
from reminderd.store.users import User, find_user, open_session
from tests.cli.conftest import Terminal
from tests.support.program import clean_environment
from tests.support.waiting import PATIENCE

PASSWORD = "three wet dogs run"
LINE = f"{PASSWORD}\n"


def add(terminal: Terminal, name: str = "anna", *more: str) -> str:
    return terminal.type("user", "add", name, "--password-stdin", *more, stdin=LINE).stdout


def found(terminal: Terminal, name: str = "anna") -> User | None:
    with open_sync(terminal.folder / "reminderd.db") as connection:
        return snapshot(connection, partial(find_user, name=name))


def of(terminal: Terminal, name: str = "anna") -> User:
    user = found(terminal, name)
    assert user is not None
    return user


def log_in(terminal: Terminal, user: User) -> str | None:
    with open_sync(terminal.folder / "reminderd.db") as connection:
        opened = partial(open_session, user=user, address="192.0.2.7", step=None)
        return transaction(connection, opened, SystemClock().now())


def sessions(terminal: Terminal) -> int:
    with open_sync(terminal.folder / "reminderd.db") as connection:
        return int(connection.execute("SELECT count(*) FROM sessions").fetchone()[0])


def test_an_account_is_added_with_the_hash_of_its_password(terminal: Terminal) -> None:
    assert add(terminal, "Anna") == "added anna, desk\n"
    user = of(terminal)
    assert user.role == "desk"
    assert matches_hash(user.secrets.password_hash, PASSWORD)
    assert user.secrets.totp_secret is None


def test_where_there_are_no_pages_the_command_says_so(terminal: Terminal) -> None:
    for more, off in (("", True), ("[desk]\nport = 4080\n", False)):
        with (terminal.folder / "config.toml").open("a") as file:
            file.write(more)
        added = terminal.type("user", "add", f"anna{off}", "--password-stdin", stdin=LINE)
        assert ("the pages are off: [desk].port is 0" in added.stderr) is off


def test_an_admin_is_added_by_the_role(terminal: Terminal) -> None:
    assert add(terminal, "anna", "--role", "admin") == "added anna, admin\n"
    assert of(terminal).role == "admin"


def test_a_name_is_given_once(terminal: Terminal) -> None:
    add(terminal)
    again = terminal.type("user", "add", "anna", "--password-stdin", code=1, stdin="another good one\n")
    assert again.stderr == ("not added: there is an account anna; reminderd user passwd anna gives it a new password\n")
    assert matches_hash(of(terminal).secrets.password_hash, PASSWORD)


def test_all_mistakes_are_listed_at_once(terminal: Terminal) -> None:
    result = terminal.type("user", "add", "Anna B", "--role", "boss", "--password-stdin", code=2, stdin="short\n")
    assert result.stderr.splitlines() == [
        "NAME: expected 1 to 40 of a-z, 0-9, dot, hyphen and underscore, beginning with a letter",
        "--role: boss; expected desk or admin",
        "password: shorter than 12 characters; several words are easy to remember",
    ]
    assert not (terminal.folder / "reminderd.db").exists()


def test_both_ways_for_codes_are_wrong_usage(terminal: Terminal) -> None:
    add(terminal)
    both = terminal.type("user", "passwd", "anna", "--totp", "--no-totp", "--password-stdin", code=2, stdin="x\n")
    assert both.stderr.splitlines() == [
        "--no-totp: together with --totp; expected one of the two",
        "password: shorter than 12 characters; several words are easy to remember",
    ]


@pytest.mark.parametrize("line", ["", "\n", f"{PASSWORD}\xff\n", "a b c d e f" * 1000])
def test_a_line_that_is_no_good_password_is_refused(terminal: Terminal, line: str) -> None:
    stdin = line.encode("latin-1")
    result = terminal.runner.invoke(reminderd, ["user", "add", "anna", "--password-stdin"], input=stdin)
    assert result.exit_code == 2
    assert result.stderr.startswith("password: ")
    assert PASSWORD not in result.output


def test_without_a_terminal_the_password_is_not_asked_for(terminal: Terminal) -> None:
    result = terminal.type("user", "add", "anna", code=2, stdin=LINE)
    assert result.stderr == ("there is no terminal to ask for the password at; --password-stdin reads it from stdin\n")


def test_a_new_password_ends_the_sessions(terminal: Terminal) -> None:
    add(terminal)
    log_in(terminal, of(terminal))
    assert sessions(terminal) == 1
    said = terminal.type("user", "passwd", "ANNA", "--password-stdin", stdin="another good one\n").stdout
    assert said == "anna has a new password; sessions with the old one have ended\n"
    assert sessions(terminal) == 0
    assert matches_hash(of(terminal).secrets.password_hash, "another good one")


def test_a_removed_account_has_no_sessions(terminal: Terminal) -> None:
    add(terminal)
    add(terminal, "berta", "--role", "admin")
    log_in(terminal, of(terminal))
    removed = terminal.type("user", "remove", "Anna")
    assert (removed.stdout, removed.stderr) == ("removed anna; its sessions have ended\n", "")
    assert found(terminal) is None
    assert sessions(terminal) == 0


def test_the_removal_of_the_last_admin_is_a_warning(terminal: Terminal) -> None:
    add(terminal, "anna", "--role", "admin")
    assert terminal.type("user", "remove", "anna").stderr == "warning: no account with the role admin is left\n"


@pytest.mark.parametrize(("words", "verb"), [(["passwd", "--password-stdin"], "changed"), (["remove"], "removed")])
def test_an_account_that_is_missing_is_named(terminal: Terminal, words: list[str], verb: str) -> None:
    add(terminal, "berta")
    result = terminal.type("user", *words, "anna", code=1, stdin=LINE)
    assert result.stderr.startswith(f"not {verb}: there is no account anna")


def test_the_list_has_no_secrets(terminal: Terminal) -> None:
    add(terminal, "berta", "--role", "admin", "--totp")
    add(terminal)
    assert terminal.json("user", "list")[0].keys() == {
        "name",
        "role",
        "totp",
        "created_at",
        "changed_at",
        "last_login_at",
    }
    shown = terminal.type("user", "list").stdout
    for secrets in (of(terminal).secrets, of(terminal, "berta").secrets):
        assert secrets.password_hash not in shown
        assert secrets.totp_secret is None or secrets.totp_secret not in shown
    assert re.search(r"berta +│ admin +│ yes", shown)


def test_an_empty_list_says_what_to_do(terminal: Terminal) -> None:
    terminal.add()
    empty = "there is no account, so nobody can log in; reminderd user add NAME adds one\n"
    assert terminal.type("user", "list").stdout == empty
    assert json.loads(terminal.type("user", "list", "--json").stdout) == []


def test_an_account_can_be_removed_while_the_configuration_has_errors(terminal: Terminal) -> None:
    add(terminal)
    (terminal.folder / "config.toml").write_text('database.url = "sqlite:///reminderd.db"\n[calling]\nbegins = 9\n')
    assert "[calling].begins: unknown key" in terminal.type("user", "remove", "anna").stderr
    assert found(terminal) is None


# One-time codes


def test_a_key_is_shown_once_as_a_url_and_to_type(terminal: Terminal) -> None:
    shown = add(terminal, "anna", "--totp")
    key = of(terminal).secrets.totp_secret
    assert key is not None
    url, typed, added = shown.splitlines()
    assert url == f"otpauth://totp/reminderd:anna?secret={key}&issuer=reminderd"
    assert typed.removeprefix("key: ").replace(" ", "") == key
    assert added == "added anna, desk"


def test_a_new_password_keeps_the_key_unless_told_otherwise(terminal: Terminal) -> None:
    add(terminal, "anna", "--totp")
    first = of(terminal).secrets.totp_secret
    keys = []
    for option in ((), ("--totp",), ("--no-totp",)):
        terminal.type("user", "passwd", "anna", "--password-stdin", *option, stdin=LINE)
        keys.append(of(terminal).secrets.totp_secret)
    assert keys[0] == first
    assert keys[1] not in {None, first}
    assert keys[2] is None


class Typist:
    """A person at a real terminal, at which `reminderd user …` is at work."""

    def __init__(self, terminal: Terminal, *words: str) -> None:
        self._own, theirs = pty.openpty()
        command = [sys.executable, "-m", "reminderd", "user", *words]
        self._process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=terminal.folder,
            env=clean_environment() | {"TERM": "dumb"},
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = ""

    def reads(self, text: str) -> None:
        while text not in self.shown:
            assert select.select([self._own], [], [], PATIENCE)[0], self.shown
            self.shown += os.read(self._own, 4096).decode()

    def types(self, prompt: str, line: str) -> None:
        self.reads(prompt)
        self.shown = self.shown.partition(prompt)[2]
        os.write(self._own, f"{line}\n".encode())

    def ends(self) -> int:
        try:
            while more := os.read(self._own, 4096):
                self.shown += more.decode()
        except OSError:
            pass  # the other end of a terminal is closed
        os.close(self._own)
        return self._process.wait()


def test_at_a_terminal_the_password_is_asked_for_twice_and_not_shown(terminal: Terminal) -> None:
    typist = Typist(terminal, "add", "anna")
    typist.types("Password: ", PASSWORD)
    typist.types("Repeat for confirmation: ", PASSWORD)
    assert typist.ends() == 0
    assert "added anna, desk" in typist.shown
    assert PASSWORD not in typist.shown
    assert matches_hash(of(terminal).secrets.password_hash, PASSWORD)


def test_a_wrong_name_is_refused_before_a_password_is_typed(terminal: Terminal) -> None:
    typist = Typist(terminal, "add", "1")
    assert typist.ends() == 2
    assert "NAME: expected" in typist.shown
    assert "Password" not in typist.shown


def test_at_a_terminal_a_key_takes_effect_once_the_app_has_shown_a_code(terminal: Terminal) -> None:
    add(terminal)
    typist = Typist(terminal, "passwd", "anna", "--totp")
    typist.types("Password: ", PASSWORD)
    typist.types("Repeat for confirmation: ", PASSWORD)
    typist.reads("Code that the app shows: ")
    key = typist.shown.partition("secret=")[2].partition("&")[0]
    assert of(terminal).secrets.totp_secret is None
    typist.types("Code that the app shows: ", "0")
    typist.types("Code that the app shows: ", TOTP(key).at(SystemClock().now()))
    assert typist.ends() == 0
    assert of(terminal).secrets.totp_secret == key


def test_after_three_wrong_codes_nothing_has_changed(terminal: Terminal) -> None:
    typist = Typist(terminal, "add", "anna", "--totp")
    typist.types("Password: ", PASSWORD)
    typist.types("Repeat for confirmation: ", PASSWORD)
    for _ in range(3):
        typist.types("Code that the app shows: ", "0")
    assert typist.ends() == 1
    assert "nothing was changed: 3 wrong codes" in typist.shown
    assert found(terminal) is None
