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

-- Both look-ups that tell who is calling tell the revision as well.
DROP FUNCTION find_api_key, find_user;
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
CREATE FUNCTION find_user(p_id text, p_email text)
RETURNS TABLE (id text, tenant_id text, email text, name text, password_hash text, role text,
               scopes text[], suspended boolean, tokens_since timestamptz,
               tenant_budget_usd float8, corpus_revision bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT u.id, u.tenant_id, u.email, u.name,
           CASE WHEN u.password_until IS NULL OR u.password_until > now() THEN u.password_hash END,
           u.role, role_scopes(u.role),
           u.suspended_at IS NOT NULL, u.tokens_since, t.budget_usd::float8, t.corpus_revision
    FROM users u JOIN tenants t ON t.id = u.tenant_id
    WHERE u.id = p_id OR u.email = p_email
$$;
REVOKE ALL ON FUNCTION find_api_key, find_user FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_api_key, find_user TO docent_app;
