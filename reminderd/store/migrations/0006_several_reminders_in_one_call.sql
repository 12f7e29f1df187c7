-- The call of another reminder to the same number in which this one is said, too. No foreign key: such a reminder is
-- told by its absence that the call was deleted.
ALTER TABLE reminders ADD COLUMN said_with TEXT;

-- Tells whether a call would say other words than those it was first asked for; NULL: it says one reminder alone.
ALTER TABLE call_logs ADD COLUMN said_digest TEXT;

CREATE INDEX reminders_by_said_with ON reminders (said_with, scheduled_at, id) WHERE said_with IS NOT NULL;

-- When a call is over, those that it says, too, are looked at; also those that had been given up, if it was heard after
-- all. One that has an open call of its own by then is left to be followed.
CREATE TRIGGER call_logs_over AFTER UPDATE OF status ON call_logs
WHEN NEW.status <> OLD.status AND NEW.status IN (
    'completed', 'busy', 'no-answer', 'canceled', 'failed', 'refused', 'not-placed', 'unreported'
)
BEGIN
    UPDATE reminders SET wake_at = NEW.updated_at
     WHERE said_with = NEW.id
       AND (status = 'processing' OR (NEW.status = 'completed' AND status IN ('failed', 'expired')))
       AND NOT EXISTS (
           SELECT 1 FROM call_logs
            WHERE reminder_id = reminders.id AND attempt IS NOT NULL AND status NOT IN (
                'completed', 'busy', 'no-answer', 'canceled', 'failed', 'refused', 'not-placed', 'unreported'
            )
       );
END;

-- A call that nobody wants is dropped, but not while it says one that is wanted: when the last of them has ended, too,
-- the cancelled reminder whose call it is is looked at.
CREATE TRIGGER reminders_left_a_call AFTER UPDATE OF status, said_with ON reminders
WHEN OLD.said_with IS NOT NULL AND OLD.status = 'processing'
 AND (NEW.status <> 'processing' OR NEW.said_with IS NOT OLD.said_with)
 AND NOT EXISTS (SELECT 1 FROM reminders WHERE said_with = OLD.said_with AND status = 'processing')
BEGIN
    UPDATE reminders SET wake_at = NEW.updated_at, lease_token = NULL
     WHERE status = 'cancelled' AND wake_at > NEW.updated_at
       AND id = (SELECT reminder_id FROM call_logs WHERE id = OLD.said_with AND status IN (
           'queued', 'initiated', 'ringing'
       ));
END;
