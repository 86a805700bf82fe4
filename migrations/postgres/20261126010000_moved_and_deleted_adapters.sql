-- Names that an adapter had before: whoever asks for one is led on, and nobody else takes it.
CREATE TABLE former_names (
    namespace  TEXT NOT NULL REFERENCES namespaces (name),
    name       TEXT NOT NULL,
    adapter_id TEXT NOT NULL REFERENCES adapters (id),
    since      BIGINT NOT NULL,
    PRIMARY KEY (namespace, name)
);
CREATE INDEX former_names_by_adapter ON former_names (adapter_id);

-- The name that a version's manifest states, where its adapter has another one now.
ALTER TABLE versions ADD COLUMN published_as TEXT;
ALTER TABLE listings ADD COLUMN published_as TEXT;
ALTER TABLE tombstones ADD COLUMN published_as TEXT;
CREATE INDEX versions_by_published_as ON versions (published_as) WHERE published_as IS NOT NULL;

-- An adapter that was deleted as a whole, and why: its row keeps its name and its tombstones.
ALTER TABLE adapters ADD COLUMN deleted_at BIGINT;
ALTER TABLE adapters ADD COLUMN deletion_reason TEXT;
