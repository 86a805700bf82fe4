-- Four roles in a namespace. What was a member keeps what members could do; a server
-- of the previous release may still write `member`.
CREATE TABLE members_with_roles (
    namespace  TEXT NOT NULL REFERENCES namespaces (name),
    user_name  TEXT NOT NULL REFERENCES users (name),
    role       TEXT NOT NULL CHECK (role IN ('owner', 'maintainer', 'writer', 'reader', 'member')),
    created_at BIGINT NOT NULL,
    PRIMARY KEY (namespace, user_name)
);
INSERT INTO members_with_roles (namespace, user_name, role, created_at)
SELECT namespace, user_name, CASE role WHEN 'member' THEN 'maintainer' ELSE role END, created_at FROM members;
DROP TABLE members;
ALTER TABLE members_with_roles RENAME TO members;
CREATE INDEX members_by_user ON members (user_name);

-- A role for one adapter, without one in its namespace.
CREATE TABLE collaborators (
    adapter_id TEXT NOT NULL REFERENCES adapters (id),
    user_name  TEXT NOT NULL REFERENCES users (name),
    role       TEXT NOT NULL CHECK (role IN ('maintainer', 'writer', 'reader')),
    created_at BIGINT NOT NULL,
    PRIMARY KEY (adapter_id, user_name)
);
CREATE INDEX collaborators_by_user ON collaborators (user_name);

-- A private adapter that every user may see. The previous release shows it to members only.
ALTER TABLE adapters ADD COLUMN internal_since BIGINT;

-- Who runs the registry.
ALTER TABLE users ADD COLUMN administrator_since BIGINT;

-- The names that a token is limited to, as they were written; without a value it is not
-- limited. The same as patterns of LIKE, with `!` as the escape, for queries.
ALTER TABLE tokens ADD COLUMN names TEXT;
CREATE TABLE token_names (
    token_id TEXT NOT NULL REFERENCES tokens (id),
    pattern  TEXT NOT NULL,
    PRIMARY KEY (token_id, pattern)
);
CREATE INDEX tokens_by_user ON tokens (user_name);

-- Which token it was done with.
ALTER TABLE audit ADD COLUMN token_id TEXT;
CREATE INDEX audit_by_at ON audit (at);
