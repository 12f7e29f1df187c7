-- The first schema. Names and meanings are a public interface: the clinic's own programs read and write these tables.
-- It must be usable by SQLite 3.37 and up. Times are Unix milliseconds, UTC.

CREATE TABLE reminders (
    id               TEXT PRIMARY KEY NOT NULL
                     CONSTRAINT id_is_1_to_200_characters_without_controls CHECK (
                         length(id) BETWEEN 1 AND 200
                         AND instr(id, char(0)) = 0
                         AND id NOT GLOB '*[' || char(1) || '-' || char(31) || char(127) || '-' || char(159) || char(65533) || ']*'
                     ),
    ref              TEXT UNIQUE,
    phone_number     TEXT NOT NULL,
    message          TEXT NOT NULL,
    scheduled_at     INTEGER NOT NULL,
    expires_at       INTEGER,
    timezone         TEXT,
    status           TEXT NOT NULL DEFAULT 'scheduled' CONSTRAINT status_is_known CHECK (
                         status IN ('scheduled', 'dialing', 'processing', 'called', 'failed', 'expired', 'cancelled')
                     ),
    wake_at          INTEGER,
    hold_reason      TEXT,
    attempts         INTEGER NOT NULL DEFAULT 0,
    lease_token      TEXT,
    external_call_id TEXT,
    response         TEXT,
    last_error       TEXT,
    created_at       INTEGER NOT NULL DEFAULT (CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)),
    updated_at       INTEGER NOT NULL DEFAULT (CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)),
    -- Up to the year 3000: microseconds are refused at the door. (A NULL passes.)
    CONSTRAINT times_are_unix_milliseconds CHECK (
        scheduled_at BETWEEN 0 AND 32503680000000
        AND expires_at BETWEEN 0 AND 32503680000000
        AND wake_at BETWEEN 0 AND 32503680000000
        AND created_at BETWEEN 0 AND 32503680000000
        AND updated_at BETWEEN 0 AND 32503680000000
    )
) STRICT;

-- What to take up next, oldest first: to dial, and to look after. A query must repeat these conditions word for word.
-- (`status` is a column of them so that no query need look at the row to see whether its condition holds.)
CREATE INDEX reminders_to_dial ON reminders (wake_at, id, status) WHERE wake_at IS NOT NULL AND status = 'scheduled';
CREATE INDEX reminders_to_check ON reminders (wake_at, id, status) WHERE wake_at IS NOT NULL AND status <> 'scheduled';
CREATE INDEX reminders_by_phone_number ON reminders (phone_number);

-- Foreign programs need not know of wake_at: a reminder that is not final always has one.
CREATE TRIGGER reminders_inserted AFTER INSERT ON reminders
WHEN NEW.wake_at IS NULL AND NEW.status IN ('scheduled', 'dialing', 'processing')
BEGIN
    UPDATE reminders SET wake_at = scheduled_at WHERE id = NEW.id;
END;

CREATE TRIGGER reminders_moved AFTER UPDATE OF scheduled_at ON reminders
WHEN NEW.status = 'scheduled' AND NEW.scheduled_at <> OLD.scheduled_at
BEGIN
    UPDATE reminders SET wake_at = scheduled_at WHERE id = NEW.id;
END;

CREATE TRIGGER reminders_revived AFTER UPDATE OF status, wake_at ON reminders
WHEN NEW.wake_at IS NULL AND NEW.status IN ('scheduled', 'dialing', 'processing')
BEGIN
    UPDATE reminders SET wake_at = scheduled_at WHERE id = NEW.id;
END;

-- An id in another encoding would be read as one that names no row, and its reminder could never be settled.
-- GLOB sees only some of it; so an id beyond ASCII is taken apart and put together again.
CREATE TRIGGER reminders_id_is_utf8 BEFORE INSERT ON reminders
WHEN NEW.id GLOB '*[^ -~]*' AND length(NEW.id) <= 200
BEGIN
    SELECT RAISE(ABORT, 'reminders.id is not UTF-8')
    WHERE NEW.id <> (
        WITH RECURSIVE place (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM place WHERE n < length(NEW.id))
        SELECT group_concat(char(unicode(substr(NEW.id, n, 1))), '') FROM place
    );
END;

CREATE TABLE call_logs (
    -- It travels in an HTTP header, as the idempotency key.
    id               TEXT PRIMARY KEY NOT NULL DEFAULT (lower(hex(randomblob(16))))
                     CONSTRAINT id_is_1_to_200_printable_ascii_characters CHECK (
                         length(id) BETWEEN 1 AND 200 AND instr(id, char(0)) = 0 AND id NOT GLOB '*[^!-~]*'
                     ),
    reminder_id      TEXT NOT NULL REFERENCES reminders (id) ON DELETE CASCADE,
    attempt          INTEGER,
    provider         TEXT,
    external_call_id TEXT UNIQUE,
    status           TEXT NOT NULL DEFAULT 'dialing',
    tries            INTEGER NOT NULL DEFAULT 0,
    checks           INTEGER NOT NULL DEFAULT 0,
    transcript       TEXT,
    answered_by      TEXT,
    duration_seconds INTEGER,
    error            TEXT,
    created_at       INTEGER NOT NULL DEFAULT (CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)),
    updated_at       INTEGER NOT NULL DEFAULT (CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)),
    received_at      INTEGER,
    UNIQUE (reminder_id, attempt),
    CONSTRAINT times_are_unix_milliseconds CHECK (
        created_at BETWEEN 0 AND 32503680000000
        AND updated_at BETWEEN 0 AND 32503680000000
        AND received_at BETWEEN 0 AND 32503680000000
    )
) STRICT;

-- The database itself forbids a second dial: a reminder has one open call at most.
-- A provider's word that we don't know counts as open.
CREATE UNIQUE INDEX call_logs_one_open_call ON call_logs (reminder_id)
WHERE attempt IS NOT NULL AND status NOT IN (
    'completed', 'busy', 'no-answer', 'canceled', 'failed', 'refused', 'not-placed', 'unreported'
);

-- The gate for terminal reports: who inserts a call's receipt has reported its end.
CREATE TABLE webhook_receipts (
    call_id     TEXT PRIMARY KEY NOT NULL,
    reminder_id TEXT NOT NULL,
    status      TEXT NOT NULL,
    received_at INTEGER NOT NULL DEFAULT (CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER))
) STRICT;

CREATE INDEX webhook_receipts_by_reminder ON webhook_receipts (reminder_id);

CREATE TABLE opt_outs (
    phone_number TEXT PRIMARY KEY NOT NULL,
    source       TEXT,
    created_at   INTEGER NOT NULL DEFAULT (CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER))
) STRICT;

CREATE TABLE settings (
    key   TEXT PRIMARY KEY NOT NULL,
    value TEXT
) STRICT;

-- Who did what, append-only.
CREATE TABLE audit (
    id          INTEGER PRIMARY KEY,
    at          INTEGER NOT NULL,
    actor       TEXT NOT NULL,
    act         TEXT NOT NULL,
    reminder_id TEXT,
    detail      TEXT
) STRICT;

CREATE INDEX audit_by_reminder ON audit (reminder_id);

CREATE TRIGGER audit_is_not_updated BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit is append-only');
END;

CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit is append-only');
END;

-- REPLACE deletes without asking the trigger for deletes.
CREATE TRIGGER audit_is_not_replaced BEFORE INSERT ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'audit is append-only');
END;
