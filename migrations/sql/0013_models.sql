-- Two embedding models beside each other while one takes the other's place (ADR 0023). The chunks that
-- answer are public.chunks, whichever model they are of. A change makes beside.chunks, the same chunks
-- with the other model's vectors, and to switch is to let the two tables change places. A search names
-- the model its question was embedded with and reads that model's chunks, wherever they stand.

ALTER TABLE index_info ADD COLUMN chunk_table regclass;
UPDATE index_info SET chunk_table = 'public.chunks';
ALTER TABLE index_info ALTER COLUMN chunk_table SET NOT NULL;
ALTER TABLE index_info DROP COLUMN singleton;
ALTER TABLE index_info ADD PRIMARY KEY (embedding_model);

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
    p_reach text DEFAULT '',             -- as app.reach
    p_model text DEFAULT NULL            -- whose vector p_embedding is; null: the current model's
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
    v_chunks regclass;
BEGIN
    -- From here to the end no model is switched. Tables are told apart by what they are, not by where
    -- they stand: this search's snapshot may be older than a switch that it has just waited for.
    PERFORM FROM chunks LIMIT 0;
    IF p_model IS NOT NULL THEN
        SELECT i.chunk_table INTO v_chunks FROM index_info i WHERE i.embedding_model = p_model;
        IF v_chunks IS DISTINCT FROM to_regclass('public.chunks') THEN
            IF v_chunks IS NULL OR v_chunks IS DISTINCT FROM to_regclass('beside.chunks') THEN
                RAISE EXCEPTION 'there are no vectors of this model' USING ERRCODE = 'no_data_found';
            END IF;
            PERFORM set_config('search_path', 'beside, public, jobs', true);
        END IF;
    END IF;

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
    IF v_chunks IS DISTINCT FROM to_regclass('public.chunks') THEN
        PERFORM set_config('search_path', 'public, jobs', true);
    END IF;
END
$$;
REVOKE ALL ON FUNCTION search_chunks FROM PUBLIC;
GRANT EXECUTE ON FUNCTION search_chunks TO docent_app;
