-- What a name stands for: an adapter, or the backbone of adapters. It never changes.
ALTER TABLE adapters ADD COLUMN kind TEXT NOT NULL DEFAULT 'adapter';

-- Base models are found by the digest of their weights.
CREATE INDEX versions_by_base ON versions (base_digest);
