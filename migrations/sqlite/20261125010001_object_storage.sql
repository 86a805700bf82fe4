-- Where a blob's bytes lie; without a value under the key that its digest gives.
ALTER TABLE blobs ADD COLUMN object TEXT;

-- An upload that a store puts together from parts: what the store calls it, and how
-- far its digest is computed. `upload_parts.object` then holds the store's own names.
ALTER TABLE uploads ADD COLUMN multipart TEXT;
ALTER TABLE uploads ADD COLUMN hashed TEXT;

-- Which registry this is: the storage keeps the same text, so that no server removes
-- files that belong to another one.
CREATE TABLE identity (
    only_one BIGINT PRIMARY KEY CHECK (only_one = 1),
    id       TEXT NOT NULL
);
