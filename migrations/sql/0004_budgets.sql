-- What a tenant and each of its keys may spend in a calendar month (UTC), in US dollars. Null leaves
-- it to the settings. NaN is above every number, so the upper bound refuses it too.

ALTER TABLE tenants ADD COLUMN budget_usd numeric(14, 6)
    CONSTRAINT tenants_budget_usd CHECK (budget_usd BETWEEN 0 AND 99999999);
ALTER TABLE api_keys ADD COLUMN budget_usd numeric(14, 6)
    CONSTRAINT api_keys_budget_usd CHECK (budget_usd BETWEEN 0 AND 99999999);

-- A function cannot be given more columns in place. Both budgets come with the caller, so that an
-- answer costs no query more.
DROP FUNCTION find_api_key;
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
