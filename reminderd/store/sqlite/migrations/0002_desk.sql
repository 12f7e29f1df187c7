-- What the front desk's pages need.

-- The condition is that of `NEEDS_HUMAN` in store/queries.py, which is made from the decisions of core/outcomes.py.
CREATE INDEX reminders_that_need_a_human ON reminders (scheduled_at, id, phone_number)
WHERE CASE status
      WHEN 'scheduled' THEN hold_code = 'number_changed'
      WHEN 'called' THEN response = 'cancel_requested' AND done_at IS NULL
      WHEN 'failed' THEN done_at IS NULL
      WHEN 'expired' THEN done_at IS NULL
      ELSE FALSE END;
-- Staff search by the end of a number.
CREATE INDEX reminders_by_last_digits ON reminders (substr(phone_number, length(phone_number) - 3), scheduled_at, id);
-- Lists of one status. The condition is true of all rows: an index is used only by a statement that has its condition,
-- and what claims reminders must not read all that are scheduled, in the order of their times.
CREATE INDEX reminders_by_status ON reminders (status, scheduled_at, id) WHERE status <> '';
CREATE INDEX reminders_by_response ON reminders (response, scheduled_at, id) WHERE response IS NOT NULL;
