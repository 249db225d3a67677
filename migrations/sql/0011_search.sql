-- The search by language, with judged candidates; what 0001_search.sql and 0002_search.sql say of
-- these functions still holds. The old calls still work: a process of the version before may run.

-- The words of a question as the tenant's chunks know them. In the question's language when there
-- are chunks in it, else in all there are.
CREATE FUNCTION question_words(
    p_question text, p_language text,
    OUT queries tsquery[],       -- each word that is known
    OUT weights double precision[],  -- its inverse document frequency
    OUT match tsquery,           -- the words worth looking up
    OUT total double precision,  -- the frequencies of all words, unknown ones as well
    OUT mean_length double precision
)
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    v_tenant text := current_setting('app.tenant', true);
    v_text text := searchable(p_question);
    v_languages text[];
BEGIN
    SELECT CASE WHEN p_language = ANY (t.languages) THEN ARRAY[p_language]
                WHEN t.languages = '{}' THEN '{english}' ELSE t.languages END
    INTO v_languages FROM tenants t WHERE t.id = v_tenant;
    -- The rarest words first, until the chunks that hold them are as many as are worth ranking: a
    -- word in a third of the corpus decides nothing and costs the most.
    SELECT array_agg(w.query) FILTER (WHERE w.chunks > 0),
           array_agg(w.idf) FILTER (WHERE w.chunks > 0),
           (string_agg(w.query::text, ' | ' ORDER BY w.chunks)
               FILTER (WHERE w.chunks > 0 AND (w.reach <= 500 OR w.nth = 1)))::tsquery,
           sum(w.idf), max(w.mean_length)
    INTO queries, weights, match, total, mean_length
    FROM (SELECT lexeme_query(k.lexeme) AS query, k.chunks, k.mean_length,
                 ln(1 + (k.all_chunks - k.chunks + 0.5) / (k.chunks + 0.5)) AS idf,
                 sum(k.chunks) OVER rarest AS reach,
                 row_number() OVER (PARTITION BY k.chunks > 0 ORDER BY k.chunks, k.lexeme) AS nth
          FROM (SELECT q.lexeme, t.chunk_count AS all_chunks, coalesce(l.chunk_count, 0) AS chunks,
                       t.lexeme_total::float8 / greatest(t.chunk_count, 1) AS mean_length
                FROM (SELECT DISTINCT u.lexeme FROM unnest(v_languages) AS v (language),
                      unnest(to_tsvector(v.language::regconfig, v_text)) u) q
                JOIN tenants t ON t.id = v_tenant
                LEFT JOIN lexemes l ON l.tenant_id = v_tenant AND l.lexeme = q.lexeme) k
          WINDOW rarest AS (ORDER BY k.chunks, k.lexeme)) w;
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
BEGIN
    IF p_match IS NULL THEN
        RETURN;
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
    v_both boolean := p_embedding IS NOT NULL AND p_question <> '';
BEGIN
    SELECT * INTO v FROM question_words(p_question, p_language);
    RETURN QUERY
    WITH fused AS MATERIALIZED (
        -- Reciprocal rank fusion (Cormack, Clarke, Buettcher 2009), scaled so that 1 is first in both.
        SELECT coalesce(d.id, l.id) AS id, d.rank AS dense_rank, l.rank AS text_rank,
               (coalesce((1 - p_text_weight) / (p_rank_constant + d.rank), 0)
                + coalesce(p_text_weight / (p_rank_constant + l.rank), 0))
               * (p_rank_constant + 1) AS score
        FROM rank_by_vector(p_embedding, p_candidates, p_documents, p_versions) d
        FULL JOIN rank_by_text(v.queries, v.weights, v.match, v.mean_length, p_candidates,
                                p_documents, p_versions) l ON l.id = d.id
        ORDER BY score DESC, 1
        LIMIT p_candidates
    )
    SELECT f.id, f.dense_rank, f.text_rank, ARRAY[f.score]::real[] FROM fused f WHERE NOT v_both
    UNION ALL
    SELECT f.id, f.dense_rank, f.text_rank,
           ARRAY[f.score, greatest(1 - (c.embedding <=> p_embedding), 0),
                 coalesce(w.covered, 0) / v.total]::real[]
    FROM fused f
    JOIN chunks c ON c.id = f.id
    CROSS JOIN LATERAL (SELECT c.tsv || ''::tsvector AS tsv OFFSET 0) t  -- unpacked once
    CROSS JOIN LATERAL (
        SELECT sum(u.idf) FILTER (WHERE t.tsv @@ u.query) AS covered
        FROM unnest(v.queries, v.weights) AS u (query, idf)) w
    WHERE v_both;
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
    p_weights real[] DEFAULT '{1}'       -- of the candidates' features
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
    PERFORM set_config('app.tenant', p_tenant, true);

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
END
$$;
REVOKE ALL ON FUNCTION search_chunks, judged_candidates, rank_by_text FROM PUBLIC;
GRANT EXECUTE ON FUNCTION search_chunks, judged_candidates, rank_by_text, question_words,
    searchable TO docent_app;
