-- What several daemons on one database must know of each other. Times are Unix milliseconds, UTC.

-- One row for each daemon that runs; core/daemons.py decides what it means. A daemon deletes its row when it stops.
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
