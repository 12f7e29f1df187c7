"""Remember which waiting reminders can't be called: to examine ten thousand takes a second, and pages ask often."""

from collections import Counter
from typing import Final

from attrs import define, field

from reminderd.core.phone import Numbering
from reminderd.core.requests import unfit
from reminderd.store.connection import Connection
from reminderd.store.queries import reminders_with_ids, waiting

AT_ONCE: Final = 200
"""How many are examined in one transaction: each takes a tenth of a millisecond, and others wait for it."""


@define
class Examined:
    """What is known of the waiting reminders, as the rules for numbers are."""

    numbering: Numbering
    _reasons: dict[tuple[str, int], str | None] = field(factory=dict, init=False, repr=False)
    """Why one can't be called, by its id and its `wake_at`, which every change by another program moves."""

    def examine(self, connection: Connection) -> bool:
        """Examine some of those that are new, in one transaction; return whether all are examined now.

        Those that can't be called are examined again each time, some at once: what corrects one, such as an import of
        ours, need not move its `wake_at`.
        """
        present, known = dict.fromkeys(waiting(connection)), self._reasons
        new = [one for one in present if one not in known]
        wrong = [one for one, reason in known.items() if reason is not None and one in present]
        now = [*new, *wrong][:AT_ONCE]
        reminders = reminders_with_ids(connection, ids=[reminder_id for reminder_id, _ in now])
        found = {one: unfit(reminders[one[0]], self.numbering) for one in now}
        # Those of now go to the end: the next time, others come first.
        self._reasons = {one: known[one] for one in known if one in present and one not in found} | found
        return len(new) <= AT_ONCE

    @property
    def reasons(self) -> dict[str, int]:
        """Return why waiting reminders can't be called, and how many for each reason."""
        found = Counter(self._reasons.values())
        return {reason: count for reason, count in found.most_common() if reason is not None}
