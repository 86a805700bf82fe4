-- Pulls by version and day, the day counted from 1970 in UTC.
CREATE TABLE pull_days (
    version_id TEXT NOT NULL REFERENCES versions (id),
    day        BIGINT NOT NULL,
    pulls      BIGINT NOT NULL,
    PRIMARY KEY (version_id, day)
);

-- Journals of pulls whose counts are in the tables, for as long as their files may be there.
CREATE TABLE pull_journals (
    id         TEXT PRIMARY KEY,
    counted_at BIGINT NOT NULL
);
