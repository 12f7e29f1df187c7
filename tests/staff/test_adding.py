"""Add one reminder by hand."""

from functools import partial

import pytest

from reminderd.core.requests import ReminderRequest
from reminderd.databases import Target
from reminderd.staff.adding import add_one, concerns
from reminderd.store.reminders import RefTakenError, Source
from tests.support.builders import DAY, NOW
from tests.support.store import a_store

pytestmark = pytest.mark.also_on_postgres

REQUEST = ReminderRequest(
    phone_number="+12025550001", message="Dear [NameF].", scheduled_at=NOW + DAY, ref="47", language=None
)


def test_what_staff_should_look_at_again_is_known_before_and_after(target: Target) -> None:
    with a_store(target) as store:
        store.insert("other", ref="0047")
        store.connection.execute("INSERT INTO opt_outs (phone_number, created_at) VALUES ('+12025550001', 0)")
        before = concerns(store.connection, REQUEST, store.rules)
        add = partial(add_one, request=REQUEST, reminder_id="r1", rules=store.rules, source=Source(actor="anna"))
        added = store.write(add)
        assert added.warnings == before
        assert [warning.partition(":")[0] for warning in before] == ["this number has opted out", "message", "ref"]
        assert (added.reminder["id"], added.reminder["ref"], added.reminder["status"]) == ("r1", "47", "scheduled")
        with pytest.raises(RefTakenError, match="r1"):
            store.write(add)
        assert store.count("audit") == 1
