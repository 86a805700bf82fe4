-- Every change of what others may see, in the order in which it was committed.
CREATE TABLE changes (
    serial         BIGINT PRIMARY KEY,
    at             BIGINT NOT NULL,
    kind           TEXT NOT NULL,
    adapter_id     TEXT NOT NULL REFERENCES adapters (id),
    namespace      TEXT NOT NULL,
    name           TEXT NOT NULL,
    version        TEXT,
    -- Who could see it until then, of whom some can't any more.
    withdrawn_from TEXT
);

-- The last serial: whoever commits changes holds this row until they are committed.
CREATE TABLE last_change (
    only_one BIGINT PRIMARY KEY CHECK (only_one = 1),
    serial   BIGINT NOT NULL
);

-- What was there before has a place in the order too, so that a follower that begins at 0 gets everything.
INSERT INTO changes (serial, at, kind, adapter_id, namespace, name, version)
SELECT ROW_NUMBER() OVER (ORDER BY v.published_at, v.id), v.published_at, 'version.published', a.id, a.namespace,
       a.name, v.version
FROM versions v JOIN adapters a ON a.id = v.adapter_id;
INSERT INTO last_change (only_one, serial) SELECT 1, COALESCE(MAX(serial), 0) FROM changes;

-- How far this registry came with the changes of others that it follows.
CREATE TABLE followed_registries (
    url        TEXT PRIMARY KEY,
    registry   TEXT NOT NULL,
    serial     BIGINT NOT NULL,
    -- When every adapter was compared last, whether it had changed or not.
    checked_at BIGINT NOT NULL
);
