-- Who: users own the namespace of their name and may be members of others.
CREATE TABLE namespaces (
    name       TEXT PRIMARY KEY,
    created_at BIGINT NOT NULL
);

CREATE TABLE users (
    name       TEXT PRIMARY KEY REFERENCES namespaces (name),
    created_at BIGINT NOT NULL
);

CREATE TABLE members (
    namespace  TEXT NOT NULL REFERENCES namespaces (name),
    user_name  TEXT NOT NULL REFERENCES users (name),
    role       TEXT NOT NULL CHECK (role IN ('owner', 'member')),
    created_at BIGINT NOT NULL,
    PRIMARY KEY (namespace, user_name)
);
CREATE INDEX members_by_user ON members (user_name);

-- The secret itself is never stored, only its SHA-256.
CREATE TABLE tokens (
    id          TEXT PRIMARY KEY,
    user_name   TEXT NOT NULL REFERENCES users (name),
    name        TEXT NOT NULL,
    secret_hash TEXT NOT NULL UNIQUE,
    scopes      TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT,
    revoked_at  BIGINT
);

-- What: content-addressed files, stored once however many adapters list them.
CREATE TABLE blobs (
    digest     TEXT PRIMARY KEY,
    size       BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE adapters (
    id         TEXT PRIMARY KEY,
    namespace  TEXT NOT NULL REFERENCES namespaces (name),
    name       TEXT NOT NULL,
    visibility TEXT NOT NULL CHECK (visibility IN ('public', 'private')),
    pulls      BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    UNIQUE (namespace, name)
);

-- A version never changes after its insert, its yank apart.
CREATE TABLE versions (
    id           TEXT PRIMARY KEY,
    adapter_id   TEXT NOT NULL REFERENCES adapters (id),
    version      TEXT NOT NULL,
    digest       TEXT NOT NULL UNIQUE,
    manifest     TEXT NOT NULL,
    size         BIGINT NOT NULL,
    base_id      TEXT NOT NULL,
    base_digest  TEXT NOT NULL,
    architecture TEXT NOT NULL,
    method       TEXT NOT NULL,
    pulls        BIGINT NOT NULL DEFAULT 0,
    published_by TEXT NOT NULL REFERENCES users (name),
    published_at BIGINT NOT NULL,
    yanked_at    BIGINT,
    yank_reason  TEXT,
    UNIQUE (adapter_id, version)
);

CREATE TABLE version_files (
    version_id TEXT NOT NULL REFERENCES versions (id),
    path       TEXT NOT NULL,
    digest     TEXT NOT NULL REFERENCES blobs (digest),
    PRIMARY KEY (version_id, path)
);
CREATE INDEX version_files_by_digest ON version_files (digest);

-- Blobs on their way in. Acknowledged bytes lie in the storage, one object per part.
CREATE TABLE uploads (
    id           TEXT PRIMARY KEY,
    user_name    TEXT NOT NULL REFERENCES users (name),
    namespace    TEXT NOT NULL REFERENCES namespaces (name),
    adapter_name TEXT NOT NULL,
    digest       TEXT NOT NULL,
    size         BIGINT NOT NULL,
    received     BIGINT NOT NULL,
    completed_at BIGINT,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    UNIQUE (user_name, namespace, adapter_name, digest)
);
CREATE INDEX uploads_by_adapter ON uploads (namespace, adapter_name, digest);

CREATE TABLE upload_parts (
    upload_id TEXT NOT NULL REFERENCES uploads (id),
    start_at  BIGINT NOT NULL,
    end_at    BIGINT NOT NULL,
    object    TEXT NOT NULL,
    PRIMARY KEY (upload_id, start_at)
);

-- An adapter as search and resolve see it: its newest version that is not yanked.
-- Adapters without such a version have no row here.
CREATE TABLE listings (
    adapter_id     TEXT PRIMARY KEY REFERENCES adapters (id),
    version        TEXT NOT NULL,
    digest         TEXT NOT NULL,
    description    TEXT NOT NULL,
    task           TEXT NOT NULL,
    subtask        TEXT NOT NULL,
    languages      TEXT NOT NULL,
    license        TEXT NOT NULL,
    base_id        TEXT NOT NULL,
    base_digest    TEXT NOT NULL,
    architecture   TEXT NOT NULL,
    method         TEXT NOT NULL,
    method_summary TEXT NOT NULL,
    metric         TEXT,
    size           BIGINT NOT NULL,
    published_at   BIGINT NOT NULL
);
CREATE INDEX listings_by_task ON listings (task);
CREATE INDEX listings_by_subtask ON listings (subtask);
CREATE INDEX listings_by_base ON listings (base_digest);

-- The words of a listing, already split and lower-cased by the server.
CREATE VIRTUAL TABLE listing_words USING fts5 (adapter_id UNINDEXED, name, task, body);

-- One row per mutation: who did what to what.
CREATE TABLE audit (
    id      TEXT PRIMARY KEY,
    at      BIGINT NOT NULL,
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail  TEXT NOT NULL
);
CREATE INDEX audit_by_subject ON audit (subject, at);
