-- A cached answer is found under the tenant's corpus revision, so that no change has to look for it. The
-- revision goes up with the chunks; what else of a document an answer shows or a filter asks for is
-- counted here, whichever statement changes it.

CREATE FUNCTION note_visible_change() RETURNS trigger LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE tenants SET corpus_revision = corpus_revision + 1
    WHERE id IN (SELECT n.tenant_id FROM was o JOIN now_is n ON n.id = o.id
                 WHERE (o.title, o.tags, o.filename, o.url, o.current_version, o.deleted_at)
                       IS DISTINCT FROM
                       (n.title, n.tags, n.filename, n.url, n.current_version, n.deleted_at));
    RETURN NULL;
END
$$;
CREATE TRIGGER visible_change AFTER UPDATE ON documents
    REFERENCING OLD TABLE AS was NEW TABLE AS now_is
    FOR EACH STATEMENT EXECUTE FUNCTION note_visible_change();

DROP FUNCTION find_api_key;
CREATE FUNCTION find_api_key(p_key_hash bytea)
RETURNS TABLE (id text, tenant_id text, key_hash bytea, scopes text[],
               tenant_budget_usd float8, key_budget_usd float8, corpus_revision bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT k.id, k.tenant_id, k.key_hash, k.scopes, t.budget_usd::float8, k.budget_usd::float8,
           t.corpus_revision
    FROM api_keys k JOIN tenants t ON t.id = k.tenant_id
    WHERE k.key_hash = p_key_hash AND k.revoked_at IS NULL
      AND (k.expires_at IS NULL OR k.expires_at > now())
$$;
REVOKE ALL ON FUNCTION find_api_key FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_api_key TO docent_app;
