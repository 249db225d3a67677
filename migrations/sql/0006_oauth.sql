-- The authorization server. Secrets are hashes (HMAC-SHA256 under SECRET_KEY), signing keys are
-- sealed under SECRET_KEY: a copy of these tables lets nobody in.

-- Not a tenant's: access tokens of all are signed with the newest.
CREATE TABLE signing_keys (
    kid text PRIMARY KEY,
    sealed bytea NOT NULL,                      -- PKCS #8, AES-256-GCM
    sealed_under bytea NOT NULL,                -- which SECRET_KEY, as a keyed fingerprint
    created_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz                      -- signs no more; verifies until its last token ends
);

CREATE TABLE oauth_clients (
    id text PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES tenants,
    name text NOT NULL,
    secret_hash bytea,                          -- null = a public client, which has none
    redirect_uris text[] NOT NULL,
    scopes text[] NOT NULL,                     -- the most its tokens may do
    grants text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz
);
CREATE INDEX oauth_clients_listed ON oauth_clients (tenant_id, created_at, id);

-- All tokens that descend from one login, one code or one request of a service account. What is
-- revoked is the family.
CREATE TABLE token_families (
    id text PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES tenants,
    user_id text REFERENCES users,              -- null = the client itself
    client_id text REFERENCES oauth_clients,    -- null = our own login
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,            -- none of its tokens lives longer
    revoked_at timestamptz,
    CONSTRAINT token_families_somebodys CHECK (coalesce(user_id, client_id) IS NOT NULL)
);
CREATE INDEX token_families_lapsing ON token_families (expires_at);

CREATE TABLE refresh_tokens (
    token_hash bytea PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES tenants,
    family_id text NOT NULL REFERENCES token_families ON DELETE CASCADE,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX refresh_tokens_family ON refresh_tokens (family_id);
CREATE INDEX refresh_tokens_lapsing ON refresh_tokens (expires_at);

CREATE TABLE authorization_codes (
    code_hash bytea PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES tenants,
    client_id text NOT NULL REFERENCES oauth_clients,
    user_id text NOT NULL REFERENCES users,
    redirect_uri text NOT NULL,
    challenge text NOT NULL,                    -- S256, RFC 7636
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    family_id text REFERENCES token_families ON DELETE CASCADE  -- what it was redeemed for
);
CREATE INDEX authorization_codes_family ON authorization_codes (family_id);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['oauth_clients', 'token_families', 'refresh_tokens',
                                'authorization_codes'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON %I TO docent_app
                        USING (tenant_id = current_setting(''app.tenant'', true))
                        WITH CHECK (tenant_id = current_setting(''app.tenant'', true))', name);
    END LOOP;
END $$;
GRANT SELECT ON signing_keys TO docent_app;
GRANT SELECT, INSERT ON oauth_clients, token_families, refresh_tokens, authorization_codes
    TO docent_app;
GRANT UPDATE (disabled_at) ON oauth_clients TO docent_app;
GRANT UPDATE (expires_at, revoked_at) ON token_families TO docent_app;
GRANT UPDATE (used_at) ON refresh_tokens TO docent_app;
GRANT UPDATE (family_id) ON authorization_codes TO docent_app;

-- A new signing key, unless another worker has made one meanwhile.
CREATE FUNCTION add_signing_key(p_kid text, p_sealed bytea, p_under bytea, p_max_age_s float8)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('signing_keys'));
    IF EXISTS (SELECT FROM signing_keys WHERE retired_at IS NULL AND sealed_under = p_under
               AND created_at > now() - make_interval(secs => p_max_age_s)) THEN
        RETURN;
    END IF;
    UPDATE signing_keys SET retired_at = now() WHERE retired_at IS NULL AND sealed_under = p_under;
    INSERT INTO signing_keys (kid, sealed, sealed_under) VALUES (p_kid, p_sealed, p_under);
END $$;

-- Whose an access token is and what they may do now, by its family; nothing once the family is
-- revoked, its user suspended or its client disabled, or after all of the user's tokens were voided.
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

-- The other look-ups made before the tenant is known, each by something nobody can guess.
CREATE FUNCTION find_refresh_token(p_token_hash bytea)
RETURNS TABLE (tenant_id text, family_id text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$ SELECT r.tenant_id, r.family_id FROM refresh_tokens r WHERE r.token_hash = p_token_hash $$;

CREATE FUNCTION find_oauth_client(p_id text)
RETURNS TABLE (id text, tenant_id text, name text, secret_hash bytea, redirect_uris text[],
               scopes text[], grants text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT c.id, c.tenant_id, c.name, c.secret_hash, c.redirect_uris, c.scopes, c.grants
    FROM oauth_clients c WHERE c.id = p_id AND c.disabled_at IS NULL
$$;

-- A user by who vouches for them, never by their e-mail address.
CREATE FUNCTION find_oidc_user(p_issuer text, p_subject text) RETURNS TABLE (id text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$ SELECT u.id FROM users u WHERE u.oidc_issuer = p_issuer AND u.oidc_subject = p_subject $$;

-- The tenant of OIDC_TENANT, made if it is new.
CREATE FUNCTION tenant_of_issuer(p_id text, p_name text) RETURNS text
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    INSERT INTO tenants (id, name) VALUES (p_id, p_name)
    ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id
$$;

-- What nobody can use any more. A retired key outlives the longest access token.
CREATE FUNCTION forget_lapsed_tokens() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    DELETE FROM refresh_tokens WHERE expires_at < now();
    DELETE FROM token_families WHERE expires_at < now();
    DELETE FROM authorization_codes
        WHERE family_id IS NULL AND expires_at < now() - interval '1 hour';
    DELETE FROM signing_keys WHERE retired_at < now() - interval '2 days';
$$;

REVOKE ALL ON FUNCTION add_signing_key, find_token_family, find_refresh_token,
    find_oauth_client, find_oidc_user, tenant_of_issuer,
    forget_lapsed_tokens FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add_signing_key, find_token_family, find_refresh_token,
    find_oauth_client, find_oidc_user, tenant_of_issuer,
    forget_lapsed_tokens TO docent_app;
