-- Base models of repositories on Hugging Face hubs: the digest of their weights, measured once for each commit.
CREATE TABLE mirrored_bases (
    upstream   TEXT NOT NULL,
    repository TEXT NOT NULL,
    revision   TEXT NOT NULL,
    part       TEXT NOT NULL,
    base       TEXT NOT NULL,
    PRIMARY KEY (upstream, repository, revision, part)
);
