"""Look for damage in a database, all through."""

from reminderd.store.driver import Connection, DatabaseError


def check(connection: Connection) -> list[str]:
    """What is wrong with the file and its references, a sentence each; empty: it is sound. Reads all of it."""
    try:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
        broken = connection.execute("PRAGMA foreign_key_check").fetchall()
    except DatabaseError as error:
        return [f"it can't be read through: {error}"]
    return found + [f"{row['table']}: row {row['rowid']} refers to a missing row of {row['parent']}" for row in broken]
