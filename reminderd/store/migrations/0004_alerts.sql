-- Which reminders somebody was told of, and as of which change: a reminder that is rung again and fails again is news.
CREATE TABLE alerts (
    reminder_id TEXT PRIMARY KEY NOT NULL REFERENCES reminders (id) ON DELETE CASCADE,
    updated_at  INTEGER NOT NULL
) STRICT;
