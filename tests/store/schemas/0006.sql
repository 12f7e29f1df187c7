PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
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
    updated_at       INTEGER NOT NULL DEFAULT (CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)), said_with TEXT,
    -- Up to the year 3000: microseconds are refused at the door. (A NULL passes.)
    CONSTRAINT times_are_unix_milliseconds CHECK (
        scheduled_at BETWEEN 0 AND 32503680000000
        AND expires_at BETWEEN 0 AND 32503680000000
        AND wake_at BETWEEN 0 AND 32503680000000
        AND created_at BETWEEN 0 AND 32503680000000
        AND updated_at BETWEEN 0 AND 32503680000000
    )
) STRICT;
INSERT INTO reminders VALUES('waits','w','+12025550100','Tomorrow.',1780000000000,NULL,NULL,'scheduled',1780000000000,NULL,0,NULL,NULL,NULL,NULL,1780000000000,1780000000000,NULL);
INSERT INTO reminders VALUES('rings',NULL,'+12025550101','It''s at nine; be there.',1780000000000,1780000000009,'Europe/Berlin','processing',1780000000005,NULL,1,NULL,'e2',NULL,NULL,1780000000000,1780000000000,NULL);
INSERT INTO reminders VALUES('über','ü','+12025550102',replace('Größe\nzwei Zeilen','\n',char(10)),1780000000000,NULL,NULL,'called',NULL,NULL,2,NULL,'e1','confirmed',NULL,1780000000000,1780000000000,NULL);
INSERT INTO reminders VALUES('lost',NULL,'nonsense','',1780000000000,NULL,NULL,'failed',NULL,NULL,0,NULL,NULL,NULL,'unconfirmed, ring by hand',1780000000000,1780000000000,NULL);
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
    received_at      INTEGER, not_found INTEGER NOT NULL DEFAULT 0, sip_response_code INTEGER, error_code TEXT, said_digest TEXT,
    UNIQUE (reminder_id, attempt),
    CONSTRAINT times_are_unix_milliseconds CHECK (
        created_at BETWEEN 0 AND 32503680000000
        AND updated_at BETWEEN 0 AND 32503680000000
        AND received_at BETWEEN 0 AND 32503680000000
    )
) STRICT;
INSERT INTO call_logs VALUES('c1','über',1,NULL,NULL,'busy',0,0,NULL,NULL,NULL,NULL,1780000000000,1780000000000,NULL,0,NULL,NULL,NULL);
INSERT INTO call_logs VALUES('c2','über',2,'twilio','e1','completed',3,2,'Yes, I''ll be there.','human',31,NULL,1780000000000,1780000000000,1780000000003,1,200,'0',NULL);
INSERT INTO call_logs VALUES('c3','rings',1,NULL,'e2','ringing',0,0,NULL,NULL,NULL,NULL,1780000000000,1780000000000,NULL,0,NULL,NULL,NULL);
INSERT INTO call_logs VALUES('c4','lost',NULL,NULL,NULL,'completed',0,0,NULL,NULL,NULL,'nothing',1780000000000,1780000000000,NULL,0,NULL,NULL,NULL);
CREATE TABLE webhook_receipts (
    call_id     TEXT PRIMARY KEY NOT NULL,
    reminder_id TEXT NOT NULL,
    status      TEXT NOT NULL,
    received_at INTEGER NOT NULL DEFAULT (CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER))
) STRICT;
INSERT INTO webhook_receipts VALUES('e1','über','completed',1780000000003);
CREATE TABLE opt_outs (
    phone_number TEXT PRIMARY KEY NOT NULL,
    source       TEXT,
    created_at   INTEGER NOT NULL DEFAULT (CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER))
) STRICT;
INSERT INTO opt_outs VALUES('+12025550199','a letter',1780000000000);
CREATE TABLE settings (
    key   TEXT PRIMARY KEY NOT NULL,
    value TEXT
) STRICT;
INSERT INTO settings VALUES('paused','false');
CREATE TABLE audit (
    id          INTEGER PRIMARY KEY,
    at          INTEGER NOT NULL,
    actor       TEXT NOT NULL,
    act         TEXT NOT NULL,
    reminder_id TEXT,
    detail      TEXT
) STRICT;
INSERT INTO audit VALUES(1,1780000000000,'anna','add','waits',NULL);
INSERT INTO audit VALUES(2,1780000000000,'patient','confirmed','über','key 1');
CREATE TABLE alerts (
    reminder_id TEXT PRIMARY KEY NOT NULL REFERENCES reminders (id) ON DELETE CASCADE,
    updated_at  INTEGER NOT NULL
) STRICT;
INSERT INTO alerts VALUES('lost',1780000000000);
CREATE INDEX reminders_to_dial ON reminders (wake_at, id, status) WHERE wake_at IS NOT NULL AND status = 'scheduled';
CREATE INDEX reminders_to_check ON reminders (wake_at, id, status) WHERE wake_at IS NOT NULL AND status <> 'scheduled';
CREATE INDEX reminders_by_phone_number ON reminders (phone_number);
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
CREATE TRIGGER reminders_id_is_utf8 BEFORE INSERT ON reminders
WHEN NEW.id GLOB '*[^ -~]*' AND length(NEW.id) <= 200
BEGIN
    SELECT RAISE(ABORT, 'reminders.id is not UTF-8')
    WHERE NEW.id <> (
        WITH RECURSIVE place (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM place WHERE n < length(NEW.id))
        SELECT group_concat(char(unicode(substr(NEW.id, n, 1))), '') FROM place
    );
END;
CREATE UNIQUE INDEX call_logs_one_open_call ON call_logs (reminder_id)
WHERE attempt IS NOT NULL AND status NOT IN (
    'completed', 'busy', 'no-answer', 'canceled', 'failed', 'refused', 'not-placed', 'unreported'
);
CREATE INDEX webhook_receipts_by_reminder ON webhook_receipts (reminder_id);
CREATE INDEX audit_by_reminder ON audit (reminder_id);
CREATE TRIGGER audit_is_not_updated BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit is append-only');
END;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'audit is append-only');
END;
CREATE TRIGGER audit_is_not_replaced BEFORE INSERT ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'audit is append-only');
END;
CREATE INDEX reminders_by_scheduled_at ON reminders (scheduled_at, id);
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
CREATE INDEX reminders_by_said_with ON reminders (said_with, scheduled_at, id) WHERE said_with IS NOT NULL;
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
COMMIT;
PRAGMA application_id = 1382378852;
PRAGMA user_version = 6;
