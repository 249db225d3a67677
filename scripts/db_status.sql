-- What `make db-status` shows.
SET search_path = public, jobs;
SELECT to_regclass('public.alembic_version') IS NULL AS nothing \gset
\if :nothing
\echo The database holds no Docent yet; make run and make migrate make one.
\else
\echo Schema
SELECT version_num AS migration, embedding_model, dimension, current_setting('server_version') AS postgres,
       pg_size_pretty(pg_database_size(current_database())) AS size
FROM alembic_version, index_info;
\echo Tenants
SELECT t.name, t.chunk_count AS live_chunks, count(d.id) AS documents,
       count(d.id) FILTER (WHERE d.deleted_at IS NOT NULL) AS deleted
FROM tenants t LEFT JOIN documents d ON d.tenant_id = t.id GROUP BY t.id ORDER BY t.name LIMIT 50;
\echo Versions by state
SELECT status, count(*) FROM document_versions GROUP BY status ORDER BY status;
\echo Jobs by state
SELECT queue_name, status, count(*), min(scheduled_at) AS earliest FROM procrastinate_jobs
GROUP BY queue_name, status ORDER BY queue_name, status;
\echo Connections
SELECT state, count(*), max(now() - state_change) AS longest FROM pg_stat_activity
WHERE datname = current_database() GROUP BY state;
\endif
