-- Adapters of other registries, as they said last.
CREATE TABLE mirrored_adapters (
    adapter_id TEXT PRIMARY KEY REFERENCES adapters (id),
    upstream   TEXT NOT NULL,
    etag       TEXT NOT NULL,
    checked_at BIGINT NOT NULL
);

-- Their versions. One whose files are all here is a row of `versions` too.
CREATE TABLE mirrored_versions (
    adapter_id TEXT NOT NULL REFERENCES mirrored_adapters (adapter_id),
    version    TEXT NOT NULL,
    digest     TEXT NOT NULL,
    entry      TEXT NOT NULL,
    manifest   TEXT,
    PRIMARY KEY (adapter_id, version)
);
CREATE INDEX mirrored_versions_by_digest ON mirrored_versions (digest);

-- Files on their way in: until they are blobs, nothing else says that their objects are needed.
CREATE TABLE mirrored_transfers (
    id         TEXT PRIMARY KEY,
    started_at BIGINT NOT NULL
);
