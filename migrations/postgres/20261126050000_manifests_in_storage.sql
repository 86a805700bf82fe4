-- A copy of every manifest lies in the storage from now on; a worker makes those of older versions.
INSERT INTO jobs (id, kind, payload, run_at, attempts, created_at)
SELECT 'keep-manifest-' || v.id, 'keep-manifest', '{"digest":"' || v.digest || '"}', 0, 0, 0
FROM versions v WHERE NOT EXISTS (SELECT 1 FROM mirrored_adapters m WHERE m.adapter_id = v.adapter_id);
