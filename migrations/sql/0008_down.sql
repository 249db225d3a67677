DROP TRIGGER visible_change ON documents;
DROP FUNCTION note_visible_change, find_api_key, find_user;
CREATE FUNCTION find_api_key(p_key_hash bytea)
RETURNS TABLE (id text, tenant_id text, key_hash bytea, scopes text[],
               tenant_budget_usd float8, key_budget_usd float8,
               user_id text, role text, requests_per_minute integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT k.id, k.tenant_id, k.key_hash,
           CASE WHEN u.id IS NULL THEN k.scopes
                ELSE ARRAY(SELECT unnest(k.scopes) INTERSECT SELECT unnest(role_scopes(u.role))) END,
           t.budget_usd::float8, k.budget_usd::float8, k.user_id, u.role, k.requests_per_minute
    FROM api_keys k JOIN tenants t ON t.id = k.tenant_id LEFT JOIN users u ON u.id = k.user_id
    WHERE k.key_hash = p_key_hash AND k.revoked_at IS NULL
      AND (k.expires_at IS NULL OR k.expires_at > now())
      AND u.suspended_at IS NULL
$$;
CREATE FUNCTION find_user(p_id text, p_email text)
RETURNS TABLE (id text, tenant_id text, email text, name text, password_hash text, role text,
               scopes text[], suspended boolean, tokens_since timestamptz,
               tenant_budget_usd float8)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT u.id, u.tenant_id, u.email, u.name,
           CASE WHEN u.password_until IS NULL OR u.password_until > now() THEN u.password_hash END,
           u.role, role_scopes(u.role),
           u.suspended_at IS NOT NULL, u.tokens_since, t.budget_usd::float8
    FROM users u JOIN tenants t ON t.id = u.tenant_id
    WHERE u.id = p_id OR u.email = p_email
$$;
REVOKE ALL ON FUNCTION find_api_key, find_user FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_api_key, find_user TO docent_app;
