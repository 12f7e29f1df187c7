-- The first schema. Names and meanings are a public interface: the clinic's own programs read and write these tables;
-- docs/database.md says which. It is the same as SQLite's, and must be usable by PostgreSQL 13 and up. Times are Unix
-- milliseconds, UTC. Text is compared and ordered by its bytes, whatever the server's default collation. 0 and 1 are
-- numbers, as in SQLite, so that one statement serves both.

-- Not now(), which is the time at which the transaction began.
CREATE FUNCTION reminderd_now() RETURNS BIGINT LANGUAGE sql VOLATILE PARALLEL SAFE
AS $$ SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::BIGINT $$;

-- One row. A program runs if it knows the schema `needs`; the version may be newer.
CREATE TABLE schema_info (
    version BIGINT NOT NULL,
    needs   BIGINT NOT NULL
);

CREATE UNIQUE INDEX schema_info_is_one_row ON schema_info ((version IS NOT NULL));
INSERT INTO schema_info (version, needs) VALUES (1, 1);

-- The last transaction that each connection has committed: if the connection is lost during a COMMIT, this shows whether
-- it was done.
CREATE TABLE commit_marks (
    id     TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    number BIGINT NOT NULL,
    at     BIGINT NOT NULL DEFAULT reminderd_now()
);

CREATE TABLE reminders (
    id               TEXT COLLATE "C" PRIMARY KEY NOT NULL
                     CONSTRAINT id_is_1_to_200_characters_without_controls CHECK (
                         length(id) BETWEEN 1 AND 200 AND id !~ '[\u0001-\u001f\u007f-\u009f\ufffd-\uffff]'
                     ),
    ref              TEXT COLLATE "C" UNIQUE,
    phone_number     TEXT COLLATE "C" NOT NULL,
    message          TEXT COLLATE "C" NOT NULL,
    scheduled_at     BIGINT NOT NULL,
    expires_at       BIGINT,
    timezone         TEXT COLLATE "C",
    language         TEXT COLLATE "C",
    -- No foreign key: other programs delete and replace appointments.
    appointment_id   TEXT COLLATE "C",
    status           TEXT COLLATE "C" NOT NULL DEFAULT 'scheduled' CONSTRAINT status_is_known CHECK (
                         status IN ('scheduled', 'dialing', 'processing', 'called', 'failed', 'expired', 'cancelled')
                     ),
    response         TEXT COLLATE "C",
    last_error       TEXT COLLATE "C",
    -- From here on reminderd alone writes. Another program that writes a whole row leaves them out.
    wake_at          BIGINT,
    retry_at         BIGINT,
    attempts         BIGINT NOT NULL DEFAULT 0,
    tries            BIGINT NOT NULL DEFAULT 0,
    again_until      BIGINT,
    again_seq        BIGINT NOT NULL DEFAULT 0,
    hold_code        TEXT COLLATE "C",
    former_number    TEXT COLLATE "C",
    end_code         TEXT COLLATE "C",
    ended_at         BIGINT,
    done_at          BIGINT,
    planned_at       BIGINT,
    cadence          TEXT COLLATE "C",
    source           TEXT COLLATE "C",
    revision         BIGINT NOT NULL DEFAULT 0,
    created_at       BIGINT NOT NULL DEFAULT reminderd_now(),
    updated_at       BIGINT NOT NULL DEFAULT reminderd_now(),
    -- Up to the year 3000: microseconds are refused. (A NULL passes.)
    CONSTRAINT times_are_unix_milliseconds CHECK (
        scheduled_at BETWEEN 0 AND 32503680000000
        AND expires_at BETWEEN 0 AND 32503680000000
        AND wake_at BETWEEN 0 AND 32503680000000
        AND created_at BETWEEN 0 AND 32503680000000
        AND updated_at BETWEEN 0 AND 32503680000000
    )
);

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
-- The planner must expect few of them, or it reads all rows. For a comparison with 1 it does, for a pattern it does not.
CREATE INDEX reminders_with_odd_names ON reminders (id)
WHERE ('/' || id || '/' || coalesce(ref, '') || '/' ~ (
          '[\u0001-\u001f\u007f-\u00a0\u00ad\u0300-\u036f\u0374\u037e\u0387\u0483-\u0489\u0591-\u05c7'
          '\u0600-\u3000\u302a-\u302f\u3099-\u309a\ua66f-\uabff\uf900-\U0010ffff]|/ | /'
      ))::INTEGER = 1;

CREATE VIEW odd_names AS SELECT id, ref FROM reminders
WHERE ('/' || id || '/' || coalesce(ref, '') || '/' ~ (
          '[\u0001-\u001f\u007f-\u00a0\u00ad\u0300-\u036f\u0374\u037e\u0387\u0483-\u0489\u0591-\u05c7'
          '\u0600-\u3000\u302a-\u302f\u3099-\u309a\ua66f-\uabff\uf900-\U0010ffff]|/ | /'
      ))::INTEGER = 1;

CREATE TABLE appointments (
    id               TEXT COLLATE "C" PRIMARY KEY NOT NULL
                     CONSTRAINT id_is_1_to_200_characters_without_controls CHECK (
                         length(id) BETWEEN 1 AND 200 AND id !~ '[\u0001-\u001f\u007f-\u009f\ufffd-\uffff]'
                     ),
    ref              TEXT COLLATE "C" UNIQUE,
    phone_number     TEXT COLLATE "C" NOT NULL,
    patient_ref      TEXT COLLATE "C",
    at               BIGINT NOT NULL,
    timezone         TEXT COLLATE "C",
    type             TEXT COLLATE "C",
    template         TEXT COLLATE "C",
    language         TEXT COLLATE "C",
    name             TEXT COLLATE "C",
    provider         TEXT COLLATE "C",
    place            TEXT COLLATE "C",
    status           TEXT COLLATE "C" NOT NULL DEFAULT 'booked'
                     CONSTRAINT status_is_known CHECK (status IN ('booked', 'cancelled')),
    response         TEXT COLLATE "C",
    -- From here on reminderd alone writes. Another program that writes a whole row leaves them out.
    source           TEXT COLLATE "C",
    wake_at          BIGINT,
    planned_at       BIGINT,
    former_number    TEXT COLLATE "C",
    end_code         TEXT COLLATE "C",
    last_error       TEXT COLLATE "C",
    revision         BIGINT NOT NULL DEFAULT 0,
    created_at       BIGINT NOT NULL DEFAULT reminderd_now(),
    updated_at       BIGINT NOT NULL DEFAULT reminderd_now(),
    CONSTRAINT times_are_unix_milliseconds CHECK (
        at BETWEEN 0 AND 32503680000000
        AND wake_at BETWEEN 0 AND 32503680000000
        AND planned_at BETWEEN 0 AND 32503680000000
        AND created_at BETWEEN 0 AND 32503680000000
        AND updated_at BETWEEN 0 AND 32503680000000
    )
);

-- What to plan next, oldest first.
CREATE INDEX appointments_to_plan ON appointments (wake_at, id) WHERE wake_at IS NOT NULL;
CREATE INDEX appointments_by_phone_number ON appointments (phone_number);
CREATE INDEX appointments_by_at ON appointments (at, id);
-- What a purge has not emptied yet.
CREATE INDEX appointments_not_purged ON appointments (at, id) WHERE phone_number <> '';

CREATE TABLE call_logs (
    seq              BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    -- It travels in an HTTP header, as the idempotency key.
    id               TEXT COLLATE "C" UNIQUE NOT NULL DEFAULT replace(gen_random_uuid()::TEXT, '-', '')
                     CONSTRAINT id_is_1_to_200_printable_ascii_characters CHECK (
                         id ~ '^[!-~]{1,200}$'
                     ),
    -- No foreign key: a call outlives its reminder, as its phone may be ringing.
    reminder_id      TEXT COLLATE "C" NOT NULL,
    phone_number     TEXT COLLATE "C" NOT NULL,
    provider         TEXT COLLATE "C",
    account          TEXT COLLATE "C",
    state            TEXT COLLATE "C" NOT NULL CONSTRAINT state_is_known CHECK (
                         state IN ('dialing', 'unconfirmed', 'placed', 'stray', 'ended', 'refused', 'not_placed', 'unreported')
                     ),
    status           TEXT COLLATE "C",
    outcome          TEXT COLLATE "C",
    external_call_id TEXT COLLATE "C" UNIQUE,
    requests         BIGINT NOT NULL DEFAULT 0,
    checks           BIGINT NOT NULL DEFAULT 0,
    evidence         BIGINT NOT NULL DEFAULT 0,
    adopted          BIGINT NOT NULL DEFAULT 0,
    lease_token      TEXT COLLATE "C",
    wake_at          BIGINT,
    last_sign_at     BIGINT NOT NULL,
    fetched_at       BIGINT,
    hung_up_at       BIGINT,
    transcript       TEXT COLLATE "C",
    answered_by      TEXT COLLATE "C",
    duration_seconds BIGINT,
    sip_response_code BIGINT,
    error_code       TEXT COLLATE "C",
    error            TEXT COLLATE "C",
    created_at       BIGINT NOT NULL DEFAULT reminderd_now(),
    updated_at       BIGINT NOT NULL DEFAULT reminderd_now(),
    received_at      BIGINT,
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
);

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
    call_id        TEXT COLLATE "C" NOT NULL,
    reminder_id    TEXT COLLATE "C" NOT NULL,
    position       BIGINT NOT NULL,
    scheduled_at   BIGINT NOT NULL,
    message_digest TEXT COLLATE "C" NOT NULL,
    spoken         BIGINT NOT NULL DEFAULT 0,
    spoken_by      BIGINT,
    deleted        BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (call_id, reminder_id)
);

CREATE INDEX call_reminders_by_reminder ON call_reminders (reminder_id);

-- Terminal reports: the first to insert the receipt of a provider's id has reported its end.
CREATE TABLE webhook_receipts (
    call_id     TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    reminder_id TEXT COLLATE "C" NOT NULL,
    status      TEXT COLLATE "C" NOT NULL,
    received_at BIGINT NOT NULL DEFAULT reminderd_now()
);

CREATE INDEX webhook_receipts_by_reminder ON webhook_receipts (reminder_id);
CREATE INDEX webhook_receipts_by_time ON webhook_receipts (received_at);

CREATE TABLE opt_outs (
    phone_number TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    source       TEXT COLLATE "C",
    created_at   BIGINT NOT NULL DEFAULT reminderd_now()
);

-- What became of each file that was imported.
CREATE TABLE imports (
    id          BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    at          BIGINT NOT NULL,
    finished_at BIGINT,
    file        TEXT COLLATE "C" NOT NULL,
    profile     TEXT COLLATE "C",
    actor       TEXT COLLATE "C" NOT NULL,
    status      TEXT COLLATE "C" NOT NULL DEFAULT 'running' CONSTRAINT status_is_known CHECK (
                    status IN ('running', 'done', 'refused', 'failed', 'interrupted')
                ),
    added       BIGINT NOT NULL DEFAULT 0,
    changed     BIGINT NOT NULL DEFAULT 0,
    held        BIGINT NOT NULL DEFAULT 0,
    unchanged   BIGINT NOT NULL DEFAULT 0,
    cancelled   BIGINT NOT NULL DEFAULT 0,
    not_needed  BIGINT NOT NULL DEFAULT 0,
    rejected    BIGINT NOT NULL DEFAULT 0,
    reason      TEXT COLLATE "C"
);

CREATE INDEX imports_by_time ON imports (at, id);

CREATE TABLE settings (
    key   TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    value TEXT COLLATE "C"
);

-- Which database this is: a command asks the daemon of this machine whether it uses the same one.
INSERT INTO settings (key, value) VALUES ('database_id', replace(gen_random_uuid()::text, '-', ''));

-- For which reminders an alert was sent, and as of which change: a reminder that is called and fails again is news.
-- No foreign key: other programs delete and replace reminders.
CREATE TABLE alerts (
    reminder_id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    updated_at  BIGINT NOT NULL
);

-- Each change of an outcome, once and in order, for those who must know: in the transaction that changes it, whichever
-- program writes. It records and decides nothing. No phone number and no message is in it.
CREATE TABLE changes (
    -- In the order of the commits: a transaction takes a number only with the cluster write lock.
    seq            BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    -- Random, so that a change of a restored or of another database is recognized by it.
    event_id       TEXT COLLATE "C" UNIQUE NOT NULL DEFAULT replace(gen_random_uuid()::TEXT, '-', ''),
    at             BIGINT NOT NULL,
    kind           TEXT COLLATE "C" NOT NULL CONSTRAINT kind_is_known CHECK (kind IN ('reminder', 'appointment')),
    subject_id     TEXT COLLATE "C" NOT NULL,
    ref            TEXT COLLATE "C",
    appointment_id TEXT COLLATE "C",
    -- The time that the call or the answer was about: the appointment may be moved before a reader comes to this change.
    appointment_at BIGINT,
    status         TEXT COLLATE "C" NOT NULL,
    response       TEXT COLLATE "C",
    end_code       TEXT COLLATE "C",
    done           BIGINT NOT NULL DEFAULT 0,
    attempts       BIGINT,
    -- How the last call for it has ended, and whether its message was spoken in that call.
    call_outcome   TEXT COLLATE "C",
    spoken         BIGINT
);

-- The changes that another system has not received yet, for another try.
CREATE TABLE deliveries (
    seq        BIGINT PRIMARY KEY NOT NULL,
    subject_id TEXT COLLATE "C" NOT NULL,
    tries      BIGINT NOT NULL DEFAULT 0,
    next_at    BIGINT NOT NULL,
    error      TEXT COLLATE "C"
);

CREATE INDEX deliveries_by_subject ON deliveries (subject_id, seq);

CREATE INDEX changes_by_subject ON changes (subject_id);
CREATE INDEX changes_by_appointment ON changes (appointment_id) WHERE appointment_id IS NOT NULL;

-- Who did what, append-only.
CREATE TABLE audit (
    id             BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    at             BIGINT NOT NULL,
    actor          TEXT COLLATE "C" NOT NULL,
    act            TEXT COLLATE "C" NOT NULL,
    reminder_id    TEXT COLLATE "C",
    detail         TEXT COLLATE "C",
    appointment_id TEXT COLLATE "C"
);

CREATE INDEX audit_by_reminder ON audit (reminder_id);
CREATE INDEX audit_by_appointment ON audit (appointment_id) WHERE appointment_id IS NOT NULL;
-- Who paused dialing, among all that was done since.
CREATE INDEX audit_pauses ON audit (id) WHERE act IN ('pause', 'resume');

-- Only the transaction that has the cluster write lock writes. reminderd takes it first in each transaction. For other
-- programs, these triggers take it before a row is touched, if other triggers then write more rows. So there are no
-- deadlocks, and the numbers of `changes` follow the commits.
CREATE FUNCTION take_cluster_write_lock() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(1919249764);
    RETURN NULL;
END $$;

CREATE TRIGGER reminders_one_writer BEFORE UPDATE OF status, response, end_code, done_at OR DELETE ON reminders
FOR EACH STATEMENT EXECUTE FUNCTION take_cluster_write_lock();

CREATE TRIGGER appointments_one_writer BEFORE UPDATE OF status, response OR DELETE ON appointments
FOR EACH STATEMENT EXECUTE FUNCTION take_cluster_write_lock();

CREATE TRIGGER opt_outs_one_writer BEFORE INSERT OR UPDATE OF phone_number ON opt_outs
FOR EACH STATEMENT EXECUTE FUNCTION take_cluster_write_lock();

-- The other triggers only see to it that rows which other programs write are looked at; they decide nothing. A change
-- that leaves `revision` as it was is another program's. They do the same as SQLite's: what those write into the row
-- itself afterward, these write before. PostgreSQL fires them in the order of their names, so a move comes after other
-- changes. Those that write to other tables do so as their owner: another program needs no privilege on those tables.
CREATE FUNCTION wake_now() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    NEW.wake_at := reminderd_now();
    RETURN NEW;
END $$;

CREATE FUNCTION reminders_inserted() RETURNS TRIGGER LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    -- At once: what can never be called fails while there is time to correct it.
    NEW.wake_at := least(NEW.scheduled_at, reminderd_now());
    RETURN NEW;
END $$;

CREATE TRIGGER reminders_inserted BEFORE INSERT ON reminders
FOR EACH ROW WHEN (NEW.wake_at IS NULL AND NEW.status IN ('scheduled', 'dialing', 'processing'))
EXECUTE FUNCTION reminders_inserted();

CREATE FUNCTION reminders_moved() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    NEW.wake_at := NEW.scheduled_at;
    RETURN NEW;
END $$;

CREATE TRIGGER reminders_moved BEFORE UPDATE OF scheduled_at ON reminders
FOR EACH ROW WHEN (
    NEW.revision = OLD.revision AND NEW.scheduled_at <> OLD.scheduled_at
    AND NEW.status = 'scheduled' AND OLD.status = 'scheduled'
)
EXECUTE FUNCTION reminders_moved();

CREATE TRIGGER reminders_changed
BEFORE UPDATE OF scheduled_at, expires_at, timezone, language, phone_number, message, status ON reminders
FOR EACH ROW WHEN (
    NEW.revision = OLD.revision
    AND (NEW.status <> OLD.status OR NEW.phone_number <> OLD.phone_number OR NEW.message <> OLD.message
         OR NEW.timezone IS DISTINCT FROM OLD.timezone OR NEW.language IS DISTINCT FROM OLD.language
         OR NEW.expires_at IS DISTINCT FROM OLD.expires_at
         OR (NEW.scheduled_at <> OLD.scheduled_at AND NEW.status <> 'scheduled'))
)
EXECUTE FUNCTION wake_now();

CREATE TRIGGER reminders_put_to_sleep BEFORE UPDATE OF wake_at ON reminders
FOR EACH ROW WHEN (
    NEW.revision = OLD.revision AND NEW.wake_at IS NULL AND NEW.status IN ('scheduled', 'dialing', 'processing')
)
EXECUTE FUNCTION wake_now();

-- A call that nobody needs anymore may be dropped.
CREATE FUNCTION reminders_ended() RETURNS TRIGGER LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE call_logs SET wake_at = reminderd_now()
     WHERE id IN (SELECT call_id FROM call_reminders WHERE reminder_id = NEW.id)
       AND lease_token IS NULL AND state IN ('unconfirmed', 'placed', 'stray');
    RETURN NULL;
END $$;

CREATE TRIGGER reminders_ended AFTER UPDATE OF status ON reminders
FOR EACH ROW WHEN (
    NEW.revision = OLD.revision AND NEW.status <> OLD.status
    AND NEW.status IN ('called', 'failed', 'expired', 'cancelled')
)
EXECUTE FUNCTION reminders_ended();

CREATE FUNCTION reminders_deleted() RETURNS TRIGGER LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE call_reminders SET deleted = 1 WHERE reminder_id = OLD.id;
    DELETE FROM alerts WHERE reminder_id = OLD.id;
    UPDATE call_logs SET wake_at = reminderd_now()
     WHERE id IN (SELECT call_id FROM call_reminders WHERE reminder_id = OLD.id)
       AND lease_token IS NULL AND state IN ('unconfirmed', 'placed', 'stray');
    RETURN NULL;
END $$;

CREATE TRIGGER reminders_deleted AFTER DELETE ON reminders FOR EACH ROW EXECUTE FUNCTION reminders_deleted();

-- An appointment that another program has written is planned soon.
CREATE TRIGGER appointments_inserted BEFORE INSERT ON appointments
FOR EACH ROW WHEN (NEW.revision = 0 AND NEW.wake_at IS NULL) EXECUTE FUNCTION wake_now();

CREATE TRIGGER appointments_changed
BEFORE UPDATE OF phone_number, at, timezone, type, template, language, name, provider, place, status, response
ON appointments
FOR EACH ROW WHEN (
    NEW.revision = OLD.revision
    AND (NEW.phone_number <> OLD.phone_number OR NEW.at <> OLD.at OR NEW.status <> OLD.status
         OR NEW.timezone IS DISTINCT FROM OLD.timezone OR NEW.type IS DISTINCT FROM OLD.type
         OR NEW.template IS DISTINCT FROM OLD.template OR NEW.language IS DISTINCT FROM OLD.language
         OR NEW.name IS DISTINCT FROM OLD.name OR NEW.provider IS DISTINCT FROM OLD.provider
         OR NEW.place IS DISTINCT FROM OLD.place OR NEW.response IS DISTINCT FROM OLD.response)
)
EXECUTE FUNCTION wake_now();

-- Its waiting reminders are looked at, and find that there is no appointment anymore.
CREATE FUNCTION appointments_deleted() RETURNS TRIGGER LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE reminders SET wake_at = reminderd_now()
     WHERE appointment_id = OLD.id AND status IN ('scheduled', 'dialing', 'processing');
    RETURN NULL;
END $$;

CREATE TRIGGER appointments_deleted AFTER DELETE ON appointments FOR EACH ROW EXECUTE FUNCTION appointments_deleted();

-- TRUNCATE fires no trigger for a row: their calls and memberships would be left as they are.
CREATE FUNCTION refuse_truncate() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% cannot be truncated, as nobody would learn which rows are gone: use DELETE', TG_TABLE_NAME
    USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER reminders_are_not_truncated BEFORE TRUNCATE ON reminders
FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();

CREATE TRIGGER appointments_are_not_truncated BEFORE TRUNCATE ON appointments
FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();

-- A number in another spelling would be listed and called all the same.
CREATE FUNCTION refuse_other_than_e164() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'opt_outs.phone_number is not E.164: expected + and 7 to 15 digits, like +12025550147'
    USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER opt_outs_inserted_in_e164 BEFORE INSERT ON opt_outs
FOR EACH ROW WHEN (NEW.phone_number !~ '^[+][1-9][0-9]{6,14}$') EXECUTE FUNCTION refuse_other_than_e164();

CREATE TRIGGER opt_outs_corrected_in_e164 BEFORE UPDATE OF phone_number ON opt_outs
FOR EACH ROW WHEN (NEW.phone_number !~ '^[+][1-9][0-9]{6,14}$') EXECUTE FUNCTION refuse_other_than_e164();

CREATE FUNCTION wake_reminders_of_number() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE reminders SET wake_at = reminderd_now() WHERE phone_number = NEW.phone_number AND status = 'scheduled';
    RETURN NULL;
END $$;

CREATE TRIGGER opt_outs_inserted AFTER INSERT ON opt_outs FOR EACH ROW EXECUTE FUNCTION wake_reminders_of_number();

CREATE TRIGGER opt_outs_corrected AFTER UPDATE OF phone_number ON opt_outs
FOR EACH ROW WHEN (NEW.phone_number <> OLD.phone_number) EXECUTE FUNCTION wake_reminders_of_number();

-- What a call goes through is no outcome. Neither is the code by which the daemon notes that another program has ended a
-- reminder: the change of its status was recorded when that program wrote it.
CREATE FUNCTION record_outcome_of_reminder() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(1919249764);
    INSERT INTO changes (at, kind, subject_id, ref, appointment_id, appointment_at, status, response, end_code, done,
                         attempts, call_outcome, spoken)
    -- There is no OLD for a new row, and what it had then is NULL.
    SELECT CASE WHEN NEW.revision <> coalesce(OLD.revision, 0) THEN NEW.updated_at ELSE reminderd_now() END,
           'reminder', NEW.id, NEW.ref, NEW.appointment_id, NEW.planned_at, NEW.status, NEW.response, NEW.end_code,
           (NEW.done_at IS NOT NULL)::INTEGER, NEW.attempts, last.outcome, last.spoken
      FROM (SELECT 1) AS one LEFT JOIN (
               SELECT c.outcome, m.spoken FROM call_reminders AS m JOIN call_logs AS c ON c.id = m.call_id
                WHERE m.reminder_id = NEW.id AND m.deleted = 0 AND m.scheduled_at = NEW.scheduled_at
                  AND c.phone_number = NEW.phone_number AND c.outcome IS NOT NULL
                ORDER BY c.seq DESC LIMIT 1
           ) AS last ON TRUE;
    RETURN NULL;
END $$;

CREATE TRIGGER reminders_outcome_changed AFTER UPDATE OF status, response, end_code, done_at ON reminders
FOR EACH ROW WHEN (
    NEW.response IS DISTINCT FROM OLD.response
    OR (NEW.status <> OLD.status
        AND (NEW.status IN ('called', 'failed', 'expired', 'cancelled')
             OR OLD.status IN ('called', 'failed', 'expired', 'cancelled')))
    OR (NEW.status IN ('called', 'failed', 'expired', 'cancelled')
        AND ((NEW.end_code IS DISTINCT FROM OLD.end_code AND NEW.end_code IS DISTINCT FROM 'cancelled_elsewhere')
             OR (NEW.done_at IS NULL) <> (OLD.done_at IS NULL)))
)
EXECUTE FUNCTION record_outcome_of_reminder();

CREATE FUNCTION has_changed_before(subject TEXT, subject_kind TEXT) RETURNS BOOLEAN
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    RETURN EXISTS (SELECT 1 FROM changes WHERE subject_id = subject AND kind = subject_kind);
END $$;

-- A reminder that another program writes with its outcome, or writes again after it had one.
CREATE TRIGGER reminders_inserted_with_outcome AFTER INSERT ON reminders
FOR EACH ROW WHEN (
    NEW.status IN ('called', 'failed', 'expired', 'cancelled') OR has_changed_before(NEW.id, 'reminder')
)
EXECUTE FUNCTION record_outcome_of_reminder();

CREATE FUNCTION record_outcome_of_appointment() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(1919249764);
    INSERT INTO changes (at, kind, subject_id, ref, appointment_at, status, response)
    VALUES (CASE WHEN NEW.revision <> OLD.revision THEN NEW.updated_at ELSE reminderd_now() END,
            'appointment', NEW.id, NEW.ref, NEW.at, NEW.status, NEW.response);
    RETURN NULL;
END $$;

CREATE TRIGGER appointments_outcome_changed AFTER UPDATE OF status, response ON appointments
FOR EACH ROW WHEN (NEW.status <> OLD.status OR NEW.response IS DISTINCT FROM OLD.response)
EXECUTE FUNCTION record_outcome_of_appointment();

CREATE TRIGGER appointments_inserted_with_outcome AFTER INSERT ON appointments
FOR EACH ROW WHEN (
    NEW.status = 'cancelled' OR NEW.response IS NOT NULL OR has_changed_before(NEW.id, 'appointment')
)
EXECUTE FUNCTION record_outcome_of_appointment();

CREATE FUNCTION refuse_change_of_audit() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit is append-only' USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER audit_is_not_updated BEFORE UPDATE ON audit FOR EACH ROW EXECUTE FUNCTION refuse_change_of_audit();

CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit FOR EACH ROW EXECUTE FUNCTION refuse_change_of_audit();

CREATE TRIGGER audit_is_not_truncated BEFORE TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit();

-- No other role may call these functions from triggers of its own. Programs that fire ours need no privilege on them.
REVOKE EXECUTE ON FUNCTION
    reminders_ended(), reminders_deleted(), appointments_deleted(), wake_reminders_of_number(),
    record_outcome_of_reminder(), record_outcome_of_appointment()
FROM PUBLIC;

-- Each daemon listens, and looks at once, whichever program has committed.
CREATE FUNCTION notify_daemons() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('reminderd', '');
    RETURN NULL;
END $$;

CREATE TRIGGER reminders_notify AFTER INSERT OR UPDATE OR DELETE ON reminders
FOR EACH STATEMENT EXECUTE FUNCTION notify_daemons();

CREATE TRIGGER appointments_notify AFTER INSERT OR UPDATE OR DELETE ON appointments
FOR EACH STATEMENT EXECUTE FUNCTION notify_daemons();

CREATE TRIGGER call_logs_notify AFTER INSERT OR UPDATE OR DELETE ON call_logs
FOR EACH STATEMENT EXECUTE FUNCTION notify_daemons();

CREATE TRIGGER settings_notify AFTER INSERT OR UPDATE OR DELETE ON settings
FOR EACH STATEMENT EXECUTE FUNCTION notify_daemons();

CREATE TRIGGER opt_outs_notify AFTER INSERT OR UPDATE OR DELETE ON opt_outs
FOR EACH STATEMENT EXECUTE FUNCTION notify_daemons();

CREATE TRIGGER changes_notify AFTER INSERT OR UPDATE OR DELETE ON changes
FOR EACH STATEMENT EXECUTE FUNCTION notify_daemons();
