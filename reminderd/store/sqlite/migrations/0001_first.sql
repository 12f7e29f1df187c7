-- The first schema. Names and meanings are a public interface: the clinic's own programs read and write these tables;
-- docs/database.md says which. It must be usable by SQLite 3.37 and up. Times are Unix milliseconds, UTC.

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

-- What to look at next, oldest first. (`status` is a column of it so that what waits is counted without a look at the rows.)
CREATE INDEX reminders_to_look_at ON reminders (wake_at, id, status) WHERE wake_at IS NOT NULL;
CREATE INDEX reminders_by_phone_number ON reminders (phone_number);
-- Lists and reports go by a day or a range of days.
CREATE INDEX reminders_by_scheduled_at ON reminders (scheduled_at, id);
-- What waits for a reason, which may change.
CREATE INDEX reminders_held ON reminders (wake_at) WHERE hold_code IS NOT NULL;
-- What waits until its number's call is over.
CREATE INDEX reminders_behind_a_call ON reminders (phone_number) WHERE hold_code = 'number_busy';
CREATE INDEX reminders_by_appointment ON reminders (appointment_id) WHERE appointment_id IS NOT NULL;
-- What ended by a clock that was ahead.
CREATE INDEX reminders_too_late ON reminders (ended_at) WHERE end_code = 'too_late';

-- Names that another program has written with characters that nobody sees, or that look like others: no-break spaces,
-- soft hyphens, joiners, combining marks, spaces around them. A person who types what can be seen must find them.
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

-- What to plan next, oldest first.
CREATE INDEX appointments_to_plan ON appointments (wake_at, id) WHERE wake_at IS NOT NULL;
CREATE INDEX appointments_by_phone_number ON appointments (phone_number);
CREATE INDEX appointments_by_at ON appointments (at, id);
-- What a purge has not emptied yet.
CREATE INDEX appointments_not_purged ON appointments (at, id) WHERE phone_number <> '';

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

-- The database itself forbids a second call to a number while one is open.
CREATE UNIQUE INDEX call_logs_one_open_call ON call_logs (phone_number)
WHERE state IN ('dialing', 'unconfirmed', 'placed');
-- The other calls that are alive.
CREATE INDEX call_logs_stray ON call_logs (phone_number, state) WHERE state = 'stray';
CREATE INDEX call_logs_to_look_at ON call_logs (wake_at, id, last_sign_at) WHERE wake_at IS NOT NULL;
CREATE INDEX call_logs_by_phone_number ON call_logs (phone_number);
CREATE INDEX call_logs_by_reminder ON call_logs (reminder_id);

-- Which reminders a call is about, and what was asked for. No foreign keys, for the same reason.
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

CREATE INDEX call_reminders_by_reminder ON call_reminders (reminder_id);

-- Triggers only see to it that rows which other programs write are looked at; they decide nothing. A change that
-- leaves `revision` as it was is another program's.
CREATE TRIGGER reminders_inserted AFTER INSERT ON reminders
WHEN NEW.wake_at IS NULL AND NEW.status IN ('scheduled', 'dialing', 'processing')
BEGIN
    -- At once: what can never be called fails while there is time to correct it.
    UPDATE reminders
       SET wake_at = min(scheduled_at, CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER))
     WHERE id = NEW.id;
END;

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

-- A call that nobody needs anymore may be dropped.
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

-- An appointment that another program has written is planned soon.
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

-- Its waiting reminders are looked at, and find that there is no appointment anymore.
CREATE TRIGGER appointments_deleted AFTER DELETE ON appointments
BEGIN
    UPDATE reminders SET wake_at = CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)
     WHERE appointment_id = OLD.id AND status IN ('scheduled', 'dialing', 'processing');
END;

-- An id in another encoding would be read as one that names no row, and its reminder could never be settled.
-- GLOB sees only some of it; so an id beyond ASCII is split and joined again.
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

-- Terminal reports: the first to insert the receipt of a provider's id has reported its end.
CREATE TABLE webhook_receipts (
    call_id     TEXT PRIMARY KEY NOT NULL,
    reminder_id TEXT NOT NULL,
    status      TEXT NOT NULL,
    received_at INTEGER NOT NULL DEFAULT (CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER))
) STRICT;

CREATE INDEX webhook_receipts_by_reminder ON webhook_receipts (reminder_id);
CREATE INDEX webhook_receipts_by_time ON webhook_receipts (received_at);

CREATE TABLE opt_outs (
    phone_number TEXT PRIMARY KEY NOT NULL,
    source       TEXT,
    created_at   INTEGER NOT NULL DEFAULT (CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER))
) STRICT;

-- A number in another spelling would be listed and called all the same.
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

-- What became of each file that was imported.
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
) STRICT;

CREATE INDEX imports_by_time ON imports (at, id);

CREATE TABLE settings (
    key   TEXT PRIMARY KEY NOT NULL,
    value TEXT
) STRICT;

-- For which reminders an alert was sent, and as of which change: a reminder that is called and fails again is news.
-- No foreign key: other programs delete and replace reminders, mostly with `foreign_keys` off.
CREATE TABLE alerts (
    reminder_id TEXT PRIMARY KEY NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT;

-- Each change of an outcome, once and in order, for those who must know: in the transaction that changes it, whichever
-- program writes. It records and decides nothing. No phone number and no message is in it.
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

-- The changes that another system has not received yet, for another try.
CREATE TABLE deliveries (
    seq        INTEGER PRIMARY KEY,
    subject_id TEXT NOT NULL,
    tries      INTEGER NOT NULL DEFAULT 0,
    next_at    INTEGER NOT NULL,
    error      TEXT
) STRICT;

CREATE INDEX deliveries_by_subject ON deliveries (subject_id, seq);

CREATE INDEX changes_by_subject ON changes (subject_id);
CREATE INDEX changes_by_appointment ON changes (appointment_id) WHERE appointment_id IS NOT NULL;

-- What a call goes through is no outcome. Neither is the code by which the daemon notes that another program has ended a
-- reminder: the change of its status was recorded when that program wrote it.
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

-- A reminder that another program writes with its outcome, or writes again by a REPLACE after it had one.
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

-- Who did what, append-only.
CREATE TABLE audit (
    id             INTEGER PRIMARY KEY,
    at             INTEGER NOT NULL,
    actor          TEXT NOT NULL,
    act            TEXT NOT NULL,
    reminder_id    TEXT,
    detail         TEXT,
    appointment_id TEXT
) STRICT;

CREATE INDEX audit_by_reminder ON audit (reminder_id);
CREATE INDEX audit_by_appointment ON audit (appointment_id) WHERE appointment_id IS NOT NULL;
-- Who paused dialing, among all that was done since.
CREATE INDEX audit_pauses ON audit (id) WHERE act IN ('pause', 'resume');

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
