-- Versions that can be gone back to, documents that can be deleted and restored, jobs as callers see
-- them. What is searched is no longer "the open end of the range" but `live`: the chunks of the version
-- a document points to, while it is not deleted. Everything else is as invisible as if it were not there.

ALTER TABLE documents ADD COLUMN metadata jsonb NOT NULL DEFAULT '{}';
ALTER TABLE documents ADD COLUMN index_title text;  -- embedded with every chunk; set once, so that a
                                                    -- new title does not embed the document again
UPDATE documents SET index_title = title WHERE current_version IS NOT NULL;
-- A source has one document that is not deleted, and any number that are.
ALTER TABLE documents DROP CONSTRAINT documents_tenant_id_source_key;
CREATE UNIQUE INDEX documents_source ON documents (tenant_id, source) WHERE deleted_at IS NULL;
CREATE INDEX documents_listed ON documents (tenant_id, created_at DESC, id DESC);

ALTER TABLE document_versions ADD COLUMN job_id text;
UPDATE document_versions SET job_id = 'job_' || translate(gen_random_uuid()::text, '-', '');
ALTER TABLE document_versions ALTER COLUMN job_id SET NOT NULL;
ALTER TABLE document_versions ADD CONSTRAINT document_versions_job UNIQUE (job_id);
ALTER TABLE document_versions ADD COLUMN attempts integer NOT NULL DEFAULT 0;
ALTER TABLE document_versions ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE document_versions ADD COLUMN filename text;
ALTER TABLE document_versions ADD COLUMN media_type text;
UPDATE document_versions v SET filename = d.filename, media_type = d.media_type
    FROM documents d WHERE d.id = v.document_id;
ALTER TABLE document_versions ALTER COLUMN filename SET NOT NULL;
ALTER TABLE document_versions ALTER COLUMN media_type SET NOT NULL;
ALTER TABLE document_versions DROP CONSTRAINT document_versions_status_check;
ALTER TABLE document_versions ADD CONSTRAINT document_versions_status_check CHECK
    (status IN ('queued', 'processing', 'ready', 'failed', 'cancelled', 'dead'));
CREATE INDEX document_versions_bytes ON document_versions (tenant_id, sha256);
CREATE INDEX document_versions_unfinished ON document_versions (tenant_id, created_at)
    WHERE status IN ('queued', 'processing');

-- Which version answered from when on: what a question "as of" an earlier day is answered from.
CREATE TABLE activations (
    tenant_id text NOT NULL REFERENCES tenants,
    document_id text NOT NULL,
    version integer NOT NULL,
    activated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (document_id, activated_at),
    FOREIGN KEY (document_id, version) REFERENCES document_versions (document_id, number)
);
INSERT INTO activations (tenant_id, document_id, version, activated_at)
    SELECT tenant_id, document_id, number, published_at FROM document_versions
    WHERE published_at IS NOT NULL;

ALTER TABLE chunks ADD COLUMN live boolean NOT NULL DEFAULT true;
UPDATE chunks c SET live = false FROM documents d
    WHERE d.id = c.document_id AND (c.valid_to IS NOT NULL OR d.deleted_at IS NOT NULL);
DROP INDEX chunks_embedding, chunks_tsv;
-- ef_construction: with 64 a question's ten nearest were found to 97 % (100,000 chunks, beam 200), with
-- 128 to 99 %, for the same search (docs/adr/0002).
CREATE INDEX chunks_embedding ON chunks USING hnsw (embedding halfvec_cosine_ops)
    WITH (m = 32, ef_construction = 128) WHERE live;
CREATE INDEX chunks_tsv ON chunks USING gin (tsv) WITH (fastupdate = off) WHERE live;

-- How many jobs deep a tenant's queue is: jobs are taken in rounds, one of each tenant a round.
ALTER TABLE tenants ADD COLUMN job_round integer NOT NULL DEFAULT 0;

-- The first answer to a request with an Idempotency-Key; status is null while it is being made.
CREATE TABLE idempotent_requests (
    tenant_id text NOT NULL REFERENCES tenants,
    caller text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,                 -- SHA-256 of what was asked
    holder text NOT NULL,                       -- who is making the answer, until lease_until
    lease_until timestamptz NOT NULL,
    status integer,
    headers jsonb,
    body bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, caller, key)
);
CREATE INDEX idempotent_requests_age ON idempotent_requests (created_at);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['activations', 'idempotent_requests'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON %I TO docent_app
                        USING (tenant_id = current_setting(''app.tenant'', true))
                        WITH CHECK (tenant_id = current_setting(''app.tenant'', true))', name);
    END LOOP;
END $$;
GRANT SELECT, INSERT ON activations TO docent_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON idempotent_requests TO docent_app;

-- The two things a worker asks about all tenants: versions that wait for a job which is not there any
-- more, and the round its queue is in. Ids and numbers only.
CREATE FUNCTION stranded_versions(p_older_than_s double precision)
RETURNS TABLE (tenant_id text, document_id text, version integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, jobs, pg_temp
AS $$
    SELECT v.tenant_id, v.document_id, v.number FROM document_versions v
    WHERE v.status IN ('queued', 'processing')
      AND v.updated_at < now() - make_interval(secs => p_older_than_s)
      AND NOT EXISTS (SELECT FROM procrastinate_jobs j
                      WHERE j.status IN ('todo', 'doing') AND j.task_name = 'ingest_version'
                        AND j.args ->> 'document_id' = v.document_id
                        AND (j.args ->> 'version')::integer = v.number)
$$;
CREATE FUNCTION forget_old_requests(p_older_than_s double precision) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    DELETE FROM idempotent_requests WHERE created_at < now() - make_interval(secs => p_older_than_s)
$$;
-- Start-time fair queueing (Goyal, Vin, Cheng 1996): a job's round is one after its tenant's last, and
-- never before the round now being served, so that an idle tenant saves up no credit.
CREATE FUNCTION next_job_round(p_tenant text) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = public, jobs, pg_temp
AS $$
    UPDATE tenants SET job_round = greatest(
        job_round + 1,
        (SELECT coalesce(min(-j.priority), 0) FROM procrastinate_jobs j
         WHERE j.status IN ('todo', 'doing') AND j.task_name = 'ingest_version'))
    WHERE id = p_tenant AND id = current_setting('app.tenant', true)
    RETURNING job_round
$$;
REVOKE ALL ON FUNCTION stranded_versions, forget_old_requests, next_job_round FROM PUBLIC;
GRANT EXECUTE ON FUNCTION stranded_versions, forget_old_requests, next_job_round TO docent_app;
