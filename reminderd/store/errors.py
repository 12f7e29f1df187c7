"""Errors of the database, named by what the caller can do next."""


class StoreUnusableError(Exception):
    """The database can't be opened or isn't ours; the message is one clear line for the admin."""


class CopyError(StoreUnusableError):
    """A copy of the database can't be made, or can't be used; the message is one clear line for the admin."""


class StoreUnavailableError(Exception):
    """Nothing was written, and the caller may try again later: disk full, database locked, or the writer is behind."""


class UnknownReminderError(Exception):
    """No reminder has this id."""


class UnknownAppointmentError(Exception):
    """No appointment has this id."""


class AmbiguousError(Exception):
    """A name is one reminder's id and another's `ref`, so it is unclear which is meant; the message names both."""
