-- Which programs elsewhere (CI jobs) publish an adapter, by what their identity tokens say.
CREATE TABLE trusted_publishers (
    id         TEXT PRIMARY KEY,
    namespace  TEXT NOT NULL REFERENCES namespaces (name),
    name       TEXT NOT NULL,
    issuer     TEXT NOT NULL,
    claims     TEXT NOT NULL,
    created_by TEXT NOT NULL REFERENCES users (name),
    created_at BIGINT NOT NULL
);
CREATE INDEX trusted_publishers_by_name ON trusted_publishers (namespace, name);

-- Identity tokens that were exchanged, until they expire: none is taken twice.
CREATE TABLE exchanged_tokens (
    issuer     TEXT NOT NULL,
    jti        TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, jti)
);
CREATE INDEX exchanged_tokens_by_expires_at ON exchanged_tokens (expires_at);
