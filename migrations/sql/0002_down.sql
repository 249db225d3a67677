DROP FUNCTION stranded_versions, forget_old_requests, next_job_round;
DROP TABLE idempotent_requests, activations;
ALTER TABLE tenants DROP COLUMN job_round;
DROP INDEX chunks_embedding, chunks_tsv;
ALTER TABLE chunks DROP COLUMN live;
CREATE INDEX chunks_embedding ON chunks USING hnsw (embedding halfvec_cosine_ops)
    WITH (m = 32, ef_construction = 64) WHERE valid_to IS NULL;
CREATE INDEX chunks_tsv ON chunks USING gin (tsv) WITH (fastupdate = off) WHERE valid_to IS NULL;
DROP INDEX document_versions_unfinished, document_versions_bytes, documents_listed, documents_source;
UPDATE documents SET source = NULL WHERE deleted_at IS NOT NULL;
ALTER TABLE documents ADD UNIQUE (tenant_id, source);
UPDATE documents d SET current_version = (
    SELECT max(v.number) FROM document_versions v
    WHERE v.document_id = d.id AND v.published_at IS NOT NULL)
WHERE current_version IS NOT NULL;
UPDATE document_versions SET status = 'failed' WHERE status IN ('cancelled', 'dead');
ALTER TABLE document_versions DROP CONSTRAINT document_versions_status_check;
ALTER TABLE document_versions ADD CONSTRAINT document_versions_status_check CHECK
    (status IN ('queued', 'processing', 'ready', 'failed'));
ALTER TABLE document_versions DROP COLUMN media_type, DROP COLUMN filename, DROP COLUMN updated_at,
    DROP COLUMN attempts, DROP COLUMN job_id;
ALTER TABLE documents DROP COLUMN index_title, DROP COLUMN metadata;
