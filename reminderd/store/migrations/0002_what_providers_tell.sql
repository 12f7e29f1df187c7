-- How often a look-up was answered that there is no such call. A look-up that failed says nothing of that kind, so
-- `checks`, which counts both, is not enough to conclude from.
ALTER TABLE call_logs ADD COLUMN not_found INTEGER NOT NULL DEFAULT 0;

-- How the telephone network ended a call, and the provider's own number for what went wrong.
ALTER TABLE call_logs ADD COLUMN sip_response_code INTEGER;
ALTER TABLE call_logs ADD COLUMN error_code TEXT;
