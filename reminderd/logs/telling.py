"""A line of the log for each change of a reminder, and of the staff's pause."""

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


def tell_of_pause(*, before: bool, now: bool) -> None:
    """Log that staff have paused all dialing, or resumed it; nothing if nothing has changed."""
    if now and not before:
        logger.warning("staff have paused all dialing; reminderd resume ends it")
    elif before and not now:
        logger.info("dialing was resumed by staff")
