-- What versions need, as their manifests say it.
CREATE TABLE version_dependencies (
    version_id  TEXT NOT NULL REFERENCES versions (id),
    namespace   TEXT NOT NULL,
    name        TEXT NOT NULL,
    requirement TEXT NOT NULL,
    PRIMARY KEY (version_id, namespace, name, requirement)
);
CREATE INDEX version_dependencies_by_name ON version_dependencies (namespace, name);

-- Versions that were deleted: their numbers never come back.
CREATE TABLE tombstones (
    adapter_id TEXT NOT NULL REFERENCES adapters (id),
    version    TEXT NOT NULL,
    digest     TEXT NOT NULL,
    reason     TEXT NOT NULL,
    deleted_at BIGINT NOT NULL,
    PRIMARY KEY (adapter_id, version)
);

INSERT INTO version_dependencies (version_id, namespace, name, requirement)
SELECT DISTINCT v.id, substr(d.value ->> '$.name', 1, instr(d.value ->> '$.name', '/') - 1),
       substr(d.value ->> '$.name', instr(d.value ->> '$.name', '/') + 1), d.value ->> '$.version'
FROM versions v JOIN json_each(v.manifest, '$.dependencies') d;
