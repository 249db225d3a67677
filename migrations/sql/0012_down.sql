CREATE FUNCTION rank_by_vector(
    p_embedding halfvec, p_candidates integer, p_documents text[], p_versions integer[]
)
RETURNS TABLE (id text, rank integer)
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
    SELECT n.id, row_number() OVER (ORDER BY n.distance, n.id)::integer
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
REVOKE ALL ON FUNCTION rank_by_vector FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rank_by_vector TO docent_app;

DROP FUNCTION find_api_key, find_token_family;
CREATE FUNCTION find_api_key(p_key_hash bytea)
RETURNS TABLE (id text, tenant_id text, key_hash bytea, scopes text[],
               tenant_budget_usd float8, key_budget_usd float8,
               user_id text, role text, requests_per_minute integer,
               corpus_revision bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT k.id, k.tenant_id, k.key_hash,
           CASE WHEN u.id IS NULL THEN k.scopes
                ELSE ARRAY(SELECT unnest(k.scopes) INTERSECT SELECT unnest(role_scopes(u.role))) END,
           t.budget_usd::float8, k.budget_usd::float8, k.user_id, u.role, k.requests_per_minute,
           t.corpus_revision
    FROM api_keys k JOIN tenants t ON t.id = k.tenant_id LEFT JOIN users u ON u.id = k.user_id
    WHERE k.key_hash = p_key_hash AND k.revoked_at IS NULL
      AND (k.expires_at IS NULL OR k.expires_at > now())
      AND u.suspended_at IS NULL
$$;

CREATE FUNCTION find_token_family(p_id text)
RETURNS TABLE (tenant_id text, user_id text, client_id text, role text, scopes text[],
               tenant_budget_usd float8, corpus_revision bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT f.tenant_id, f.user_id, f.client_id, u.role,
           CASE WHEN u.id IS NULL THEN c.scopes ELSE role_scopes(u.role) END, t.budget_usd::float8,
           t.corpus_revision
    FROM token_families f JOIN tenants t ON t.id = f.tenant_id
    LEFT JOIN users u ON u.id = f.user_id LEFT JOIN oauth_clients c ON c.id = f.client_id
    WHERE f.id = p_id AND f.revoked_at IS NULL
      AND u.suspended_at IS NULL AND c.disabled_at IS NULL
      AND (u.id IS NULL OR u.tokens_since <= f.created_at)
$$;
REVOKE ALL ON FUNCTION find_api_key, find_token_family FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_api_key, find_token_family TO docent_app;

CREATE OR REPLACE FUNCTION note_visible_change() RETURNS trigger LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE tenants SET corpus_revision = corpus_revision + 1
    WHERE id IN (SELECT n.tenant_id FROM was o JOIN now_is n ON n.id = o.id
                 WHERE o.current_version IS NOT DISTINCT FROM n.current_version
                   AND (o.title, o.tags, o.filename, o.url)
                       IS DISTINCT FROM (n.title, n.tags, n.filename, n.url));
    RETURN NULL;
END
$$;
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['documents', 'document_versions', 'pages', 'chunks', 'activations'] LOOP
        EXECUTE format('ALTER POLICY tenant ON %I
                        USING (tenant_id = current_setting(''app.tenant'', true))
                        WITH CHECK (tenant_id = current_setting(''app.tenant'', true))', name);
    END LOOP;
END $$;
-- What not everybody may see is nobody's then: it is not shown to all because a column is gone. Its
-- bytes, versions and pages stay.
UPDATE chunks SET live = false
    WHERE live AND document_id IN (SELECT id FROM documents WHERE space <> '');
UPDATE documents SET deleted_at = coalesce(deleted_at, now()) WHERE space <> '';
UPDATE tenants t SET corpus_revision = corpus_revision + 1,
    chunk_count = (SELECT count(*) FROM chunks c WHERE c.tenant_id = t.id AND c.live),
    lexeme_total = (SELECT coalesce(sum(length(c.tsv)), 0) FROM chunks c
                    WHERE c.tenant_id = t.id AND c.live);
UPDATE lexemes l SET chunk_count = coalesce(n.chunk_count, 0)
    FROM lexemes o LEFT JOIN (
        SELECT c.tenant_id, lexeme, count(*) AS chunk_count
        FROM chunks c, unnest(tsvector_to_array(c.tsv)) AS lexeme WHERE c.live GROUP BY 1, 2
    ) n USING (tenant_id, lexeme)
    WHERE l.tenant_id = o.tenant_id AND l.lexeme = o.lexeme
      AND l.chunk_count IS DISTINCT FROM coalesce(n.chunk_count, 0);
DROP INDEX documents_source;
ALTER TABLE documents DROP COLUMN space, DROP COLUMN visibility, DROP COLUMN workspace_id,
    DROP COLUMN owner_id;
CREATE UNIQUE INDEX documents_source ON documents (tenant_id, source) WHERE deleted_at IS NULL;
DROP TABLE workspace_members, workspaces;
DROP FUNCTION note_changed_members, has_restricted_documents, hidden_documents, reached_workspaces;
