-- Every chunk's words anew by `searchable`, in the table that answers and in one that stands beside.
DO $$
DECLARE
    v_chunks text;
BEGIN
    FOR v_chunks IN
        SELECT t.name FROM unnest('{public.chunks,beside.chunks}'::text[]) AS t (name)
        WHERE to_regclass(t.name) IS NOT NULL
    LOOP
        EXECUTE replace($words$
            ALTER TABLE {chunks} DROP COLUMN tsv;
            ALTER TABLE {chunks} ADD COLUMN tsv tsvector NOT NULL GENERATED ALWAYS AS (
                to_tsvector(language, searchable(title || ' ' || heading || ' ' || text))) STORED;
            ALTER TABLE {chunks} ALTER COLUMN tsv SET STORAGE MAIN;
            CREATE INDEX chunks_tsv ON {chunks} USING gin (tsv) WITH (fastupdate = off) WHERE live;
        $words$, '{chunks}', v_chunks);
    END LOOP;
END
$$;

DELETE FROM lexemes;
INSERT INTO lexemes (tenant_id, lexeme, chunk_count)
    SELECT tenant_id, lexeme, count(*) FROM chunks, unnest(tsvector_to_array(tsv)) AS lexeme
    WHERE live GROUP BY tenant_id, lexeme;
UPDATE tenants t SET lexeme_total = c.lexemes, corpus_revision = corpus_revision + 1
FROM (SELECT tenant_id, coalesce(sum(length(tsv)) FILTER (WHERE live), 0) AS lexemes
      FROM chunks GROUP BY tenant_id) c
WHERE t.id = c.tenant_id;
