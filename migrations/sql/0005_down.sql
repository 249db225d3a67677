DROP FUNCTION find_api_key, find_user, find_invitation, open_tenant, note_key_uses;
CREATE FUNCTION find_api_key(p_key_hash bytea)
RETURNS TABLE (id text, tenant_id text, key_hash bytea, scopes text[],
               tenant_budget_usd float8, key_budget_usd float8)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT k.id, k.tenant_id, k.key_hash, k.scopes, t.budget_usd::float8, k.budget_usd::float8
    FROM api_keys k JOIN tenants t ON t.id = k.tenant_id
    WHERE k.key_hash = p_key_hash AND k.revoked_at IS NULL
      AND (k.expires_at IS NULL OR k.expires_at > now())
$$;
REVOKE ALL ON FUNCTION find_api_key FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_api_key TO docent_app;
REVOKE INSERT, UPDATE, UPDATE (revoked_at) ON api_keys FROM docent_app;
ALTER TABLE api_keys DROP COLUMN user_id, DROP COLUMN last_used_at, DROP COLUMN requests_per_minute;
DROP TABLE audit_events, invitations, users;
DROP FUNCTION refuse_change, role_scopes;
