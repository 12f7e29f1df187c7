-- An opt-out that another program writes takes effect at once, too. (`reminderd` itself cancels the reminders before it
-- writes the opt-out, so that each leaves a line in the log and in `audit`.) One whose call is open is left to be followed.
CREATE TRIGGER opt_outs_cancel_what_waits AFTER INSERT ON opt_outs
BEGIN
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

-- Lists and reports go by a day or a range of days.
CREATE INDEX reminders_by_scheduled_at ON reminders (scheduled_at, id);
