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
    language         TEXT,
    -- No foreign key: other programs delete and replace appointments.
    appointment_id   TEXT,
    status           TEXT NOT NULL DEFAULT 'scheduled' CONSTRAINT status_is_known CHECK (
                         status IN ('scheduled', 'dialing', 'processing', 'called', 'failed', 'expired', 'cancelled')
                     ),
    response         TEXT,
    last_error       TEXT,
    -- From here on reminderd alone writes. Another program that writes a whole row leaves them out.
    wake_at          INTEGER,
    retry_at         INTEGER,
    attempts         INTEGER NOT NULL DEFAULT 0,
    tries            INTEGER NOT NULL DEFAULT 0,
    again_until      INTEGER,
    again_seq        INTEGER NOT NULL DEFAULT 0,
    hold_code        TEXT,
    former_number    TEXT,
    end_code         TEXT,
    ended_at         INTEGER,
    done_at          INTEGER,
    planned_at       INTEGER,
    cadence          TEXT,
    source           TEXT,
    revision         INTEGER NOT NULL DEFAULT 0,
    created_at       INTEGER NOT NULL DEFAULT (CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)),
    updated_at       INTEGER NOT NULL DEFAULT (CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)),
    -- Up to the year 3000: microseconds are refused. (A NULL passes.)
    CONSTRAINT times_are_unix_milliseconds CHECK (
        scheduled_at BETWEEN 0 AND 32503680000000
        AND expires_at BETWEEN 0 AND 32503680000000
        AND wake_at BETWEEN 0 AND 32503680000000
        AND created_at BETWEEN 0 AND 32503680000000
        AND updated_at BETWEEN 0 AND 32503680000000
    )
) STRICT;
INSERT INTO reminders VALUES('waits','w','+12025550100','Tomorrow.',1780000000000,NULL,NULL,NULL,NULL,'scheduled',NULL,NULL,1780000000000,NULL,0,0,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,1780000000000,1780000000000);
INSERT INTO reminders VALUES('rings',NULL,'+12025550101','It''s at nine; be there.',1780000000000,1780000000009,'Europe/Berlin',NULL,NULL,'processing',NULL,NULL,1780000000000,NULL,0,0,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,3,1780000000000,1780000000000);
INSERT INTO reminders VALUES('über','ü','+12025550102',replace('Größe\nzwei Zeilen','\n',char(10)),1780000000000,NULL,NULL,NULL,NULL,'called','confirmed',NULL,NULL,NULL,2,0,NULL,0,NULL,NULL,NULL,1780000000003,NULL,NULL,NULL,NULL,0,1780000000000,1780000000000);
INSERT INTO reminders VALUES('lost',NULL,'nonsense','',1780000000000,NULL,NULL,NULL,NULL,'failed',NULL,'outcome unknown: call the patient manually',NULL,NULL,0,0,NULL,0,NULL,NULL,'unconfirmed',1780000000003,NULL,NULL,NULL,NULL,0,1780000000000,1780000000000);
CREATE TABLE appointments (
    id               TEXT PRIMARY KEY NOT NULL
                     CONSTRAINT id_is_1_to_200_characters_without_controls CHECK (
                         length(id) BETWEEN 1 AND 200
                         AND instr(id, char(0)) = 0
                         AND id NOT GLOB '*[' || char(1) || '-' || char(31) || char(127) || '-' || char(159) || char(65533) || ']*'
                     ),
    ref              TEXT UNIQUE,
    phone_number     TEXT NOT NULL,
    patient_ref      TEXT,
    at               INTEGER NOT NULL,
    timezone         TEXT,
    type             TEXT,
    template         TEXT,
    language         TEXT,
    name             TEXT,
    provider         TEXT,
    place            TEXT,
    status           TEXT NOT NULL DEFAULT 'booked'
                     CONSTRAINT status_is_known CHECK (status IN ('booked', 'cancelled')),
    response         TEXT,
    -- From here on reminderd alone writes. Another program that writes a whole row leaves them out.
    source           TEXT,
    wake_at          INTEGER,
    planned_at       INTEGER,
    former_number    TEXT,
    end_code         TEXT,
    last_error       TEXT,
    revision         INTEGER NOT NULL DEFAULT 0,
    created_at       INTEGER NOT NULL DEFAULT (CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)),
    updated_at       INTEGER NOT NULL DEFAULT (CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)),
    CONSTRAINT times_are_unix_milliseconds CHECK (
        at BETWEEN 0 AND 32503680000000
        AND wake_at BETWEEN 0 AND 32503680000000
        AND planned_at BETWEEN 0 AND 32503680000000
        AND created_at BETWEEN 0 AND 32503680000000
        AND updated_at BETWEEN 0 AND 32503680000000
    )
) STRICT;
CREATE TABLE call_logs (
    seq              INTEGER PRIMARY KEY AUTOINCREMENT,
    -- It travels in an HTTP header, as the idempotency key.
    id               TEXT UNIQUE NOT NULL DEFAULT (lower(hex(randomblob(16))))
                     CONSTRAINT id_is_1_to_200_printable_ascii_characters CHECK (
                         length(id) BETWEEN 1 AND 200 AND instr(id, char(0)) = 0 AND id NOT GLOB '*[^!-~]*'
                     ),
    -- No foreign key: a call outlives its reminder, as its phone may be ringing.
    reminder_id      TEXT NOT NULL,
    phone_number     TEXT NOT NULL,
    provider         TEXT,
    account          TEXT,
    state            TEXT NOT NULL CONSTRAINT state_is_known CHECK (
                         state IN ('dialing', 'unconfirmed', 'placed', 'stray', 'ended', 'refused', 'not_placed', 'unreported')
                     ),
    status           TEXT,
    outcome          TEXT,
    external_call_id TEXT UNIQUE,
    requests         INTEGER NOT NULL DEFAULT 0,
    checks           INTEGER NOT NULL DEFAULT 0,
    evidence         INTEGER NOT NULL DEFAULT 0,
    adopted          INTEGER NOT NULL DEFAULT 0,
    lease_token      TEXT,
    wake_at          INTEGER,
    last_sign_at     INTEGER NOT NULL,
    fetched_at       INTEGER,
    hung_up_at       INTEGER,
    transcript       TEXT,
    answered_by      TEXT,
    duration_seconds INTEGER,
    sip_response_code INTEGER,
    error_code       TEXT,
    error            TEXT,
    created_at       INTEGER NOT NULL DEFAULT (CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)),
    updated_at       INTEGER NOT NULL DEFAULT (CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)),
    received_at      INTEGER,
    CONSTRAINT a_call_is_looked_at_while_it_is_alive CHECK (
        (state IN ('dialing', 'unconfirmed', 'placed', 'stray')) = (wake_at IS NOT NULL)
    ),
    CONSTRAINT times_are_unix_milliseconds CHECK (
        created_at BETWEEN 0 AND 32503680000000
        AND updated_at BETWEEN 0 AND 32503680000000
        AND received_at BETWEEN 0 AND 32503680000000
        AND last_sign_at BETWEEN 0 AND 32503680000000
        AND fetched_at BETWEEN 0 AND 32503680000000
        AND hung_up_at BETWEEN 0 AND 32503680000000
    )
) STRICT;
INSERT INTO call_logs VALUES(1,'c1','über','+12025550102',NULL,NULL,'ended','busy',NULL,NULL,1,0,0,0,NULL,NULL,1780000000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1780000000000,1780000000000,NULL);
INSERT INTO call_logs VALUES(2,'c2','über','+12025550102','twilio','AC1','ended','completed','heard','e1',3,2,1,0,NULL,NULL,1780000000000,1780000000001,1780000000002,'Yes, I''ll be there.','human',31,200,'0',NULL,1780000000000,1780000000000,1780000000003);
INSERT INTO call_logs VALUES(3,'c3','rings','+12025550101',NULL,NULL,'placed','ringing',NULL,'e2',1,0,1,0,NULL,1780000000005,1780000000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1780000000000,1780000000000,NULL);
INSERT INTO call_logs VALUES(4,'c4','lost','+12025550102',NULL,NULL,'unreported',NULL,NULL,NULL,0,0,0,0,NULL,NULL,1780000000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'nothing',1780000000000,1780000000000,NULL);
CREATE TABLE call_reminders (
    call_id        TEXT NOT NULL,
    reminder_id    TEXT NOT NULL,
    position       INTEGER NOT NULL,
    scheduled_at   INTEGER NOT NULL,
    message_digest TEXT NOT NULL,
    spoken         INTEGER NOT NULL DEFAULT 0,
    spoken_by      INTEGER,
    deleted        INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (call_id, reminder_id)
) STRICT;
INSERT INTO call_reminders VALUES('c1','über',0,1780000000000,'0000000000000000000000000000000000000000000000000000000000000000',0,NULL,0);
INSERT INTO call_reminders VALUES('c2','über',0,1780000000000,'0000000000000000000000000000000000000000000000000000000000000000',1,1780000000002,0);
INSERT INTO call_reminders VALUES('c3','rings',0,1780000000000,'0000000000000000000000000000000000000000000000000000000000000000',0,NULL,0);
INSERT INTO call_reminders VALUES('c4','lost',0,1780000000000,'0000000000000000000000000000000000000000000000000000000000000000',0,NULL,1);
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
CREATE TABLE imports (
    id          INTEGER PRIMARY KEY,
    at          INTEGER NOT NULL,
    finished_at INTEGER,
    file        TEXT NOT NULL,
    profile     TEXT,
    actor       TEXT NOT NULL,
    status      TEXT NOT NULL DEFAULT 'running' CONSTRAINT status_is_known CHECK (
                    status IN ('running', 'done', 'refused', 'failed', 'interrupted')
                ),
    added       INTEGER NOT NULL DEFAULT 0,
    changed     INTEGER NOT NULL DEFAULT 0,
    held        INTEGER NOT NULL DEFAULT 0,
    unchanged   INTEGER NOT NULL DEFAULT 0,
    cancelled   INTEGER NOT NULL DEFAULT 0,
    not_needed  INTEGER NOT NULL DEFAULT 0,
    rejected    INTEGER NOT NULL DEFAULT 0,
    reason      TEXT
, digest TEXT, dated_at INTEGER) STRICT;
INSERT INTO imports VALUES(1,1780000000000,1780000000009,'list.csv','practice','anna','running',0,0,0,0,0,0,0,NULL,NULL,NULL);
CREATE TABLE settings (
    key   TEXT PRIMARY KEY NOT NULL,
    value TEXT
) STRICT;
INSERT INTO settings VALUES('database_id','0123456789abcdef0123456789abcdef');
INSERT INTO settings VALUES('paused','false');
CREATE TABLE alerts (
    reminder_id TEXT PRIMARY KEY NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT;
INSERT INTO alerts VALUES('lost',1780000000000);
CREATE TABLE changes (
    -- Never used twice: SQLite has one writer at a time, so that the order of the numbers is that of the commits.
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Random, so that a change of a restored or of another database is recognized by it.
    event_id       TEXT UNIQUE NOT NULL DEFAULT (lower(hex(randomblob(16)))),
    at             INTEGER NOT NULL,
    kind           TEXT NOT NULL CONSTRAINT kind_is_known CHECK (kind IN ('reminder', 'appointment')),
    subject_id     TEXT NOT NULL,
    ref            TEXT,
    appointment_id TEXT,
    -- The time that the call or the answer was about: the appointment may be moved before a reader comes to this change.
    appointment_at INTEGER,
    status         TEXT NOT NULL,
    response       TEXT,
    end_code       TEXT,
    done           INTEGER NOT NULL DEFAULT 0,
    attempts       INTEGER,
    -- How the last call for it has ended, and whether its message was spoken in that call.
    call_outcome   TEXT,
    spoken         INTEGER
) STRICT;
INSERT INTO changes VALUES(1,'00000000000000000000000000000000',1780000000000,'reminder','über','ü',NULL,NULL,'called','confirmed',NULL,0,2,'heard',1);
CREATE TABLE deliveries (
    seq        INTEGER PRIMARY KEY,
    subject_id TEXT NOT NULL,
    tries      INTEGER NOT NULL DEFAULT 0,
    next_at    INTEGER NOT NULL,
    error      TEXT
) STRICT;
CREATE TABLE audit (
    id             INTEGER PRIMARY KEY,
    at             INTEGER NOT NULL,
    actor          TEXT NOT NULL,
    act            TEXT NOT NULL,
    reminder_id    TEXT,
    detail         TEXT,
    appointment_id TEXT
) STRICT;
INSERT INTO audit VALUES(1,1780000000000,'anna','add','waits',NULL,NULL);
INSERT INTO audit VALUES(2,1780000000000,'patient','confirmed','über','key 1',NULL);
CREATE TABLE users (
    name          TEXT PRIMARY KEY NOT NULL,
    role          TEXT NOT NULL CONSTRAINT role_is_known CHECK (role IN ('desk', 'admin')),
    password_hash TEXT NOT NULL,
    totp_secret   TEXT,
    -- The last time step whose code was used: no code is accepted twice.
    totp_used     INTEGER,
    created_at    INTEGER NOT NULL,
    changed_at    INTEGER NOT NULL
) STRICT;
INSERT INTO users VALUES('anna','admin','$argon2id$','JBSWY3DPEHPK3PXP',59333333,1780000000000,1780000000000);
CREATE TABLE sessions (
    digest     TEXT PRIMARY KEY NOT NULL,
    user_name  TEXT NOT NULL,
    csrf       TEXT NOT NULL,
    -- What the next page says of the act before it.
    notice     TEXT,
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL
) STRICT;
INSERT INTO sessions VALUES('0000000000000000000000000000000000000000000000000000000000000000','anna','random','Done.',1780000000000,1780000000000);
CREATE TABLE login_failures (
    counter  TEXT PRIMARY KEY NOT NULL,
    failures INTEGER NOT NULL,
    last_at  INTEGER NOT NULL
) STRICT;
INSERT INTO login_failures VALUES('user:anna',2,1780000000000);
CREATE TABLE login_addresses (
    user_name TEXT NOT NULL,
    address   TEXT NOT NULL,
    last_at   INTEGER NOT NULL,
    PRIMARY KEY (user_name, address)
) STRICT;
INSERT INTO login_addresses VALUES('anna','192.0.2.7',1780000000000);
CREATE TABLE daemons (
    -- New at each start.
    id            TEXT PRIMARY KEY NOT NULL,
    host          TEXT NOT NULL,
    pid           INTEGER NOT NULL,
    -- Distinguishes the process from every other that this kernel has run, or will run, under the same pid; '': unknown.
    process       TEXT NOT NULL,
    -- 'dial' or 'web', if it does only one of them.
    part          TEXT,
    version       TEXT NOT NULL,
    -- Of everything in its configuration that decides about calls.
    rules_digest  TEXT NOT NULL,
    started_at    INTEGER NOT NULL,
    seen_at       INTEGER NOT NULL,
    -- What it does for all of them until `jobs_until`, with commas in between.
    jobs          TEXT NOT NULL,
    jobs_until    INTEGER NOT NULL
) STRICT;
INSERT INTO daemons VALUES('00000000000000000000000000000000','clinic',4711,'',NULL,'0.1.0','0000000000000000000000000000000000000000000000000000000000000000',1780000000000,1780000000000,'alerts,retention',1780000000000);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('changes',2);
INSERT INTO sqlite_sequence VALUES('call_logs',4);
CREATE INDEX reminders_to_look_at ON reminders (wake_at, id, status) WHERE wake_at IS NOT NULL;
CREATE INDEX reminders_by_phone_number ON reminders (phone_number);
CREATE INDEX reminders_held ON reminders (wake_at) WHERE hold_code IS NOT NULL;
CREATE INDEX reminders_behind_a_call ON reminders (phone_number) WHERE hold_code = 'number_busy';
CREATE INDEX reminders_by_appointment ON reminders (appointment_id) WHERE appointment_id IS NOT NULL;
CREATE INDEX reminders_too_late ON reminders (ended_at) WHERE end_code = 'too_late';
CREATE INDEX reminders_with_odd_names ON reminders (id)
WHERE '/' || id || '/' || coalesce(ref, '') || '/' GLOB
      '*[' || char(1) || '-' || char(31) || char(127) || '-' || char(160) || char(173) || char(768) || '-' || char(879)
      || char(884) || char(894) || char(903) || char(1155) || '-' || char(1161) || char(1425) || '-' || char(1479)
      || char(1536) || '-' || char(12288) || char(12330) || '-' || char(12335) || char(12441) || '-' || char(12442)
      || char(42607) || '-' || char(44031) || char(63744) || '-' || char(1114111) || ']*'
   OR '/' || id || '/' || coalesce(ref, '') || '/' GLOB '*/ *'
   OR '/' || id || '/' || coalesce(ref, '') || '/' GLOB '* /*';
CREATE VIEW odd_names AS SELECT id, ref FROM reminders
WHERE '/' || id || '/' || coalesce(ref, '') || '/' GLOB
      '*[' || char(1) || '-' || char(31) || char(127) || '-' || char(160) || char(173) || char(768) || '-' || char(879)
      || char(884) || char(894) || char(903) || char(1155) || '-' || char(1161) || char(1425) || '-' || char(1479)
      || char(1536) || '-' || char(12288) || char(12330) || '-' || char(12335) || char(12441) || '-' || char(12442)
      || char(42607) || '-' || char(44031) || char(63744) || '-' || char(1114111) || ']*'
   OR '/' || id || '/' || coalesce(ref, '') || '/' GLOB '*/ *'
   OR '/' || id || '/' || coalesce(ref, '') || '/' GLOB '* /*';
CREATE INDEX appointments_to_plan ON appointments (wake_at, id) WHERE wake_at IS NOT NULL;
CREATE INDEX appointments_by_phone_number ON appointments (phone_number);
CREATE INDEX appointments_by_at ON appointments (at, id);
CREATE INDEX appointments_not_purged ON appointments (at, id) WHERE phone_number <> '';
CREATE UNIQUE INDEX call_logs_one_open_call ON call_logs (phone_number)
WHERE state IN ('dialing', 'unconfirmed', 'placed');
CREATE INDEX call_logs_stray ON call_logs (phone_number, state) WHERE state = 'stray';
CREATE INDEX call_logs_to_look_at ON call_logs (wake_at, id, last_sign_at) WHERE wake_at IS NOT NULL;
CREATE INDEX call_logs_by_phone_number ON call_logs (phone_number);
CREATE INDEX call_logs_by_reminder ON call_logs (reminder_id);
CREATE INDEX call_reminders_by_reminder ON call_reminders (reminder_id);
CREATE TRIGGER reminders_inserted AFTER INSERT ON reminders
WHEN NEW.wake_at IS NULL AND NEW.status IN ('scheduled', 'dialing', 'processing')
BEGIN
    -- At once: what can never be called fails while there is time to correct it.
    UPDATE reminders
       SET wake_at = min(scheduled_at, CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER))
     WHERE id = NEW.id;
END
;
CREATE TRIGGER reminders_moved AFTER UPDATE OF scheduled_at ON reminders
WHEN NEW.revision = OLD.revision AND NEW.scheduled_at <> OLD.scheduled_at
     AND NEW.status = 'scheduled' AND OLD.status = 'scheduled'
BEGIN
    UPDATE reminders SET wake_at = scheduled_at WHERE id = NEW.id;
END;
CREATE TRIGGER reminders_changed
AFTER UPDATE OF scheduled_at, expires_at, timezone, language, phone_number, message, status ON reminders
WHEN NEW.revision = OLD.revision
     AND (NEW.status <> OLD.status OR NEW.phone_number <> OLD.phone_number OR NEW.message <> OLD.message
          OR NEW.timezone IS NOT OLD.timezone OR NEW.language IS NOT OLD.language OR NEW.expires_at IS NOT OLD.expires_at
          OR (NEW.scheduled_at <> OLD.scheduled_at AND NEW.status <> 'scheduled'))
BEGIN
    UPDATE reminders SET wake_at = CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) WHERE id = NEW.id;
END;
CREATE TRIGGER reminders_put_to_sleep AFTER UPDATE OF wake_at ON reminders
WHEN NEW.revision = OLD.revision AND NEW.wake_at IS NULL AND NEW.status IN ('scheduled', 'dialing', 'processing')
BEGIN
    UPDATE reminders SET wake_at = CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) WHERE id = NEW.id;
END;
CREATE TRIGGER reminders_ended AFTER UPDATE OF status ON reminders
WHEN NEW.revision = OLD.revision AND NEW.status <> OLD.status
     AND NEW.status IN ('called', 'failed', 'expired', 'cancelled')
BEGIN
    UPDATE call_logs SET wake_at = CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)
     WHERE id IN (SELECT call_id FROM call_reminders WHERE reminder_id = NEW.id)
       AND lease_token IS NULL AND state IN ('unconfirmed', 'placed', 'stray');
END;
CREATE TRIGGER reminders_deleted AFTER DELETE ON reminders
BEGIN
    UPDATE call_reminders SET deleted = 1 WHERE reminder_id = OLD.id;
    DELETE FROM alerts WHERE reminder_id = OLD.id;
    UPDATE call_logs SET wake_at = CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)
     WHERE id IN (SELECT call_id FROM call_reminders WHERE reminder_id = OLD.id)
       AND lease_token IS NULL AND state IN ('unconfirmed', 'placed', 'stray');
END;
CREATE TRIGGER appointments_inserted AFTER INSERT ON appointments
WHEN NEW.revision = 0 AND NEW.wake_at IS NULL
BEGIN
    UPDATE appointments SET wake_at = CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) WHERE id = NEW.id;
END;
CREATE TRIGGER appointments_changed
AFTER UPDATE OF phone_number, at, timezone, type, template, language, name, provider, place, status, response
ON appointments
WHEN NEW.revision = OLD.revision
     AND (NEW.phone_number <> OLD.phone_number OR NEW.at <> OLD.at OR NEW.status <> OLD.status
          OR NEW.timezone IS NOT OLD.timezone OR NEW.type IS NOT OLD.type OR NEW.template IS NOT OLD.template
          OR NEW.language IS NOT OLD.language OR NEW.name IS NOT OLD.name OR NEW.provider IS NOT OLD.provider
          OR NEW.place IS NOT OLD.place OR NEW.response IS NOT OLD.response)
BEGIN
    UPDATE appointments SET wake_at = CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) WHERE id = NEW.id;
END;
CREATE TRIGGER appointments_deleted AFTER DELETE ON appointments
BEGIN
    UPDATE reminders SET wake_at = CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)
     WHERE appointment_id = OLD.id AND status IN ('scheduled', 'dialing', 'processing');
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
CREATE TRIGGER appointments_id_is_utf8 BEFORE INSERT ON appointments
WHEN NEW.id GLOB '*[^ -~]*' AND length(NEW.id) <= 200
BEGIN
    SELECT RAISE(ABORT, 'appointments.id is not UTF-8')
    WHERE NEW.id <> (
        WITH RECURSIVE place (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM place WHERE n < length(NEW.id))
        SELECT group_concat(char(unicode(substr(NEW.id, n, 1))), '') FROM place
    );
END;
CREATE INDEX webhook_receipts_by_reminder ON webhook_receipts (reminder_id);
CREATE INDEX webhook_receipts_by_time ON webhook_receipts (received_at);
CREATE TRIGGER opt_outs_inserted_in_e164 BEFORE INSERT ON opt_outs
WHEN NEW.phone_number NOT GLOB '+[1-9]*' OR substr(NEW.phone_number, 2) GLOB '*[^0-9]*'
     OR length(NEW.phone_number) NOT BETWEEN 8 AND 16 OR instr(NEW.phone_number, char(0)) > 0
BEGIN
    SELECT RAISE(ABORT, 'opt_outs.phone_number is not E.164: expected + and 7 to 15 digits, like +12025550147');
END;
CREATE TRIGGER opt_outs_corrected_in_e164 BEFORE UPDATE OF phone_number ON opt_outs
WHEN NEW.phone_number NOT GLOB '+[1-9]*' OR substr(NEW.phone_number, 2) GLOB '*[^0-9]*'
     OR length(NEW.phone_number) NOT BETWEEN 8 AND 16 OR instr(NEW.phone_number, char(0)) > 0
BEGIN
    SELECT RAISE(ABORT, 'opt_outs.phone_number is not E.164: expected + and 7 to 15 digits, like +12025550147');
END;
CREATE TRIGGER opt_outs_inserted AFTER INSERT ON opt_outs
BEGIN
    UPDATE reminders SET wake_at = CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)
     WHERE phone_number = NEW.phone_number AND status = 'scheduled';
END;
CREATE TRIGGER opt_outs_corrected AFTER UPDATE OF phone_number ON opt_outs
WHEN NEW.phone_number <> OLD.phone_number
BEGIN
    UPDATE reminders SET wake_at = CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)
     WHERE phone_number = NEW.phone_number AND status = 'scheduled';
END;
CREATE INDEX imports_by_time ON imports (at, id);
CREATE INDEX deliveries_by_subject ON deliveries (subject_id, seq);
CREATE INDEX changes_by_subject ON changes (subject_id);
CREATE INDEX changes_by_appointment ON changes (appointment_id) WHERE appointment_id IS NOT NULL;
CREATE TRIGGER reminders_outcome_changed AFTER UPDATE OF status, response, end_code, done_at ON reminders
WHEN NEW.response IS NOT OLD.response
     OR (NEW.status <> OLD.status
         AND (NEW.status IN ('called', 'failed', 'expired', 'cancelled')
              OR OLD.status IN ('called', 'failed', 'expired', 'cancelled')))
     OR (NEW.status IN ('called', 'failed', 'expired', 'cancelled')
         AND ((NEW.end_code IS NOT OLD.end_code AND NEW.end_code IS NOT 'cancelled_elsewhere')
              OR (NEW.done_at IS NULL) <> (OLD.done_at IS NULL)))
BEGIN
    INSERT INTO changes (at, kind, subject_id, ref, appointment_id, appointment_at, status, response, end_code, done,
                         attempts, call_outcome, spoken)
    SELECT CASE WHEN NEW.revision <> OLD.revision THEN NEW.updated_at
                ELSE CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) END,
           'reminder', NEW.id, NEW.ref, NEW.appointment_id, NEW.planned_at, NEW.status, NEW.response, NEW.end_code,
           NEW.done_at IS NOT NULL, NEW.attempts, last.outcome, last.spoken
      FROM (SELECT 1) LEFT JOIN (
               SELECT c.outcome, m.spoken FROM call_reminders AS m JOIN call_logs AS c ON c.id = m.call_id
                WHERE m.reminder_id = NEW.id AND m.deleted = 0 AND m.scheduled_at = NEW.scheduled_at
                  AND c.phone_number = NEW.phone_number AND c.outcome IS NOT NULL
                ORDER BY c.seq DESC LIMIT 1
           ) AS last;
END;
CREATE TRIGGER reminders_inserted_with_outcome AFTER INSERT ON reminders
WHEN NEW.status IN ('called', 'failed', 'expired', 'cancelled')
     OR EXISTS (SELECT 1 FROM changes WHERE subject_id = NEW.id AND kind = 'reminder')
BEGIN
    INSERT INTO changes (at, kind, subject_id, ref, appointment_id, appointment_at, status, response, end_code, done,
                         attempts, call_outcome, spoken)
    SELECT CASE WHEN NEW.revision <> 0 THEN NEW.updated_at
                ELSE CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) END,
           'reminder', NEW.id, NEW.ref, NEW.appointment_id, NEW.planned_at, NEW.status, NEW.response, NEW.end_code,
           NEW.done_at IS NOT NULL, NEW.attempts, last.outcome, last.spoken
      FROM (SELECT 1) LEFT JOIN (
               SELECT c.outcome, m.spoken FROM call_reminders AS m JOIN call_logs AS c ON c.id = m.call_id
                WHERE m.reminder_id = NEW.id AND m.deleted = 0 AND m.scheduled_at = NEW.scheduled_at
                  AND c.phone_number = NEW.phone_number AND c.outcome IS NOT NULL
                ORDER BY c.seq DESC LIMIT 1
           ) AS last;
END;
CREATE TRIGGER appointments_outcome_changed AFTER UPDATE OF status, response ON appointments
WHEN NEW.status <> OLD.status OR NEW.response IS NOT OLD.response
BEGIN
    INSERT INTO changes (at, kind, subject_id, ref, appointment_at, status, response)
    VALUES (CASE WHEN NEW.revision <> OLD.revision THEN NEW.updated_at
                 ELSE CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) END,
            'appointment', NEW.id, NEW.ref, NEW.at, NEW.status, NEW.response);
END;
CREATE TRIGGER appointments_inserted_with_outcome AFTER INSERT ON appointments
WHEN NEW.status = 'cancelled' OR NEW.response IS NOT NULL
     OR EXISTS (SELECT 1 FROM changes WHERE subject_id = NEW.id AND kind = 'appointment')
BEGIN
    INSERT INTO changes (at, kind, subject_id, ref, appointment_at, status, response)
    VALUES (CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER),
            'appointment', NEW.id, NEW.ref, NEW.at, NEW.status, NEW.response);
END;
CREATE INDEX audit_by_reminder ON audit (reminder_id);
CREATE INDEX audit_by_appointment ON audit (appointment_id) WHERE appointment_id IS NOT NULL;
CREATE INDEX audit_pauses ON audit (id) WHERE act IN ('pause', 'resume');
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
CREATE INDEX reminders_that_need_a_human ON reminders (scheduled_at, id, phone_number)
WHERE CASE status
      WHEN 'scheduled' THEN hold_code = 'number_changed'
      WHEN 'called' THEN response = 'cancel_requested' AND done_at IS NULL
      WHEN 'failed' THEN done_at IS NULL
      WHEN 'expired' THEN done_at IS NULL
      ELSE FALSE END;
CREATE INDEX reminders_by_last_digits ON reminders (substr(phone_number, length(phone_number) - 3), scheduled_at, id);
CREATE INDEX reminders_by_status ON reminders (status, scheduled_at, id) WHERE status <> 'called';
CREATE INDEX reminders_by_response ON reminders (response, scheduled_at, id) WHERE response IS NOT NULL;
CREATE INDEX reminders_answered_otherwise ON reminders (response, status, scheduled_at, id)
WHERE response IS NOT NULL AND status <> 'called';
CREATE INDEX appointments_by_patient_ref ON appointments (patient_ref) WHERE patient_ref IS NOT NULL;
CREATE INDEX opt_outs_by_time ON opt_outs (created_at, phone_number);
CREATE INDEX opt_outs_by_last_digits ON opt_outs (substr(phone_number, length(phone_number) - 3), created_at, phone_number);
CREATE INDEX reminders_by_scheduled_at ON reminders (scheduled_at, id, status, response);
CREATE INDEX sessions_by_user ON sessions (user_name);
CREATE INDEX login_failures_by_time ON login_failures (last_at);
CREATE INDEX audit_of_looks ON audit (at, id, actor)
WHERE act IN ('download', 'export', 'log-in', 'log-in-refused', 'log-out', 'search', 'user-add', 'user-passwd', 'user-remove', 'view');
COMMIT;
PRAGMA application_id = 1382378852;
PRAGMA user_version = 3;
