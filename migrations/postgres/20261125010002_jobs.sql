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

CREATE FUNCTION review_blob(blob TEXT) RETURNS VOID LANGUAGE SQL AS $$
    INSERT INTO blob_reviews (digest, queued_at)
    VALUES (blob, CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT))
    ON CONFLICT (digest) DO UPDATE SET queued_at = excluded.queued_at
$$;

CREATE FUNCTION review_new_blob() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM review_blob(NEW.digest);
    RETURN NULL;
END
$$;

CREATE FUNCTION review_old_blob() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM review_blob(OLD.digest);
    RETURN NULL;
END
$$;

CREATE TRIGGER review_new_blob AFTER INSERT ON blobs FOR EACH ROW EXECUTE FUNCTION review_new_blob();
CREATE TRIGGER review_blob_of_removed_file AFTER DELETE ON version_files
    FOR EACH ROW EXECUTE FUNCTION review_old_blob();
CREATE TRIGGER review_blob_of_removed_upload AFTER DELETE ON uploads
    FOR EACH ROW WHEN (OLD.completed_at IS NOT NULL) EXECUTE FUNCTION review_old_blob();

INSERT INTO blob_reviews (digest, queued_at)
SELECT digest, CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) FROM blobs;
