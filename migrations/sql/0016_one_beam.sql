-- One beam through the graph of vectors, with and without words (docs/adr/0038-a-lighter-graph.md): a
-- narrower one beside the words found .67 of a small document's nearest among 100,000 chunks of others.

-- The best of both rankings, fused, each with what speaks for it: numbers from 0 to 1 whose weighted
-- sum is its score (app/retrieval/rerank.py names and weighs them). When one ranking alone is
-- asked for there is only the fused rank.
CREATE OR REPLACE FUNCTION judged_candidates(
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
{narrower}    RETURN QUERY
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
