-- The call of another reminder to the same number in which this one is said, too. No foreign key: such a reminder is
-- told by its absence that the call was deleted.
ALTER TABLE reminders ADD COLUMN said_with TEXT;

CREATE INDEX reminders_by_said_with ON reminders (said_with, scheduled_at, id) WHERE said_with IS NOT NULL;

-- When a call is over, those that it says, too, are looked at; also those that had been given up, as it may have been
-- heard after all. One that has an open call of its own by then is left to be followed.
CREATE TRIGGER call_logs_over AFTER UPDATE OF status ON call_logs
WHEN NEW.status <> OLD.status AND NEW.status IN (
    'completed', 'busy', 'no-answer', 'canceled', 'failed', 'refused', 'not-placed', 'unreported'
)
BEGIN
    UPDATE reminders SET wake_at = NEW.updated_at
     WHERE said_with = NEW.id AND status IN ('processing', 'failed', 'expired')
       AND NOT EXISTS (
           SELECT 1 FROM call_logs
            WHERE reminder_id = reminders.id AND attempt IS NOT NULL AND status NOT IN (
                'completed', 'busy', 'no-answer', 'canceled', 'failed', 'refused', 'not-placed', 'unreported'
            )
       );
END;
