"""Resume dialing after a pause by staff, where that helps: not while a restored backup lets nobody be called yet."""

from datetime import datetime

from reminderd.core.lifecycle.staff import NotAllowedError
from reminderd.core.rules import Rules
from reminderd.store.claims import standstill
from reminderd.store.rows import Connection
from reminderd.store.settings import set_pause


def resume(connection: Connection, now: datetime, *, actor: str, rules: Rules) -> bool:
    """End the pause; return False if there was none.

    Raises:
        NotAllowedError: a backup was restored, and until when nobody is called.
    """
    _, until = standstill(connection, rules)
    if until is not None and now < until:
        raise NotAllowedError("a backup was restored: nobody is called before %(until)s", {"until": until})
    return set_pause(connection, now, on=False, reason=None, actor=actor)
