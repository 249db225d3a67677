-- Text in its own language: every chunk by the stemmer of its language, scripts without spaces by
-- pairs of characters, and candidates that are judged by more than their ranks (ADR 0019).

-- Text as the parser should see it: where a script has no spaces every pair of neighbouring
-- characters becomes a word. Two passes, because pairs overlap and matches do not.
-- Thai, Lao, Burmese, Khmer, kana, Han, Hangul.
CREATE FUNCTION searchable(p_text text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT CASE WHEN p_text ~ '[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]'
    THEN
        regexp_replace(p_text,
            '([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]{2})',
            ' \1 ', 'g')
        || ' ' ||
        regexp_replace(
            regexp_replace(
                regexp_replace(p_text,
                    '[^\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]+',
                    ' ', 'g'),
                '(^| )[^ ]', ' ', 'g'),
            '([^ ]{2})', ' \1 ', 'g')
    ELSE p_text END
$$;

-- Which languages a tenant's chunks are in, or were: a question in none of them is read in all.
ALTER TABLE tenants ADD COLUMN languages text[] NOT NULL DEFAULT '{}';

ALTER TABLE chunks DROP COLUMN tsv;
ALTER TABLE chunks ADD COLUMN tsv tsvector NOT NULL GENERATED ALWAYS AS (
    to_tsvector(language, searchable(title || ' ' || heading || ' ' || text))) STORED;
ALTER TABLE chunks ALTER COLUMN tsv SET STORAGE MAIN;
CREATE INDEX chunks_tsv ON chunks USING gin (tsv) WITH (fastupdate = off) WHERE live;

DELETE FROM lexemes;
INSERT INTO lexemes (tenant_id, lexeme, chunk_count)
    SELECT tenant_id, lexeme, count(*) FROM chunks, unnest(tsvector_to_array(tsv)) AS lexeme
    WHERE live GROUP BY tenant_id, lexeme;
UPDATE tenants t SET lexeme_total = c.lexemes, languages = c.languages,
    corpus_revision = corpus_revision + 1
FROM (SELECT tenant_id, coalesce(sum(length(tsv)) FILTER (WHERE live), 0) AS lexemes,
             array_agg(DISTINCT language::text) AS languages
      FROM chunks GROUP BY tenant_id) c
WHERE t.id = c.tenant_id;
