INSERT INTO namespaces (name, created_at) VALUES ('ada', 1);
INSERT INTO users (name, created_at) VALUES ('ada', 1);
INSERT INTO members (namespace, user_name, role, created_at) VALUES ('ada', 'ada', 'owner', 1);
INSERT INTO tokens (id, user_name, name, secret_hash, scopes, created_at, expires_at, revoked_at)
VALUES ('t1', 'ada', 'laptop', 'hash', 'read,publish', 1, NULL, 2);
INSERT INTO blobs (digest, size, created_at) VALUES ('sha256:9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c', 7, 1);
INSERT INTO adapters (id, namespace, name, visibility, pulls, created_at)
VALUES ('a1', 'ada', 'sentiment', 'public', 3, 1);
INSERT INTO versions (id, adapter_id, version, digest, manifest, size, base_id, base_digest, architecture, method,
    pulls, published_by, published_at, yanked_at, yank_reason)
VALUES ('v1', 'a1', '1.0.0', 'sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed', '{}', 7, 'tiny', 'sha256:8950abfda7b727630760dd35bcf5c3daa7631aff223a90f7728c0d2521dde10c', 'bert', 'lora', 3, 'ada', 1, 2, 'wrong labels');
INSERT INTO versions (id, adapter_id, version, digest, manifest, size, base_id, base_digest, architecture, method,
    pulls, published_by, published_at)
VALUES ('v2', 'a1', '1.1.0', 'sha256:3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3', '{"dependencies":[{"name":"ada/sentiment","version":"^1"}]}', 7, 'tiny', 'sha256:8950abfda7b727630760dd35bcf5c3daa7631aff223a90f7728c0d2521dde10c', 'bert', 'lora', 0, 'ada', 3);
INSERT INTO version_files (version_id, path, digest) VALUES ('v1', 'adapter_model.safetensors', 'sha256:9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c');
INSERT INTO uploads (id, user_name, namespace, adapter_name, digest, size, received, completed_at, created_at, updated_at)
VALUES ('u1', 'ada', 'ada', 'sentiment', 'sha256:ffbfabc54ca8a26ef654e1dfecce9802d96326869199f4b1dbac0adb1fe7de06', 6, 3, NULL, 1, 2);
INSERT INTO upload_parts (upload_id, start_at, end_at, object) VALUES ('u1', 0, 3, 'uploads/u1/00000000000000000000-x');
INSERT INTO listings (adapter_id, version, digest, description, task, subtask, languages, license, base_id, base_digest,
    architecture, method, method_summary, metric, size, published_at)
VALUES ('a1', '1.1.0', 'sha256:3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3', 'Sentiment.', 'sentiment', '', ' en ', 'MIT', 'tiny', 'sha256:8950abfda7b727630760dd35bcf5c3daa7631aff223a90f7728c0d2521dde10c', 'bert',
    'lora', 'LoRA', NULL, 7, 3);
INSERT INTO audit (id, at, actor, action, subject, detail) VALUES ('e1', 1, 'ada', 'publish', 'ada/sentiment@1.0.0', '');
