"""Say how a file is read before it is seen: by a profile of the configuration, or without one."""

from collections.abc import Mapping
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Final

from attrs import evolve, frozen

from reminderd.config import Config, ProfileConfig, numbering_of, planning_of, templates_of
from reminderd.core.phone import patient_number
from reminderd.core.requests import Reading
from reminderd.core.schedule.dates import DayOrder
from reminderd.core.tables.columns import Columns, columns_of
from reminderd.core.tables.row_reader import check_status, read_row
from reminderd.core.tables.words import Standing, plain
from reminderd.imports.loop import ReadRow
from reminderd.imports.table import Table, day_order_of
from reminderd.validators import codec_of

_NUMBERS_REMEMBERED: Final = 50_000
"""The same patients come again."""


@frozen(kw_only=True)
class Profile:
    """How a file is read."""

    name: str | None
    """Its name in the configuration; None: it is of this import alone."""
    form: str | None
    """The file's format; None: as its name ends."""
    headers: Mapping[str, str]
    """The header that is chosen for some fields, see `columns_of`."""
    encoding: str | None
    """By Python's name; None: the bytes must show it."""
    order: DayOrder | None
    """How dates with slashes are written; None: the file as a whole must show it."""
    template: str | None
    """The template of rows without a message."""
    words: Mapping[str, Standing]
    """What words for the status of an appointment mean, see `Columns`."""
    snapshot_days: int
    """How many days its files have all appointments of, from their first on; 0: what they lack says nothing."""
    reading: Reading
    """The clinic's, and in which country numbers are read."""

    def columns_of(self, table: Table) -> Columns:
        """Find the fields of a table.

        Raises:
            ColumnsError: one is missing, more than one fit, or one may be something else.
        """
        plans_calls = self.reading.planning.is_used
        return columns_of(table.header, self.headers, template=self.template, words=self.words, plans_calls=plans_calls)

    def reader_of(self, table: Table, columns: Columns) -> ReadRow:
        """Return what reads a row of a table, after a look at all of them.

        Raises:
            ColumnsError: a column of statuses may be about something else.
            UnreadableError: how the dates are written is not clear.
        """
        check_status(table.header, columns, table.rows())
        order = day_order_of(table, columns) if self.order is None else self.order
        reading = evolve(self.reading, order=order)
        return partial(read_row, columns=columns, width=len(table.header), reading=reading)


def profile_of(config: Config, name: str | None) -> Profile:
    """Return the profile of this name, which the configuration has; None: one that finds everything out."""
    known = ProfileConfig() if name is None else config.import_.profiles[name]
    numbering = numbering_of(config)
    if known.country:
        numbering = evolve(numbering, country=known.country, allowed=numbering.countries)
    return Profile(
        name=name,
        form=known.format or None,
        headers=MappingProxyType({field: header.strip() for field, header in known.columns.items()}),
        encoding=codec_of(known.encoding) if known.encoding else None,
        order=DayOrder(known.dates) if known.dates else None,
        template=known.template or None,
        words=MappingProxyType({plain(word): Standing(meaning) for word, meaning in known.status.items()}),
        snapshot_days=known.snapshot_days,
        reading=Reading(
            zone=config.calling.local_zone,
            templates=templates_of(config),
            planning=planning_of(config),
            normalize=lru_cache(_NUMBERS_REMEMBERED)(partial(patient_number, numbering=numbering)),
        ),
    )
