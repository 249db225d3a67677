-- A tenant's callbacks. The secret is kept as it is, because every call is signed with it; it is blanked
-- when the webhook is removed. A delivery is one event for one webhook, through all its attempts.

CREATE TABLE webhooks (
    id text PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES tenants,
    url text NOT NULL,
    secret text NOT NULL,
    events text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz
);
CREATE INDEX webhooks_active ON webhooks (tenant_id, created_at DESC, id DESC)
    WHERE disabled_at IS NULL;

CREATE TABLE webhook_deliveries (
    id text PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES tenants,
    webhook_id text NOT NULL REFERENCES webhooks,
    event text NOT NULL,
    payload jsonb NOT NULL,
    status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'delivered', 'dead')),
    attempts integer NOT NULL DEFAULT 0,
    response_status integer,                    -- of the last attempt; null when no answer came
    error text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    delivered_at timestamptz
);
CREATE INDEX webhook_deliveries_listed ON webhook_deliveries (webhook_id, created_at DESC, id DESC);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['webhooks', 'webhook_deliveries'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON %I TO docent_app
                        USING (tenant_id = current_setting(''app.tenant'', true))
                        WITH CHECK (tenant_id = current_setting(''app.tenant'', true))', name);
    END LOOP;
END $$;
GRANT SELECT, INSERT, UPDATE ON webhooks, webhook_deliveries TO docent_app;
