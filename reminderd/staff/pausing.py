"""Say why no calls are placed, and resume dialing after a pause by staff, where that helps."""

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from reminderd.config import Config, rules_of
from reminderd.core.reasons import UNREACHED
from reminderd.core.rules import Rules
from reminderd.core.sentences import NotAllowedError, Part, Sentence
from reminderd.store.connection import Connection
from reminderd.store.settings import STANDSTILL, last_pause, paused, set_pause, standstill, unreached_since, values_in


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


def pauses(connection: Connection, *, config: Config, now: datetime) -> list[Sentence]:
    """Return a sentence for each reason in the database why no calls are placed now; empty: there is none."""
    found = []
    failing_since = unreached_since(connection)
    if failing_since is not None:
        values: dict[str, Part] = {"since": failing_since, "reason": Sentence(UNREACHED)}
        found.append(Sentence("dialing is paused since %(since)s: %(reason)s; reminderd doctor shows more", values))
    if paused(connection):
        found.append(_by_staff(last_pause(connection) or {}))
    else:
        _, until = standstill(values_in(connection.execute(STANDSTILL)), rules_of(config))
        if until is not None and now < until:
            values = {"until": until}
            found.append(Sentence("the database was restored: nobody is called before %(until)s", values))
    return found


def _by_staff(act: Mapping[str, object]) -> Sentence:
    """Return a sentence for a pause, from its row of the audit; empty: it was made by no command of ours."""
    at = act.get("at")
    if not isinstance(at, datetime):
        return Sentence("dialing is paused; reminderd resume ends it")
    values: dict[str, Part] = {"actor": str(act["actor"]), "since": at, "reason": str(act["detail"])}
    if not act["detail"]:
        return Sentence("dialing is paused by %(actor)s since %(since)s; reminderd resume ends it", values)
    return Sentence("dialing is paused by %(actor)s since %(since)s (%(reason)s); reminderd resume ends it", values)


def in_zone(zone: ZoneInfo, part: datetime | int) -> str:
    """Return a moment or a number as a person at the clinic reads it in English."""
    return f"{part:,}" if isinstance(part, int) else f"{part.astimezone(zone):%Y-%m-%d %H:%M:%S}"
