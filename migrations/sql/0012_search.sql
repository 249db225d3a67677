-- The search keeps to what its caller reaches. Vectors are ranked, and rows read, under the policies;
-- the ranking by text runs as the owner, past them, and leaves out the same documents itself. A process
-- of the version before names no reach, and finds what the whole tenant sees.
-- A search by vectors alone does not read the question's words any more (0.8 of 6.5 ms).

DROP FUNCTION search_chunks, judged_candidates, rank_by_text, rank_by_vector;

CREATE FUNCTION rank_by_vector(
    p_embedding halfvec, p_candidates integer, p_documents text[], p_versions integer[]
)
RETURNS TABLE (id text, rank integer, similarity double precision)  -- cosine, -1 to 1
LANGUAGE plpgsql STABLE ROWS 40
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    v_tenant text := current_setting('app.tenant', true);
BEGIN
    IF p_embedding IS NULL THEN
        RETURN;
    END IF;
    -- With custom plans the constant halves of the conditions fold away, so that a search of the
    -- current versions is left with "live" and can use the partial index.
    RETURN QUERY
    SELECT n.id, row_number() OVER (ORDER BY n.distance, n.id)::integer, 1 - n.distance
    FROM (SELECT c.id, c.embedding <=> p_embedding AS distance
          FROM chunks c
          WHERE c.tenant_id = v_tenant
            AND (p_documents IS NULL OR c.document_id = ANY (p_documents))
            AND ((p_versions IS NULL AND c.live)
                 OR (p_versions IS NOT NULL AND EXISTS (
                     SELECT FROM unnest(p_documents, p_versions) AS v (document_id, number)
                     WHERE v.document_id = c.document_id AND c.valid_from <= v.number
                       AND (c.valid_to IS NULL OR c.valid_to > v.number))))
          ORDER BY c.embedding <=> p_embedding
          LIMIT p_candidates) n;
END
$$;

CREATE FUNCTION rank_by_text(
    p_queries tsquery[], p_weights double precision[], p_match tsquery,
    p_mean_length double precision, p_candidates integer, p_documents text[], p_versions integer[]
)
RETURNS TABLE (id text, rank integer)
LANGUAGE plpgsql STABLE ROWS 40 SECURITY DEFINER
SET search_path = public, pg_temp
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    v_tenant text := current_setting('app.tenant', true);
    v_hidden text[] := '{}';
BEGIN
    IF p_match IS NULL THEN
        RETURN;
    END IF;
    IF current_setting('app.unrestricted', true) IS DISTINCT FROM v_tenant THEN
        v_hidden := ARRAY(SELECT hidden_documents());
    END IF;
    -- ts_rank of one lexeme saturates with its count as BM25's term frequency does; weighted by idf
    -- and tempered by length the sum ranks like BM25, with what PostgreSQL ships.
    RETURN QUERY
    SELECT m.id, row_number() OVER (ORDER BY m.weight DESC, m.id)::integer
    FROM (SELECT c.id,
                 (SELECT sum(w.idf * ts_rank('{1,1,1,1}', c.tsv, w.query))
                  FROM unnest(p_queries, p_weights) AS w (query, idf))
                 / (0.5::float8 + 0.5::float8 * length(c.tsv) / p_mean_length) AS weight
          FROM (SELECT c.id, setweight(c.tsv, 'D') AS tsv  -- unpacks it once, not once a word
                FROM chunks c
                WHERE c.tsv @@ p_match AND c.tenant_id = v_tenant
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

-- The best of both rankings, fused, each with what speaks for it: numbers from 0 to 1 whose weighted
-- sum is its score (app/retrieval/rerank.py names and weighs them). When one ranking alone is
-- asked for there is only the fused rank.
CREATE FUNCTION judged_candidates(
    p_embedding halfvec, p_question text, p_language text, p_candidates integer,
    p_documents text[], p_versions integer[], p_text_weight real, p_rank_constant real
)
RETURNS TABLE (id text, dense_rank integer, text_rank integer, features real[])
LANGUAGE plpgsql STABLE ROWS 40
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    v record;
BEGIN
    IF p_question = '' THEN
        RETURN QUERY
        SELECT d.id, d.rank, NULL::integer,
               ARRAY[(1 - p_text_weight) * (p_rank_constant + 1) / (p_rank_constant + d.rank)]::real[]
        FROM rank_by_vector(p_embedding, p_candidates, p_documents, p_versions) d;
        RETURN;
    END IF;
    SELECT * INTO v FROM question_words(p_question, p_language);
    -- Beside the words a narrower beam finds the same: of 202 questions 199 had the same ten passages
    -- in the same order with 100 as with 150, for 1 of 8.5 ms (docs/benchmarks/search.md).
    PERFORM set_config('hnsw.ef_search',
                       least(current_setting('hnsw.ef_search')::integer, 100)::text, true);
    RETURN QUERY
    WITH fused AS MATERIALIZED (
        -- Reciprocal rank fusion (Cormack, Clarke, Buettcher 2009), scaled so that 1 is first in both.
        SELECT coalesce(d.id, l.id) AS id, d.rank AS dense_rank, l.rank AS text_rank,
               d.similarity,
               (coalesce((1 - p_text_weight) / (p_rank_constant + d.rank), 0)
                + coalesce(p_text_weight / (p_rank_constant + l.rank), 0))
               * (p_rank_constant + 1) AS score
        FROM rank_by_vector(p_embedding, p_candidates, p_documents, p_versions) d
        FULL JOIN rank_by_text(v.queries, v.weights, v.match, v.mean_length, p_candidates,
                                p_documents, p_versions) l ON l.id = d.id
        ORDER BY score DESC, 1
        LIMIT p_candidates
    )
    SELECT f.id, f.dense_rank, f.text_rank,
           CASE WHEN p_embedding IS NULL THEN ARRAY[f.score]::real[]
                ELSE ARRAY[f.score,
                    greatest(coalesce(f.similarity, 1 - (c.embedding <=> p_embedding)), 0),
                    coalesce((SELECT sum(u.idf)
                              FROM (SELECT c.tsv || ''::tsvector AS tsv OFFSET 0) t  -- unpacked once
                              JOIN unnest(v.queries, v.weights) AS u (query, idf)
                                  ON t.tsv @@ u.query), 0) / v.total]::real[]
           END
    FROM fused f
    JOIN chunks c ON c.id = f.id;
END
$$;

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
REVOKE ALL ON FUNCTION search_chunks, judged_candidates, rank_by_text, rank_by_vector FROM PUBLIC;
GRANT EXECUTE ON FUNCTION search_chunks, judged_candidates, rank_by_text, rank_by_vector TO docent_app;
