"""Look for damage in a database, all through."""

from reminderd.store.sqlite.driver import Connection, DatabaseError


def check(connection: Connection) -> list[str]:
    """What is wrong with the file and its references, a sentence each; empty: it is sound. Reads all of it."""
    found = damage(connection)
    try:
        broken = connection.execute("PRAGMA foreign_key_check").fetchall()
    except DatabaseError as error:
        return found or [f"it can't be read through: {error}"]
    return found + [f"{row['table']}: row {row['rowid']} refers to a missing row of {row['parent']}" for row in broken]


def damage(connection: Connection) -> list[str]:
    """What is wrong with the file itself, a sentence each; empty: nothing. Reads all of it."""
    try:
        return [row[0] for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
    except DatabaseError as error:
        return [f"it can't be read through: {error}"]
