-- What the front desk's pages need. Times are Unix milliseconds, UTC.

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
