-- The query log. A record says how an answer came about and names what it cites; it holds nothing of a
-- document's text, so that a deletion has nothing to find here.

CREATE TABLE answers (
    id text PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES tenants,
    caller_id text NOT NULL,                    -- who asked: a key, a user or a client
    asked_at timestamptz NOT NULL,
    record jsonb NOT NULL
);
CREATE INDEX answers_listed ON answers (tenant_id, asked_at DESC);

-- One opinion a caller and answer. The question is kept beside it: the log forgets sooner.
CREATE TABLE feedback (
    answer_id text NOT NULL,
    tenant_id text NOT NULL REFERENCES tenants,
    caller_id text NOT NULL,
    score smallint NOT NULL CHECK (score IN (-1, 1)),
    comment text,
    question text NOT NULL,
    cited jsonb NOT NULL,                       -- [{document_id, version, page}]
    said_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (answer_id, caller_id)
);
CREATE INDEX feedback_listed ON feedback (tenant_id, said_at DESC);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['answers', 'feedback'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON %I TO docent_app
                        USING (tenant_id = current_setting(''app.tenant'', true))
                        WITH CHECK (tenant_id = current_setting(''app.tenant'', true))', name);
    END LOOP;
END $$;
GRANT SELECT, INSERT ON answers TO docent_app;
GRANT SELECT, INSERT, UPDATE ON feedback TO docent_app;

-- All tenants' old entries at once; the application cannot choose which.
CREATE FUNCTION forget_answers(p_days integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH gone AS (DELETE FROM answers WHERE asked_at < now() - make_interval(days => p_days)
                  RETURNING 1)
    SELECT count(*) FROM gone
$$;
REVOKE ALL ON FUNCTION forget_answers FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_answers TO docent_app;
