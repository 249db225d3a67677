-- Who of a tenant sees a document. Beside its tenant a transaction has a reach (app.reach): '*' is every
-- document, a user's id is what that user sees, and anything else, unset too, what the whole tenant sees.
-- The policies see to it, so that a query that forgets a condition shows too little and never too much.

CREATE TABLE workspaces (
    id text PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES tenants,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX workspaces_name ON workspaces (tenant_id, lower(name));

CREATE TABLE workspace_members (
    tenant_id text NOT NULL REFERENCES tenants,
    workspace_id text NOT NULL REFERENCES workspaces ON DELETE CASCADE,
    user_id text NOT NULL REFERENCES users,
    manager boolean NOT NULL,                   -- may rename it, delete it, and say who belongs to it
    added_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (workspace_id, user_id)
);
CREATE INDEX workspace_members_user ON workspace_members (user_id, workspace_id);

ALTER TABLE documents
    ADD COLUMN owner_id text REFERENCES users,  -- who uploaded it; null = a key of nobody's
    ADD COLUMN visibility text NOT NULL DEFAULT 'tenant'
        CONSTRAINT documents_visibility CHECK (visibility IN ('tenant', 'workspace', 'private')),
    ADD COLUMN workspace_id text REFERENCES workspaces,
    ADD CONSTRAINT documents_workspace
        CHECK ((visibility = 'workspace') = (workspace_id IS NOT NULL)),
    ADD CONSTRAINT documents_private CHECK (visibility <> 'private' OR owner_id IS NOT NULL);
-- Whose it is to see: '' the tenant's, else a workspace's or a user's.
ALTER TABLE documents ADD COLUMN space text NOT NULL GENERATED ALWAYS AS
    (CASE visibility WHEN 'tenant' THEN '' WHEN 'workspace' THEN workspace_id ELSE owner_id END) STORED;
CREATE INDEX documents_restricted ON documents (tenant_id, space, id) WHERE space <> '';
CREATE INDEX documents_workspace ON documents (workspace_id) WHERE workspace_id IS NOT NULL;
-- A source names one document in each space, or a second reader of a URL would learn of the first.
DROP INDEX documents_source;
CREATE UNIQUE INDEX documents_source ON documents (tenant_id, space, source) WHERE deleted_at IS NULL;

-- The transaction's workspaces. These three look past the policies, which are made of them.
CREATE FUNCTION reached_workspaces() RETURNS SETOF text
LANGUAGE plpgsql STABLE ROWS 10 SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    v_tenant text := current_setting('app.tenant', true);
    v_reach text := current_setting('app.reach', true);
BEGIN
    RETURN QUERY SELECT w.id FROM workspaces w WHERE w.tenant_id = v_tenant AND (v_reach = '*'
        OR EXISTS (SELECT FROM workspace_members m
                   WHERE m.workspace_id = w.id AND m.user_id = v_reach));
END
$$;

-- The documents the transaction may not see; the policies ask it once a statement, not once a row. Most
-- tenants have none that are restricted: a search looks that up once and says it to the policies that
-- its statements meet (app.unrestricted, migrations/sql/0012_search.sql), or asking would be a twelfth of it.
CREATE FUNCTION hidden_documents() RETURNS SETOF text
LANGUAGE plpgsql STABLE ROWS 10 SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    v_tenant text := current_setting('app.tenant', true);
    v_reach text := current_setting('app.reach', true);
BEGIN
    IF v_reach = '*' THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT d.id FROM documents d
        WHERE d.tenant_id = v_tenant AND d.space <> '' AND d.space IS DISTINCT FROM v_reach
          AND d.space NOT IN (SELECT m.workspace_id FROM workspace_members m
                              WHERE m.user_id = v_reach);
END
$$;

CREATE FUNCTION has_restricted_documents(p_tenant text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$ SELECT EXISTS (SELECT FROM documents d WHERE d.tenant_id = p_tenant AND d.space <> '') $$;

REVOKE ALL ON FUNCTION reached_workspaces, hidden_documents, has_restricted_documents FROM PUBLIC;
GRANT EXECUTE ON FUNCTION reached_workspaces, hidden_documents, has_restricted_documents TO docent_app;

DO $$
DECLARE
    seen record;
BEGIN
    FOR seen IN SELECT * FROM (VALUES ('documents', 'id'), ('document_versions', 'document_id'),
                                      ('pages', 'document_id'), ('chunks', 'document_id'),
                                      ('activations', 'document_id')) AS t (name, id) LOOP
        EXECUTE format('ALTER POLICY tenant ON %I
                        USING (tenant_id = current_setting(''app.tenant'', true)
                               AND (tenant_id = current_setting(''app.unrestricted'', true)
                                    OR %I NOT IN (SELECT hidden_documents())))
                        WITH CHECK (tenant_id = current_setting(''app.tenant'', true)
                                    AND %I NOT IN (SELECT hidden_documents()))',
                       seen.name, seen.id, seen.id);
    END LOOP;
    FOR seen IN SELECT * FROM (VALUES ('workspaces', 'id'),
                                      ('workspace_members', 'workspace_id')) AS t (name, id) LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', seen.name);
        -- What is written need not be seen yet: who makes a workspace belongs to it a moment later.
        EXECUTE format('CREATE POLICY tenant ON %I TO docent_app
                        USING (tenant_id = current_setting(''app.tenant'', true)
                               AND %I IN (SELECT reached_workspaces()))
                        WITH CHECK (tenant_id = current_setting(''app.tenant'', true))',
                       seen.name, seen.id);
    END LOOP;
END $$;
GRANT SELECT, INSERT, DELETE ON workspaces, workspace_members TO docent_app;
GRANT UPDATE (name) ON workspaces TO docent_app;
GRANT UPDATE (manager) ON workspace_members TO docent_app;

-- Who sees what is part of what an answer was made of: cached answers of before are not found again.
CREATE OR REPLACE FUNCTION note_visible_change() RETURNS trigger LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE tenants SET corpus_revision = corpus_revision + 1
    WHERE id IN (SELECT n.tenant_id FROM was o JOIN now_is n ON n.id = o.id
                 WHERE o.current_version IS NOT DISTINCT FROM n.current_version
                   AND (o.title, o.tags, o.filename, o.url, o.space)
                       IS DISTINCT FROM (n.title, n.tags, n.filename, n.url, n.space));
    RETURN NULL;
END
$$;
CREATE FUNCTION note_changed_members() RETURNS trigger LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE tenants SET corpus_revision = corpus_revision + 1
    WHERE id = coalesce(NEW.tenant_id, OLD.tenant_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER changed_members AFTER INSERT OR DELETE ON workspace_members
    FOR EACH ROW EXECUTE FUNCTION note_changed_members();

-- A caller is told whether anything of its tenant's is restricted, for the key of a cached answer.
DROP FUNCTION find_api_key, find_token_family;
CREATE FUNCTION find_api_key(p_key_hash bytea)
RETURNS TABLE (id text, tenant_id text, key_hash bytea, scopes text[],
               tenant_budget_usd float8, key_budget_usd float8,
               user_id text, role text, requests_per_minute integer,
               corpus_revision bigint, restricted boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT k.id, k.tenant_id, k.key_hash,
           CASE WHEN u.id IS NULL THEN k.scopes
                ELSE ARRAY(SELECT unnest(k.scopes) INTERSECT SELECT unnest(role_scopes(u.role))) END,
           t.budget_usd::float8, k.budget_usd::float8, k.user_id, u.role, k.requests_per_minute,
           t.corpus_revision, has_restricted_documents(t.id)
    FROM api_keys k JOIN tenants t ON t.id = k.tenant_id LEFT JOIN users u ON u.id = k.user_id
    WHERE k.key_hash = p_key_hash AND k.revoked_at IS NULL
      AND (k.expires_at IS NULL OR k.expires_at > now())
      AND u.suspended_at IS NULL
$$;

CREATE FUNCTION find_token_family(p_id text)
RETURNS TABLE (tenant_id text, user_id text, client_id text, role text, scopes text[],
               tenant_budget_usd float8, corpus_revision bigint,
               restricted boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT f.tenant_id, f.user_id, f.client_id, u.role,
           CASE WHEN u.id IS NULL THEN c.scopes ELSE role_scopes(u.role) END, t.budget_usd::float8,
           t.corpus_revision, has_restricted_documents(t.id)
    FROM token_families f JOIN tenants t ON t.id = f.tenant_id
    LEFT JOIN users u ON u.id = f.user_id LEFT JOIN oauth_clients c ON c.id = f.client_id
    WHERE f.id = p_id AND f.revoked_at IS NULL
      AND u.suspended_at IS NULL AND c.disabled_at IS NULL
      AND (u.id IS NULL OR u.tokens_since <= f.created_at)
$$;
REVOKE ALL ON FUNCTION find_api_key, find_token_family FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_api_key, find_token_family TO docent_app;
