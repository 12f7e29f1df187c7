"""What can go wrong with the database, named for what the caller can do next."""


class StoreUnusableError(Exception):
    """The database can't be opened or isn't ours; the message is one clear line for the admin."""


class CopyError(StoreUnusableError):
    """A copy of the database can't be made, or can't be used; the message is one clear line for the admin."""


class StoreUnavailableError(Exception):
    """Nothing was written and the same request may be made again later: disk full, locked, or the writer is behind."""


class UnknownReminderError(Exception):
    """No reminder has this id."""


class AmbiguousError(Exception):
    """A name is one reminder's id and another's `ref`, so neither is meant for certain; the message names both ways."""
