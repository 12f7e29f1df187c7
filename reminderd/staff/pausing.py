"""Resume dialing after a pause by staff, where that helps: not while a restored backup lets nobody be called yet."""

from datetime import datetime

from reminderd.core.lifecycle.staff import NotAllowedError
from reminderd.core.rules import Rules
from reminderd.store.connection import Connection
from reminderd.store.settings import STANDSTILL, last_pause, set_pause, standstill, values_in


def pause_mark(connection: Connection) -> str:
    """Return what stands for the pause that there is now, with its reason; empty: staff have made none."""
    act = last_pause(connection)
    return "" if act is None else str(act["id"])


def resume(connection: Connection, now: datetime, *, actor: str, rules: Rules, seen: str) -> bool:
    """End the pause; return False if there was none.

    Args:
        connection: in a write transaction.
        now: the time of the transaction.
        actor: who ends it.
        rules: the clinic's.
        seen: the mark of the pause that was shown to that person; another one may have another reason.

    Raises:
        NotAllowedError: there is another pause; or the database was restored, and until when nobody is called.
    """
    present = pause_mark(connection)
    if present and present != seen:
        raise NotAllowedError("somebody has paused dialing again since, with another reason")
    _, until = standstill(values_in(connection.execute(STANDSTILL)), rules)
    if until is not None and now < until:
        raise NotAllowedError("the database was restored: nobody is called before %(until)s", {"until": until})
    return set_pause(connection, now, on=False, reason=None, actor=actor)
