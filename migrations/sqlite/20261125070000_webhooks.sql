-- Where a namespace's events are sent. The secret signs them, so it is kept as it is.
CREATE TABLE webhooks (
    id           TEXT PRIMARY KEY,
    namespace    TEXT NOT NULL REFERENCES namespaces (name),
    url          TEXT NOT NULL,
    secret       TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    last_at      BIGINT,
    last_outcome TEXT
);
CREATE INDEX webhooks_by_namespace ON webhooks (namespace);
