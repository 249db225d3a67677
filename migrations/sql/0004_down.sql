DROP FUNCTION find_api_key;
CREATE FUNCTION find_api_key(p_key_hash bytea)
RETURNS TABLE (id text, tenant_id text, key_hash bytea, scopes text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT k.id, k.tenant_id, k.key_hash, k.scopes FROM api_keys k
    WHERE k.key_hash = p_key_hash AND k.revoked_at IS NULL
      AND (k.expires_at IS NULL OR k.expires_at > now())
$$;
REVOKE ALL ON FUNCTION find_api_key FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_api_key TO docent_app;
ALTER TABLE api_keys DROP COLUMN budget_usd;
ALTER TABLE tenants DROP COLUMN budget_usd;
