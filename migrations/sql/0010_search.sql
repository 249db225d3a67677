-- The search keeps to what its caller reaches. Vectors are ranked, and rows read, under the policies;
-- the ranking by text runs as the owner, past them, and leaves out the same documents itself.

-- SECURITY DEFINER, for the index's sake: under row-level security PostgreSQL refuses to use an
-- index for an operator that is not marked leakproof, and @@ is not: every search read the whole
-- table (22 ms at 10,000 chunks, 170 at 100,000, against 3). The policy's condition is in the
-- statements instead; what leaves is ids and ranks, and the rows are then read under the policy.
CREATE OR REPLACE FUNCTION rank_by_text(
    p_question text, p_candidates integer, p_documents text[], p_versions integer[]
)
RETURNS TABLE (id text, rank integer)
LANGUAGE plpgsql STABLE ROWS 40 SECURITY DEFINER
SET search_path = public, pg_temp
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    v_tenant text := current_setting('app.tenant', true);
    v_queries tsquery[];
    v_weights double precision[];
    v_match tsquery;
    v_mean_length double precision;
    v_hidden text[];
BEGIN
    IF p_question = '' THEN
        RETURN;
    END IF;
    -- The rarest words first, until the chunks that hold them are as many as are worth ranking: a
    -- word in a third of the corpus decides nothing and costs the most.
    SELECT array_agg(w.query), array_agg(w.idf),
           (string_agg(w.query::text, ' | ' ORDER BY w.chunk_count)
               FILTER (WHERE w.reach <= 500 OR w.nth = 1))::tsquery,
           max(w.mean_length)
    INTO v_queries, v_weights, v_match, v_mean_length
    FROM (SELECT lexeme_query(l.lexeme) AS query, l.chunk_count,
                 ln(1 + (t.chunk_count - l.chunk_count + 0.5) / (l.chunk_count + 0.5)) AS idf,
                 sum(l.chunk_count) OVER rarest AS reach, row_number() OVER rarest AS nth,
                 t.lexeme_total::float8 / greatest(t.chunk_count, 1) AS mean_length
          FROM unnest(to_tsvector('english', p_question)) q
          JOIN lexemes l ON l.tenant_id = v_tenant AND l.lexeme = q.lexeme AND l.chunk_count > 0
          JOIN tenants t ON t.id = v_tenant
          WINDOW rarest AS (ORDER BY l.chunk_count, l.lexeme)) w;
    IF v_match IS NULL THEN
        RETURN;
    END IF;
    v_hidden := ARRAY(SELECT hidden_documents());
    -- ts_rank of one lexeme saturates with its count as BM25's term frequency does; weighted by idf
    -- and tempered by length the sum ranks like BM25, with what PostgreSQL ships.
    RETURN QUERY
    SELECT m.id, row_number() OVER (ORDER BY m.weight DESC, m.id)::integer
    FROM (SELECT c.id,
                 (SELECT sum(w.idf * ts_rank('{1,1,1,1}', c.tsv, w.query))
                  FROM unnest(v_queries, v_weights) AS w (query, idf))
                 / (0.5::float8 + 0.5::float8 * length(c.tsv) / v_mean_length) AS weight
          FROM (SELECT c.id, setweight(c.tsv, 'D') AS tsv  -- unpacks it once, not once a word
                FROM chunks c
                WHERE c.tsv @@ v_match AND c.tenant_id = v_tenant
                  AND c.document_id <> ALL (v_hidden)
                  AND (p_documents IS NULL OR c.document_id = ANY (p_documents))
                  AND ((p_versions IS NULL AND c.live)
                       OR (p_versions IS NOT NULL AND EXISTS (
                           SELECT FROM unnest(p_documents, p_versions) AS v (document_id, number)
                           WHERE v.document_id = c.document_id AND c.valid_from <= v.number
                             AND (c.valid_to IS NULL OR c.valid_to > v.number))))
                OFFSET 0) c
          ORDER BY weight DESC
          LIMIT p_candidates) m;
END
$$;

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
    p_reach text DEFAULT ''      -- as app.reach
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
    WITH fused AS MATERIALIZED (
        -- Reciprocal rank fusion (Cormack, Clarke, Buettcher 2009), scaled so that 1 is first in both.
        SELECT coalesce(d.id, l.id) AS id, d.rank AS dense_rank, l.rank AS text_rank,
               (coalesce((1 - p_text_weight) / (p_rank_constant + d.rank), 0)
                + coalesce(p_text_weight / (p_rank_constant + l.rank), 0))
               * (p_rank_constant + 1) AS score
        FROM rank_by_vector(p_embedding, p_candidates, v_documents, v_versions) d
        FULL JOIN rank_by_text(p_question, p_candidates, v_documents, v_versions) l ON l.id = d.id
        ORDER BY score DESC, 1
        LIMIT p_top_k
    )
    SELECT c.id, c.document_id, coalesce(v.number, d.current_version), d.title, d.filename, d.tags,
           d.url, c.page, c.start_offset, c.end_offset, c.heading, c.text, c.boxes,
           f.score::real, (1 - (c.embedding <=> p_embedding))::real, f.dense_rank, f.text_rank
    FROM fused f
    JOIN chunks c ON c.id = f.id
    JOIN documents d ON d.id = c.document_id AND d.deleted_at IS NULL
    LEFT JOIN unnest(v_documents, v_versions) AS v (document_id, number)
        ON v_versions IS NOT NULL AND v.document_id = c.document_id
    ORDER BY f.score DESC, c.id;
END
$$;
