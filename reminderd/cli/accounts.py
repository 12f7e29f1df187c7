"""Manage who may log in to the front desk's pages."""

import sys
from functools import partial
from typing import Final

import click

from reminderd.cli.common import (
    actor,
    as_json,
    database,
    existing_database,
    fail,
    read_only_database,
    with_config,
    with_database_of_config,
    write_now,
    wrong_usage,
)
from reminderd.cli.output import print_json, print_table
from reminderd.clock import SystemClock
from reminderd.config import Config
from reminderd.core.logins import Role, new_totp_secret, totp_step, totp_url, user_name, weakness_of
from reminderd.passwords import hash_password
from reminderd.store.connection import snapshot
from reminderd.store.users import Secrets, add_user, find_user, list_users, remove_user, set_secrets

_COLUMNS: Final = ("name", "role", "codes", "last_login_at", "changed_at")
_TRIES: Final = 3
_MOST_BYTES: Final = 4_096

_password_stdin = click.option(
    "--password-stdin", "from_stdin", is_flag=True, help="Read the password from the first line of stdin."
)
_totp = click.option(
    "--totp", is_flag=True, help="Also ask for a one-time code at each log-in. Prints the key for the app."
)


@click.group()
def user() -> None:
    """Manage the accounts of those who may log in to the front desk's pages.

    Without any account, nobody can log in.
    """


@user.command(short_help="Add an account.")
@click.argument("name", metavar="NAME")
@click.option(
    "--role",
    default=str(Role.DESK),
    show_default=True,
    help="desk: everything about patients; also pause. admin: also resume, take back opt-outs, see who looked at what.",
)
@_totp
@_password_stdin
@with_database_of_config
def add(config: Config, name: str, *, role: str, totp: bool, from_stdin: bool) -> None:
    """Add an account with this NAME.

    The password is asked for twice, or read from stdin. With --totp, a code of the authenticator app is asked for
    before the account is added, if there is a terminal to ask at.
    """
    stored, mistakes = _name(name)
    if role not in set(Role):
        mistakes.append(f"--role: {role}; expected {' or '.join(Role)}")
    password = _password(stored, mistakes, from_stdin=from_stdin)
    with database(config) as connection:
        exists = f"not added: there is an account {stored}; reminderd user passwd {stored} gives it a new password"
        if snapshot(connection, partial(find_user, name=stored)) is not None:
            fail(exists)
        secrets = Secrets(password_hash=hash_password(password), totp_secret=_new_key(stored) if totp else None)
        new = partial(add_user, name=stored, role=Role(role), secrets=secrets, actor=actor())
        if not write_now(connection, new):
            fail(exists)
    click.echo(f"added {stored}, {role}")
    if not config.desk.port:
        click.echo("the pages are off: [desk].port is 0", err=True)


@user.command(short_help="Give an account a new password.")
@click.argument("name", metavar="NAME")
@_totp
@click.option("--no-totp", "no_codes", is_flag=True, help="No longer ask for one-time codes.")
@_password_stdin
@with_database_of_config
def passwd(config: Config, name: str, *, totp: bool, no_codes: bool, from_stdin: bool) -> None:
    """Give the account with this NAME a new password, and end its sessions.

    One-time codes stay as they are, unless --totp makes a new key or --no-totp turns them off. Failed log-ins no longer
    count: the user can log in at once.
    """
    stored, mistakes = _name(name)
    if totp and no_codes:
        mistakes.append("--no-totp: together with --totp; expected one of the two")
    password = _password(stored, mistakes, from_stdin=from_stdin)
    with existing_database(config) as connection:
        found = snapshot(connection, partial(find_user, name=stored))
        if found is None:
            fail(_no_account(stored))
        key = _new_key(stored) if totp else None if no_codes else found.secrets.totp_secret
        secrets = Secrets(password_hash=hash_password(password), totp_secret=key)
        change = partial(set_secrets, name=stored, secrets=secrets, actor=actor())
        if not write_now(connection, change):
            fail(_no_account(stored))
    click.echo(f"{stored} has a new password; sessions with the old one have ended")


@user.command(short_help="Remove an account.")
@click.argument("name", metavar="NAME")
@with_database_of_config
def remove(config: Config, name: str) -> None:
    """Remove the account with this NAME, and end its sessions. What the user did stays in the audit."""
    stored = name.strip().lower()
    with existing_database(config) as connection:
        if not write_now(connection, partial(remove_user, name=stored, actor=actor())):
            fail(f"not removed: there is no account {stored}")
        left = snapshot(connection, list_users)
    click.echo(f"removed {stored}; its sessions have ended")
    if not any(account["role"] == Role.ADMIN for account in left):
        click.echo("warning: no account with the role admin is left", err=True)


@user.command(name="list", short_help="List the accounts.")
@as_json
@with_config
def list_(config: Config, *, as_json: bool) -> None:
    """List the accounts with their role, one-time codes, last log-in within 90 days, and last change."""
    with read_only_database(config) as connection:
        accounts = snapshot(connection, list_users)
    if as_json:
        print_json(accounts, config.calling.zone)
    elif accounts:
        rows = [account | {"codes": "yes" if account["totp"] else "no"} for account in accounts]
        print_table(rows, _COLUMNS, config.calling.zone)
    else:
        click.echo("there is no account, so nobody can log in; reminderd user add NAME adds one")


def _no_account(name: str) -> str:
    return f"not changed: there is no account {name}; reminderd user list shows all"


def _name(text: str) -> tuple[str, list[str]]:
    try:
        return user_name(text), []
    except ValueError as error:
        return text, [f"NAME: {error}"]


def _password(name: str, mistakes: list[str], *, from_stdin: bool) -> str:
    """Return the new password; end with all mistakes if there are any. Nobody types one that can't be used anyway."""
    if from_stdin:
        line = sys.stdin.buffer.readline(_MOST_BYTES)
        password = line.removesuffix(b"\n").removesuffix(b"\r").decode(errors="surrogateescape")
    elif not sys.stdin.isatty():
        wrong_usage(
            [*mistakes, "there is no terminal to ask for the password at; --password-stdin reads it from stdin"]
        )
    elif mistakes:
        wrong_usage(mistakes)
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    weakness = weakness_of(password, name)
    if weakness is not None:
        mistakes.append(f"password: {weakness}")
    if mistakes:
        wrong_usage(mistakes)
    return password


def _new_key(name: str) -> str:
    """Print a new key for an authenticator app, once, and return it after a code has shown that the app has it."""
    key = new_totp_secret()
    click.echo(f"{totp_url(key, name)}\nkey: {' '.join(key[place : place + 4] for place in range(0, len(key), 4))}")
    click.echo("Add it to an authenticator app now: it is not shown again.", err=True)
    if sys.stdin.isatty() and not any(_shows_right_code(key) for _ in range(_TRIES)):
        fail(f"nothing was changed: {_TRIES} wrong codes")
    return key


def _shows_right_code(key: str) -> bool:
    code = click.prompt("Code that the app shows", err=True)
    if totp_step(key, code, SystemClock().now(), None) is not None:
        return True
    click.echo("wrong code; check that the clock is right, here and on the phone", err=True)
    return False
