"""Show why patients are not called: what stops all calls, and which waiting reminders can't be called at all."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from attrs import define, field

from reminderd.config import Config, rules_of
from reminderd.core.phone import Numbering
from reminderd.core.reasons import UNREACHED
from reminderd.core.requests import why_never_callable
from reminderd.core.rules import Rules
from reminderd.core.sentences import NotAllowedError, Sentence, TextValue
from reminderd.store.connection import Connection
from reminderd.store.queries import reminders_with_ids, waiting_to_examine
from reminderd.store.shared_state import (
    STANDSTILL,
    last_pause,
    paused,
    set_pause,
    setting_values,
    standstill,
    unreached_since,
)

AT_ONCE: Final = 200
"""How many reminders one transaction examines: each takes a tenth of a millisecond, and others wait for it."""


def pause_mark(connection: Connection) -> str:
    """Return a mark of the present pause and its reason; empty if staff have made no pause."""
    act = last_pause(connection)
    return "" if act is None else str(act["id"])


def resume(connection: Connection, now: datetime, *, actor: str, rules: Rules, seen: str) -> bool:
    """End the pause; return False if there was none.

    Args:
        connection: in a write transaction.
        now: the time of the transaction.
        actor: who ends it.
        rules: the clinic's rules.
        seen: the mark of the pause that was shown to that person; a later pause may have another reason.

    Raises:
        NotAllowedError: there is another pause, or the database was restored and nobody may be called yet.
    """
    present = pause_mark(connection)
    if present and present != seen:
        raise NotAllowedError("somebody has paused dialing again since, with another reason")
    _, until = standstill(setting_values(connection.execute(STANDSTILL)), rules)
    if until is not None and now < until:
        raise NotAllowedError("the database was restored: nobody is called before %(until)s", {"until": until})
    return set_pause(connection, now, on=False, reason=None, actor=actor)


def pauses(connection: Connection, *, config: Config, now: datetime) -> list[Sentence]:
    """Return a sentence for each reason in the database why no calls are placed now; empty if there is none."""
    found = []
    failing_since = unreached_since(connection)
    if failing_since is not None:
        values: dict[str, TextValue] = {"since": failing_since, "reason": Sentence(UNREACHED)}
        found.append(Sentence("dialing is paused since %(since)s: %(reason)s; reminderd doctor shows more", values))
    if paused(connection):
        found.append(_by_staff(last_pause(connection) or {}))
    else:
        _, until = standstill(setting_values(connection.execute(STANDSTILL)), rules_of(config))
        if until is not None and now < until:
            values = {"until": until}
            found.append(Sentence("the database was restored: nobody is called before %(until)s", values))
    return found


def _by_staff(act: Mapping[str, object]) -> Sentence:
    """Return a sentence for a pause, from its row of the audit; empty if no command of ours made it."""
    at = act.get("at")
    if not isinstance(at, datetime):
        return Sentence("dialing is paused; reminderd resume ends it")
    values: dict[str, TextValue] = {"actor": str(act["actor"]), "since": at, "reason": str(act["detail"])}
    if not act["detail"]:
        return Sentence("dialing is paused by %(actor)s since %(since)s; reminderd resume ends it", values)
    return Sentence("dialing is paused by %(actor)s since %(since)s (%(reason)s); reminderd resume ends it", values)


@define
class Examined:
    """Remembers which waiting reminders can't be called: examining ten thousand takes a second, and pages ask often."""

    numbering: Numbering
    """The rules for numbers."""
    _reasons: dict[tuple[str, int], str | None] = field(factory=dict, init=False, repr=False)
    """Why each can't be called, by its id and its `wake_at`, which every change by another program moves."""

    def examine(self, connection: Connection) -> bool:
        """Examine some of the new reminders, in one transaction; return whether all are examined now.

        Each time, some of those that can't be called are examined again: a correction, such as one of our imports, need
        not move the `wake_at`.
        """
        present, known = dict.fromkeys(waiting_to_examine(connection)), self._reasons
        new = [one for one in present if one not in known]
        wrong = [one for one, reason in known.items() if reason is not None and one in present]
        now = [*new, *wrong][:AT_ONCE]
        reminders = reminders_with_ids(connection, ids=[reminder_id for reminder_id, _ in now])
        found = {one: why_never_callable(reminders[one[0]], self.numbering) for one in now}
        # The reminders examined now go to the end: the next time, others come first.
        self._reasons = {one: known[one] for one in known if one in present and one not in found} | found
        return len(new) <= AT_ONCE

    @property
    def reasons(self) -> dict[str, int]:
        """Return how many waiting reminders can't be called, by reason."""
        found = Counter(self._reasons.values())
        return {reason: count for reason, count in found.most_common() if reason is not None}
