-- An adapter that an administrator took out of circulation, and why.
ALTER TABLE adapters ADD COLUMN quarantined_at BIGINT;
ALTER TABLE adapters ADD COLUMN quarantine_reason TEXT;

-- Names of namespaces that nobody takes for themselves, besides those that the server knows.
CREATE TABLE reserved_names (
    name       TEXT PRIMARY KEY,
    reason     TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
