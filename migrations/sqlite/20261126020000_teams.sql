-- Teams: named sets of people in an organisation, with a role in its namespace or only on adapters.
CREATE TABLE teams (
    id         TEXT PRIMARY KEY,
    namespace  TEXT NOT NULL REFERENCES namespaces (name),
    name       TEXT NOT NULL,
    role       TEXT CHECK (role IN ('maintainer', 'writer', 'reader')),
    created_at BIGINT NOT NULL,
    UNIQUE (namespace, name)
);

CREATE TABLE team_members (
    team_id    TEXT NOT NULL REFERENCES teams (id),
    user_name  TEXT NOT NULL REFERENCES users (name),
    created_at BIGINT NOT NULL,
    PRIMARY KEY (team_id, user_name)
);
CREATE INDEX team_members_by_user ON team_members (user_name);

CREATE TABLE team_collaborators (
    adapter_id TEXT NOT NULL REFERENCES adapters (id),
    team_id    TEXT NOT NULL REFERENCES teams (id),
    role       TEXT NOT NULL CHECK (role IN ('maintainer', 'writer', 'reader')),
    created_at BIGINT NOT NULL,
    PRIMARY KEY (adapter_id, team_id)
);
CREATE INDEX team_collaborators_by_team ON team_collaborators (team_id);

-- What people are in namespaces and on adapters, by themselves and by their teams: a row for each.
CREATE VIEW namespace_roles AS
SELECT namespace, user_name, role FROM members
UNION ALL
SELECT t.namespace, m.user_name, t.role FROM teams t JOIN team_members m ON m.team_id = t.id
WHERE t.role IS NOT NULL;

CREATE VIEW adapter_roles AS
SELECT adapter_id, user_name, role FROM collaborators
UNION ALL
SELECT c.adapter_id, m.user_name, c.role FROM team_collaborators c JOIN team_members m ON m.team_id = c.team_id;
