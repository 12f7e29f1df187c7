-- What the front desk's pages need. Times are Unix milliseconds, UTC.

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
-- Lists of one status, but for that of nearly all rows, which are read by time. To the planner, this must not look better
-- than the index of what is due: only a statement that states the same condition uses it.
CREATE INDEX reminders_by_status ON reminders (status, scheduled_at, id) WHERE status <> 'called';
CREATE INDEX reminders_by_response ON reminders (response, scheduled_at, id) WHERE response IS NOT NULL;
-- Few have an answer and another status.
CREATE INDEX reminders_answered_otherwise ON reminders (response, status, scheduled_at, id)
WHERE response IS NOT NULL AND status <> 'called';
-- By the clinic's own name for a patient.
CREATE INDEX appointments_by_patient_ref ON appointments (patient_ref) WHERE patient_ref IS NOT NULL;
-- The list of opt-outs, newest first, and those whose number ends in some digits.
CREATE INDEX opt_outs_by_time ON opt_outs (created_at, phone_number);
CREATE INDEX opt_outs_by_last_digits ON opt_outs (substr(phone_number, length(phone_number) - 3), created_at, phone_number);
-- Reports count days by what has become of their reminders: the index has all that they need of a row.
DROP INDEX reminders_by_scheduled_at;
CREATE INDEX reminders_by_scheduled_at ON reminders (scheduled_at, id, status, response);

-- Who may log in. Of a password only its hash is kept.
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

-- Who is logged in. The browser has the token, and here is only its digest: who reads this table can't log in with it.
CREATE TABLE sessions (
    digest     TEXT PRIMARY KEY NOT NULL,
    user_name  TEXT NOT NULL,
    csrf       TEXT NOT NULL,
    -- What the next page says of the act before it.
    notice     TEXT,
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL
) STRICT;

CREATE INDEX sessions_by_user ON sessions (user_name);

-- How often log-ins have failed lately, of an account or from an address; core/logins.py names the counters.
CREATE TABLE login_failures (
    counter  TEXT PRIMARY KEY NOT NULL,
    failures INTEGER NOT NULL,
    last_at  INTEGER NOT NULL
) STRICT;

CREATE INDEX login_failures_by_time ON login_failures (last_at);

-- From where each user has logged in: strangers' failures don't lock an account there.
CREATE TABLE login_addresses (
    user_name TEXT NOT NULL,
    address   TEXT NOT NULL,
    last_at   INTEGER NOT NULL,
    PRIMARY KEY (user_name, address)
) STRICT;

-- Of a snapshot: what distinguishes its rows from those of another, and when its file was written. An old one that comes
-- again would cancel what was booked since.
ALTER TABLE imports ADD COLUMN digest TEXT;
ALTER TABLE imports ADD COLUMN dated_at INTEGER;

-- Who has looked at what, newest first. The condition is `IS_LOOK` in store/audit.py.
CREATE INDEX audit_of_looks ON audit (at, id, actor)
WHERE act IN ('download', 'export', 'log-in', 'log-in-refused', 'log-out', 'search', 'user-add', 'user-passwd', 'user-remove', 'view');
