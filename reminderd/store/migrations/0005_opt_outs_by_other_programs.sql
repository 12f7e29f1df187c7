-- What an opt-out by another program cancels leaves a line in `audit`, too; and a number that is corrected in the list
-- opts out as one that is added. (`reminderd` itself has cancelled everything before it writes, with its own lines.)
DROP TRIGGER opt_outs_cancel_what_waits;

CREATE TRIGGER opt_outs_cancel_what_waits AFTER INSERT ON opt_outs
BEGIN
    INSERT INTO audit (at, actor, act, reminder_id)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER), 'another program', 'opt-out', id
      FROM reminders
     WHERE phone_number = NEW.phone_number AND status = 'scheduled'
       AND NOT EXISTS (
           SELECT 1 FROM call_logs
            WHERE reminder_id = reminders.id AND attempt IS NOT NULL AND status NOT IN (
                'completed', 'busy', 'no-answer', 'canceled', 'failed', 'refused', 'not-placed', 'unreported'
            )
       )
     ORDER BY scheduled_at, id;
    UPDATE reminders
       SET status = 'cancelled', last_error = 'opted out', wake_at = NULL, hold_reason = NULL, lease_token = NULL,
           updated_at = CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)
     WHERE phone_number = NEW.phone_number AND status = 'scheduled'
       AND NOT EXISTS (
           SELECT 1 FROM call_logs
            WHERE reminder_id = reminders.id AND attempt IS NOT NULL AND status NOT IN (
                'completed', 'busy', 'no-answer', 'canceled', 'failed', 'refused', 'not-placed', 'unreported'
            )
       );
END;

CREATE TRIGGER opt_outs_cancel_what_waits_when_corrected AFTER UPDATE OF phone_number ON opt_outs
WHEN NEW.phone_number <> OLD.phone_number
BEGIN
    INSERT INTO audit (at, actor, act, reminder_id)
    SELECT CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER), 'another program', 'opt-out', id
      FROM reminders
     WHERE phone_number = NEW.phone_number AND status = 'scheduled'
       AND NOT EXISTS (
           SELECT 1 FROM call_logs
            WHERE reminder_id = reminders.id AND attempt IS NOT NULL AND status NOT IN (
                'completed', 'busy', 'no-answer', 'canceled', 'failed', 'refused', 'not-placed', 'unreported'
            )
       )
     ORDER BY scheduled_at, id;
    UPDATE reminders
       SET status = 'cancelled', last_error = 'opted out', wake_at = NULL, hold_reason = NULL, lease_token = NULL,
           updated_at = CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)
     WHERE phone_number = NEW.phone_number AND status = 'scheduled'
       AND NOT EXISTS (
           SELECT 1 FROM call_logs
            WHERE reminder_id = reminders.id AND attempt IS NOT NULL AND status NOT IN (
                'completed', 'busy', 'no-answer', 'canceled', 'failed', 'refused', 'not-placed', 'unreported'
            )
       );
END;
