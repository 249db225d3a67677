-- The application connects as (or switches to) docent_app, which owns nothing; the tenant of a
-- transaction is app.tenant. FORCE is not used: the owner migrates, the application never owns.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'docent_app') THEN
        CREATE ROLE docent_app NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;  -- roles belong to the whole server: another database's migration made it just now
END $$;
GRANT docent_app TO CURRENT_USER;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['api_keys', 'blobs', 'documents', 'document_versions', 'pages',
                                'chunks', 'lexemes'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON %I TO docent_app
                        USING (tenant_id = current_setting(''app.tenant'', true))
                        WITH CHECK (tenant_id = current_setting(''app.tenant'', true))', name);
    END LOOP;
END $$;
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON tenants TO docent_app
    USING (id = current_setting('app.tenant', true))
    WITH CHECK (id = current_setting('app.tenant', true));

DO $$
BEGIN
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO docent_app', current_database());
END $$;
GRANT USAGE ON SCHEMA public, jobs TO docent_app;
GRANT SELECT, UPDATE ON tenants TO docent_app;
GRANT SELECT ON api_keys TO docent_app;
GRANT SELECT, INSERT ON blobs TO docent_app;
GRANT SELECT, INSERT, UPDATE ON documents, document_versions, pages, chunks, lexemes TO docent_app;
GRANT SELECT ON index_info TO docent_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA jobs TO docent_app;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA jobs TO docent_app;

-- The one look-up made before the tenant is known: it answers for an exact key hash only.
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
