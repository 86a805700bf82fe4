-- Which versions of a namespace are deleted by rule.
CREATE TABLE retention (
    namespace        TEXT PRIMARY KEY REFERENCES namespaces (name),
    prerelease_days  BIGINT,
    keep_prereleases BIGINT NOT NULL,
    yanked_days      BIGINT
);
