-- How much a namespace may hold; without a row, or a value, as much as it likes.
CREATE TABLE quotas (
    namespace    TEXT PRIMARY KEY REFERENCES namespaces (name),
    max_bytes    BIGINT,
    max_adapters BIGINT
);
