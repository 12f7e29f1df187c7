"""Tells at the start, and when the clinic's countries change, which waiting reminders can't be called."""

from functools import partial

from loguru import logger

from reminderd.core.phone import Numbering
from reminderd.store.database import Database
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.queries import uncallable


async def tell_uncallable(database: Database, numbering: Numbering) -> None:
    """Log a warning for each reason why waiting reminders can't be called, with their number."""
    try:
        reasons = await database.read(partial(uncallable, numbering=numbering))
    except StoreUnavailableError as error:
        logger.warning(f"unknown whether waiting reminders can't be called: {error}")
        return
    for reason, count in reasons.items():
        logger.warning(f"{count} waiting {'reminder' if count == 1 else 'reminders'} can't be called: {reason}")
