"""Replace the database with a backup, without calling anybody again who was called after the backup."""

import os
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Final

from attrs import evolve, frozen

from reminderd.core.model import Reminder
from reminderd.core.rules import Rules
from reminderd.files import put_in_place, temporary_file
from reminderd.store.connection import transaction
from reminderd.store.errors import CopyError, StoreUnavailableError, StoreUnusableError
from reminderd.store.opt_outs import opt_out
from reminderd.store.restored import Cause, hold_restored, last_change
from reminderd.store.shared_state import real_provider, remember_real_provider, replace_database_id
from reminderd.store.sqlite.copying import check_free_space, id_in, if_readable, mistakes_in, open_copy
from reminderd.store.sqlite.driver import SqliteConnection, connect, size_of, translated
from reminderd.store.sqlite.migrate import migrate, migrations
from reminderd.store.sqlite.opening import open_alone, open_as_it_is, open_connection
from reminderd.store.users import Accounts, all_accounts, list_users, replace_accounts

_SINCE: Final = "UPDATE opt_outs SET created_at = :since WHERE phone_number = :number AND created_at > :since"
"""An opt-out that is copied keeps its own time, not that of the restore."""


@frozen(kw_only=True)
class Restored:
    """The result of a restore."""

    last_change: datetime | None
    """The newest time in the backup: it does not know what happened later. None if nothing ever happened in it."""
    kept: Path | None
    """The database that was replaced; None if there was none."""
    held: list[Reminder]
    """The reminders whose patients may have been called since; they have `failed`."""
    opt_outs: int | None
    """How many opt-outs only the replaced database had; None if it could not be read, or there was none."""
    accounts: int
    """How many accounts there are now."""
    accounts_are_new: bool
    """Whether they are the accounts of the replaced database, and not of the backup."""
    mistakes: list[str]
    """What `db check` reports about the backup; the file itself is sound."""


def restore(
    database: Path,
    backup: Path,
    now: datetime,
    *,
    actor: str,
    replace: bool,
    rules: Rules,
    from_another: bool = False,
) -> Restored:
    """Replace the content of `database` with that of `backup`, all or nothing.

    The file stays where it is, and SQLite writes it: others that open it in the meantime wait, and a crash leaves the
    old content. What is replaced is first copied to the same folder, page by page, including damaged pages. The
    restored database has the newest schema, and dialing is paused in it. It keeps the id of the replaced database,
    so that its own backups are never mistaken for backups of the database that `backup` came from.

    Args:
        database: the file, which may be missing; nobody may have it open.
        backup: a closed copy; it is only read.
        now: the time.
        actor: who restores, for the audit.
        replace: whether the content of `database` may be replaced.
        rules: the clinic's rules.
        from_another: whether `backup` may be another database's; then its id is never taken over.

    Raises:
        CopyError: The backup can't be used, it would replace something, or there is no room; nothing was changed.
        StoreUnavailableError: A program has the database open, the disk is full …; nothing was changed.
        StoreUnusableError: The content of `database` can't be replaced; nothing was changed.
    """
    try:
        there = database.exists() and database.stat().st_size > 0
        if not backup.exists():
            raise CopyError(f"{backup}: there is no such file")
        if there and not replace:
            raise CopyError(f"{database}: exists; --force replaces it, and keeps the old one next to it")
        if there and backup.samefile(database):
            raise CopyError(f"{backup}: is the database itself")
        with (
            open_copy(backup) as source,
            _prepared(source, database, backup) as (prepared, mistakes),
            _alone(database) as target,
        ):
            changed = last_change(prepared)
            replaced = _what_it_has(target) if there else _Replaced()
            if from_another and replaced.database_id is None:
                replaced = evolve(replaced, database_id=secrets.token_hex(16))
            elif there and not from_another:
                _refuse_anothers(backup, id_in(source), replaced.database_id)
            kept = _kept(target, database, now) if there else None
            hold = partial(_hold, actor=actor, replaced=replaced, changed=changed, kept=kept, rules=rules)
            try:
                held, opt_outs = transaction(prepared, hold, now)
                accounts = len(list_users(prepared))
                with translated():
                    prepared.backup(target)
            except (StoreUnavailableError, StoreUnusableError):  # SQLite has rolled back: the old content is in place
                if kept is not None:
                    kept.unlink(missing_ok=True)
                raise
        _close_soundly(database, kept)
    except OSError as error:
        raise CopyError(f"{error.filename or database}: {error.strerror}") from error
    return Restored(
        last_change=changed,
        kept=kept,
        held=held,
        opt_outs=None if replaced.opt_outs is None else opt_outs,
        accounts=accounts,
        accounts_are_new=replaced.accounts is not None,
        mistakes=mistakes,
    )


@frozen(kw_only=True)
class _Replaced:
    """What a restored database gets from the replaced one; each is None if that has none or can't be read."""

    opt_outs: list[tuple[str, str | None, int]] | None = None
    """Each phone number with its source, and since when it has opted out."""
    provider: str | None = None
    """The mark of a real provider."""
    database_id: str | None = None
    accounts: Accounts | None = None


@contextmanager
def _prepared(source: SqliteConnection, database: Path, backup: Path) -> Iterator[tuple[SqliteConnection, list[str]]]:
    """Copy the backup next to the database, check the copy, and give it the newest schema."""
    # Room for the copy, and twice for the replaced database: once to be kept, and once in SQLite's own journal.
    check_free_space(database, size_of(source) + (2 * database.stat().st_size if database.exists() else 0))
    with temporary_file(database) as file:
        with closing(connect(str(file))) as copied, translated():
            source.backup(copied)
        with closing(open_as_it_is(file)) as prepared:
            mistakes = mistakes_in(prepared, file=backup)
            migrate(prepared, migrations())
            yield prepared, mistakes


def _refuse_anothers(backup: Path, its_id: str | None, own_id: str | None) -> None:
    """Refuse a backup that is not certainly a backup of the database that it would replace."""
    insist = "expected one of this database; --from-another restores it anyway"
    if own_id is None:
        raise CopyError(f"{backup}: the database to replace has no readable id to compare with; {insist}")
    if its_id is None:
        raise CopyError(f"{backup}: does not show whose backup it is; {insist}")
    if its_id != own_id:
        raise CopyError(f"{backup}: is a backup of another database; {insist}")


def _close_soundly(database: Path, kept: Path | None) -> None:
    """Open the restored database once, to be sure that it is sound; closing it removes the -wal and -shm files."""
    try:
        open_connection(database).close()
    except (StoreUnavailableError, StoreUnusableError) as error:
        old = "" if kept is None else f"; the replaced one is {kept}"
        raise type(error)(f"{error}; the backup was restored before that, and dialing is paused{old}") from error


def _hold(
    connection: SqliteConnection,
    now: datetime,
    *,
    actor: str,
    replaced: _Replaced,
    changed: datetime | None,
    kept: Path | None,
    rules: Rules,
) -> tuple[list[Reminder], int]:
    """Pause dialing, copy opt-outs, fail reminders that may have been called; return these, and how many opt-outs.

    The mark of a real provider and the id are copied, too. So are the accounts: in the backup, a removed user
    could log in again, and an old password would count.
    """
    before = _opt_out_count(connection)
    if replaced.provider is not None:
        remember_real_provider(connection, now, kind=replaced.provider)
    if replaced.database_id is not None:
        replace_database_id(connection, replaced.database_id)
    for number, known, since in replaced.opt_outs or []:
        source = known or "the replaced database"
        opt_out(connection, now, phone_number=number, source=source, actor=actor, rules=rules)
        connection.execute(_SINCE, {"number": number, "since": since})
    if replaced.accounts is not None:
        replace_accounts(connection, replaced.accounts)
    detail = None if kept is None else f"replaced: {kept.name}"
    cause = Cause(actor=actor, why="a backup was restored", last_change=changed, detail=detail)
    held = hold_restored(connection, now, cause=cause, rules=rules)
    return held, _opt_out_count(connection) - before


@contextmanager
def _alone(database: Path) -> Iterator[SqliteConnection]:
    try:
        connection = open_alone(database)
    except StoreUnavailableError as error:
        raise StoreUnavailableError(
            f"{error}: it is in use; stop the daemon and whatever else has it open, then restore"
        ) from error
    except StoreUnusableError as error:
        raise StoreUnusableError(
            f"{error}; move it away, with its -wal and -shm if there are any, then restore"
        ) from error
    with closing(connection):
        yield connection


def _kept(target: SqliteConnection, database: Path, now: datetime) -> Path:
    """Copy the replaced database, page by page: unlike `VACUUM INTO`, this also copies damaged pages."""
    stamp = f"{database.name}.replaced-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    names = chain([stamp], (f"{stamp}-{number}" for number in count(2)))
    kept = next(file for file in map(database.with_name, names) if not os.path.lexists(file))
    with temporary_file(kept) as file:
        with closing(connect(str(file))) as copied, translated():
            target.backup(copied)
        put_in_place(file, kept)  # before any part of the original is overwritten
    return kept


def _what_it_has(target: SqliteConnection) -> _Replaced:
    found = if_readable(all_accounts, target)
    return _Replaced(
        opt_outs=if_readable(_opt_outs_in, target),
        provider=if_readable(real_provider, target),
        database_id=id_in(target),
        accounts=found if found is not None and found.users else None,
    )


def _opt_outs_in(replaced: SqliteConnection) -> list[tuple[str, str | None, int]]:
    # The sound but empty index of a damaged table would show that the table has no rows.
    rows = replaced.execute(
        "SELECT phone_number, source, created_at FROM opt_outs NOT INDEXED ORDER BY created_at, phone_number"
    )
    return [(row["phone_number"], row["source"], row["created_at"]) for row in rows.fetchall()]


def _opt_out_count(connection: SqliteConnection) -> int:
    return int(connection.execute("SELECT count(*) FROM opt_outs").fetchone()[0])
