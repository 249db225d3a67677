-- What stands beside goes; the model that answers stays.
DROP SCHEMA IF EXISTS beside CASCADE;
DELETE FROM index_info WHERE chunk_table <> 'public.chunks'::regclass;
ALTER TABLE index_info DROP COLUMN chunk_table;
ALTER TABLE index_info DROP CONSTRAINT index_info_pkey;
ALTER TABLE index_info ADD COLUMN singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton);

DROP FUNCTION search_chunks;
CREATE FUNCTION search_chunks(
    p_tenant text,
    p_embedding halfvec,         -- null: text only
    p_question text,             -- '': vectors only
    p_top_k integer,
    p_candidates integer,        -- how many each side brings to the fusion
    p_document_ids text[],       -- null: all
    p_tags text[],               -- null: all; a document matches that has any of them
    p_as_of timestamptz,         -- null: the current versions
    p_text_weight real,
    p_rank_constant real,
    p_language text DEFAULT NULL,        -- the question's; null: not known
    p_weights real[] DEFAULT '{1}',      -- of the candidates' features
    p_reach text DEFAULT ''              -- as app.reach
)
RETURNS TABLE (
    id text, document_id text, version integer, title text, filename text, tags text[], url text,
    page integer, start_offset integer, end_offset integer, heading text, text text, boxes bytea,
    score real, similarity real, dense_rank integer, text_rank integer
)
LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    v_documents text[] := p_document_ids;
    v_versions integer[];
BEGIN
    PERFORM set_config('app.tenant', p_tenant, true), set_config('app.reach', p_reach, true);
    -- Asked once for all that follows, which reads the same snapshot; taken back at the end.
    PERFORM set_config('app.unrestricted', p_tenant, true)
    WHERE NOT has_restricted_documents(p_tenant);

    IF p_as_of IS NOT NULL THEN
        SELECT coalesce(array_agg(v.document_id), '{}'), coalesce(array_agg(v.number), '{}')
        INTO v_documents, v_versions
        FROM (SELECT DISTINCT ON (a.document_id) a.document_id, a.version AS number
              FROM activations a JOIN documents d ON d.id = a.document_id
              WHERE a.tenant_id = p_tenant AND a.activated_at <= p_as_of AND d.deleted_at IS NULL
                AND (p_document_ids IS NULL OR d.id = ANY (p_document_ids))
                AND (p_tags IS NULL OR d.tags && p_tags)
              ORDER BY a.document_id, a.activated_at DESC) v;
    ELSIF p_tags IS NOT NULL THEN
        SELECT coalesce(array_agg(d.id), '{}') INTO v_documents
        FROM documents d
        WHERE d.tenant_id = p_tenant AND d.tags && p_tags
          AND (p_document_ids IS NULL OR d.id = ANY (p_document_ids));
    END IF;

    RETURN QUERY
    WITH best AS MATERIALIZED (
        SELECT j.id, j.dense_rank, j.text_rank,
               (SELECT sum(u.feature * u.weight)
                FROM unnest(j.features, p_weights) AS u (feature, weight)) AS score
        FROM judged_candidates(p_embedding, p_question, p_language, p_candidates, v_documents,
                               v_versions, p_text_weight, p_rank_constant) j
        ORDER BY score DESC, j.id
        LIMIT p_top_k
    )
    SELECT c.id, c.document_id, coalesce(v.number, d.current_version), d.title, d.filename, d.tags,
           d.url, c.page, c.start_offset, c.end_offset, c.heading, c.text, c.boxes,
           b.score::real, (1 - (c.embedding <=> p_embedding))::real, b.dense_rank, b.text_rank
    FROM best b
    JOIN chunks c ON c.id = b.id
    JOIN documents d ON d.id = c.document_id AND d.deleted_at IS NULL
    LEFT JOIN unnest(v_documents, v_versions) AS v (document_id, number)
        ON v_versions IS NOT NULL AND v.document_id = c.document_id
    ORDER BY b.score DESC, c.id;

    PERFORM set_config('app.unrestricted', '', true);
END
$$;
REVOKE ALL ON FUNCTION search_chunks FROM PUBLIC;
GRANT EXECUTE ON FUNCTION search_chunks TO docent_app;
