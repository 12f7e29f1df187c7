"""Takes the chunks of a table to the database: writes them, or only looks what writing would do."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from uuid import uuid4

from reminderd.cli.common import actor
from reminderd.cli.import_chunks import Chunk, Judge
from reminderd.clock import SystemClock
from reminderd.config import Config, rules_of
from reminderd.core.imported import Fate, fate
from reminderd.logs import without_numbers
from reminderd.store import imports
from reminderd.store.opening import open_sync
from reminderd.store.transaction import snapshot, transaction


@contextmanager
def writing(config: Config, name: str) -> Iterator[Judge]:
    """Chunks are written, each with its audit line; `name` is the file's."""
    rules, who = rules_of(config), actor()

    def judge(chunk: Chunk) -> list[Fate | str]:
        if not chunk.good:
            return []
        fn = partial(
            imports.take,
            wanted=[row.wanted for row in chunk.good],
            rules=rules,
            mint=lambda: str(uuid4()),
            actor=who,
            detail=f"{without_numbers(name)}, lines {chunk.good[0].record.line} to {chunk.good[-1].record.line}",
        )
        return transaction(connection, fn, SystemClock().now())

    with open_sync(config.database.path) as connection:
        imports.make_room(connection)
        yield judge


@contextmanager
def only_looking(config: Config) -> Iterator[Judge]:
    """Chunks are compared with what is stored; where there is no database, none is made."""
    rules = rules_of(config)

    def alone(chunk: Chunk) -> list[Fate | str]:
        now = SystemClock().now()
        return [fate(row.wanted, None, rules, now) for row in chunk.good]

    def beside(chunk: Chunk) -> list[Fate | str]:
        wanted = [row.wanted for row in chunk.good]
        fn = partial(imports.fates, now=SystemClock().now(), wanted=wanted, rules=rules)
        return [what for _, what in snapshot(connection, fn)]

    if not config.database.path.exists():
        yield alone
        return
    with open_sync(config.database.path) as connection:
        yield beside
