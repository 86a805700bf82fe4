-- Passwords of users, as PHC strings: Argon2id with its parameters and salt.
CREATE TABLE passwords (
    user_name  TEXT PRIMARY KEY REFERENCES users (name),
    hash       TEXT NOT NULL,
    changed_at BIGINT NOT NULL
);
