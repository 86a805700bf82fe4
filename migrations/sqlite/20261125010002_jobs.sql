-- Work that is done later, by whichever process takes it first.
CREATE TABLE jobs (
    id           TEXT PRIMARY KEY,
    kind         TEXT NOT NULL,
    payload      TEXT NOT NULL,
    run_at       BIGINT NOT NULL,
    attempts     BIGINT NOT NULL,
    lease        TEXT,
    leased_until BIGINT,
    last_error   TEXT,
    failed_at    BIGINT,
    created_at   BIGINT NOT NULL
);
CREATE INDEX jobs_by_run_at ON jobs (run_at);

CREATE INDEX blobs_by_object ON blobs (object);

-- Blobs that something stopped referring to, or nothing does yet, and since when.
-- Triggers keep it, so that no statement can forget to.
CREATE TABLE blob_reviews (
    digest    TEXT PRIMARY KEY,
    queued_at BIGINT NOT NULL
);
CREATE INDEX blob_reviews_by_queued_at ON blob_reviews (queued_at);

CREATE TRIGGER review_new_blob AFTER INSERT ON blobs BEGIN
    INSERT INTO blob_reviews (digest, queued_at)
    VALUES (new.digest, CAST(unixepoch('subsec') * 1000000 AS INTEGER))
    ON CONFLICT (digest) DO UPDATE SET queued_at = excluded.queued_at;
END;

CREATE TRIGGER review_blob_of_removed_file AFTER DELETE ON version_files BEGIN
    INSERT INTO blob_reviews (digest, queued_at)
    VALUES (old.digest, CAST(unixepoch('subsec') * 1000000 AS INTEGER))
    ON CONFLICT (digest) DO UPDATE SET queued_at = excluded.queued_at;
END;

CREATE TRIGGER review_blob_of_removed_upload AFTER DELETE ON uploads WHEN old.completed_at IS NOT NULL BEGIN
    INSERT INTO blob_reviews (digest, queued_at)
    VALUES (old.digest, CAST(unixepoch('subsec') * 1000000 AS INTEGER))
    ON CONFLICT (digest) DO UPDATE SET queued_at = excluded.queued_at;
END;

INSERT INTO blob_reviews (digest, queued_at)
SELECT digest, CAST(unixepoch('subsec') * 1000000 AS INTEGER) FROM blobs;
