"""Measure on PostgreSQL: webhooks, dialing, lateness, a large import, and what the idle daemon costs.

The bars are for SQLite, so these figures have none: compare them with those of SQLite.
"""

from pathlib import Path
from typing import Final

from attrs import evolve

from bench import dialing, idle, import_load, lateness, webhooks
from bench.figure import Figure
from bench.postgres import not_measured, postgres
from reminderd.databases import PostgresServer
from tests.support.postgres import Server

ROUNDS: Final = 3


def measure(folder: Path) -> list[Figure]:
    with postgres() as found:
        if found is None:
            return [not_measured("PostgreSQL")]
        figures = [
            *webhooks.measure(folder, rounds=ROUNDS, database=_new(found)),
            *dialing.measure(folder, rounds=ROUNDS, database=_new(found)),
            *lateness.measure(folder, database=_new(found)),
            *import_load.measure(folder, rounds=1, databases=(_new(found), _new(found))),
            *idle.measure(folder, database=_new(found)),
        ]
    return [evolve(figure, name=f"PostgreSQL, {figure.name}", bar=None, better=figure.direction) for figure in figures]


def _new(found: Server) -> PostgresServer:
    return PostgresServer(found.create().url)
