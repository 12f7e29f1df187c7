"""A line of the log for each change of a reminder."""

from loguru import logger

from reminderd.core.lifecycle import Step


def tell(step: Step | None) -> None:
    """Log what a step changed, a line a note, with its reminder, call and attempt bound; None: the row is gone."""
    if step is None:
        logger.warning("the row is gone: another program deleted it")
        return
    ids: dict[str, str | int | None] = {"reminder": step.reminder.id}
    if step.call is not None:
        ids |= {"call": step.call.id, "attempt": step.call.attempt}
    bound = logger.bind(**ids)
    for note in step.notes:
        bound.log(note.level, note.text)
