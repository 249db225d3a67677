-- People. A user belongs to one tenant; the e-mail address is unique over all tenants, because it
-- is what says at login which one. A role stands for scopes; they are worked out by role_scopes()
-- at every look-up, so that a change of role or a suspension holds for the next request.

CREATE TABLE users (
    id text PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES tenants,
    email text NOT NULL UNIQUE,                 -- as written, in lower case
    name text NOT NULL,
    password_hash text,                         -- argon2id; null for those an OIDC issuer vouches for
    password_until timestamptz,                 -- when a temporary password lapses; null = it is theirs
    oidc_issuer text,                           -- who vouches, and under which name
    oidc_subject text,
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'editor', 'viewer')),
    created_at timestamptz NOT NULL DEFAULT now(),
    last_login_at timestamptz,
    suspended_at timestamptz,
    tokens_since timestamptz NOT NULL DEFAULT now(),  -- tokens issued before are void
    UNIQUE (oidc_issuer, oidc_subject)
);
CREATE INDEX users_listed ON users (tenant_id, id);

CREATE TABLE invitations (
    id text PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES tenants,
    code_hash bytea NOT NULL UNIQUE,            -- HMAC-SHA256 under SECRET_KEY, never the code
    email text,                                 -- null = whoever holds the code
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'editor', 'viewer')),
    created_by text,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    used_by text REFERENCES users
);

ALTER TABLE api_keys
    ADD COLUMN user_id text REFERENCES users,   -- whose it is; null = an operator's
    ADD COLUMN last_used_at timestamptz,
    ADD COLUMN requests_per_minute integer
        CONSTRAINT api_keys_requests_per_minute CHECK (requests_per_minute > 0);

CREATE FUNCTION role_scopes(p_role text) RETURNS text[]
LANGUAGE sql IMMUTABLE
AS $$
    SELECT CASE p_role
        WHEN 'owner' THEN ARRAY['chat', 'docs:read', 'docs:write', 'admin']
        WHEN 'admin' THEN ARRAY['chat', 'docs:read', 'docs:write', 'admin']
        WHEN 'editor' THEN ARRAY['chat', 'docs:read', 'docs:write']
        WHEN 'viewer' THEN ARRAY['chat', 'docs:read']
        ELSE ARRAY[]::text[]
    END
$$;

-- What happened, for good: nobody may change or remove a row, the owner of the table included.
CREATE TABLE audit_events (
    id text PRIMARY KEY,                        -- sorts by time
    tenant_id text NOT NULL REFERENCES tenants,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text,                                 -- usr_…, key_…, cli_…; null = nobody known, or an
                                                -- operator at the machine
    user_id text,                               -- whose key or token the actor is
    action text NOT NULL,                       -- 'key.create', 'document.delete', …
    target text,                                -- whose, or what: an id
    outcome text NOT NULL CHECK (outcome IN ('ok', 'refused', 'failed')),
    ip text,
    request_id text,
    details jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_events_listed ON audit_events (tenant_id, id DESC);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME; END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['users', 'invitations', 'audit_events'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON %I TO docent_app
                        USING (tenant_id = current_setting(''app.tenant'', true))
                        WITH CHECK (tenant_id = current_setting(''app.tenant'', true))', name);
    END LOOP;
END $$;
-- No more than what the application changes: whose a row is, an address or the hash of a key never.
GRANT SELECT, INSERT ON users, invitations, audit_events TO docent_app;
GRANT UPDATE (name, role, password_hash, password_until, last_login_at, suspended_at, tokens_since)
    ON users TO docent_app;
GRANT UPDATE (used_at, used_by, expires_at) ON invitations TO docent_app;
GRANT INSERT, UPDATE (revoked_at) ON api_keys TO docent_app;

-- A key of a user may do what both the key and the user's role allow, and nothing once the user is
-- suspended.
DROP FUNCTION find_api_key;
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

-- The other look-ups made before the tenant is known: a user by exact id or e-mail address.
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

-- An invitation, by the hash of its code, while it can be used.
CREATE FUNCTION find_invitation(p_code_hash bytea)
RETURNS TABLE (id text, tenant_id text, email text, role text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT i.id, i.tenant_id, i.email, i.role FROM invitations i
    WHERE i.code_hash = p_code_hash AND i.used_at IS NULL AND i.expires_at > now()
$$;

-- A tenant for somebody who registered without an invitation. A name that is taken is an error, so
-- nobody comes into a tenant that is there.
CREATE FUNCTION open_tenant(p_id text, p_name text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$ INSERT INTO tenants (id, name) VALUES (p_id, p_name) $$;

-- When keys of any tenant were last used, from time to time by each process.
CREATE FUNCTION note_key_uses(p_ids text[], p_times timestamptz[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    UPDATE api_keys k SET last_used_at = greatest(k.last_used_at, u.at)
    FROM unnest(p_ids, p_times) AS u (id, at) WHERE k.id = u.id
$$;
REVOKE ALL ON FUNCTION find_api_key, find_user, find_invitation, open_tenant, note_key_uses FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_api_key, find_user, find_invitation, open_tenant, note_key_uses
    TO docent_app;
