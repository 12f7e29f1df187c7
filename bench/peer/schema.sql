-- The tables of worker.js, for PostgreSQL.

CREATE TABLE reminders (
    id               TEXT PRIMARY KEY DEFAULT gen_random_uuid(),
    phone_number     TEXT NOT NULL,
    message          TEXT NOT NULL,
    scheduled_at     TIMESTAMPTZ NOT NULL,
    status           TEXT NOT NULL DEFAULT 'scheduled'
                     CHECK (status IN ('scheduled', 'processing', 'called', 'failed')),
    created_at       TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at       TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE INDEX reminders_due ON reminders (scheduled_at) WHERE status = 'scheduled';

CREATE TABLE call_logs (
    id               TEXT PRIMARY KEY DEFAULT gen_random_uuid(),
    reminder_id      TEXT NOT NULL REFERENCES reminders,
    external_call_id TEXT NOT NULL,
    status           TEXT NOT NULL,
    transcript       TEXT,
    created_at       TIMESTAMPTZ NOT NULL DEFAULT now(),
    received_at      TIMESTAMPTZ
);

CREATE INDEX call_logs_by_reminder ON call_logs (reminder_id);
CREATE INDEX call_logs_by_external_call_id ON call_logs (external_call_id);
