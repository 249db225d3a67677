-- The archive. Every tenant table carries tenant_id and is under row-level security: a transaction
-- sees the rows of the tenant named by app.tenant, and nothing when that is unset. Rows are never
-- removed: a version that is replaced closes its validity range [valid_from, valid_to).

CREATE TABLE tenants (
    id text PRIMARY KEY,
    name text NOT NULL UNIQUE,
    corpus_revision bigint NOT NULL DEFAULT 0,  -- goes up with every visible change of the corpus
    chunk_count bigint NOT NULL DEFAULT 0,      -- current chunks, for inverse document frequency
    lexeme_total bigint NOT NULL DEFAULT 0,     -- their lexemes, for the average length
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_keys (
    id text PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES tenants,
    name text NOT NULL,
    key_hash bytea NOT NULL UNIQUE,             -- HMAC-SHA256 under SECRET_KEY, never the key
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz
);

CREATE TABLE blobs (
    tenant_id text NOT NULL REFERENCES tenants,
    sha256 bytea NOT NULL,
    content bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, sha256)
);
ALTER TABLE blobs ALTER COLUMN content SET STORAGE EXTERNAL;  -- PDFs are compressed already

CREATE TABLE documents (
    id text PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES tenants,
    source text,                                -- where a folder ingest found it; null for uploads
    title text NOT NULL,
    filename text NOT NULL,
    media_type text NOT NULL,
    author text,
    tags text[] NOT NULL DEFAULT '{}',
    url text,
    current_version integer,                    -- null until the first version is published
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    UNIQUE (tenant_id, source)
);
CREATE INDEX documents_tags ON documents USING gin (tags);

CREATE TABLE document_versions (
    tenant_id text NOT NULL REFERENCES tenants,
    document_id text NOT NULL REFERENCES documents,
    number integer NOT NULL,
    sha256 bytea NOT NULL,
    size_bytes bigint NOT NULL,
    page_count integer,
    status text NOT NULL CHECK (status IN ('queued', 'processing', 'ready', 'failed')),
    step text CHECK (step IN ('parse', 'chunk', 'embed', 'index')),
    error_code text,
    error_detail text,
    claim text,                                 -- fencing token of the worker that works on it
    pages_done integer NOT NULL DEFAULT 0,
    chunks_embedded integer NOT NULL DEFAULT 0,
    chunks_reused integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz,
    PRIMARY KEY (document_id, number)
);

CREATE TABLE pages (
    tenant_id text NOT NULL REFERENCES tenants,
    document_id text NOT NULL REFERENCES documents,
    number integer NOT NULL,
    valid_from integer NOT NULL,
    valid_to integer,
    sha256 bytea NOT NULL,
    text text NOT NULL,
    width real NOT NULL,                        -- PDF points
    height real NOT NULL,
    PRIMARY KEY (document_id, number, valid_from)
);

CREATE TABLE chunks (
    id text PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES tenants,
    document_id text NOT NULL REFERENCES documents,
    page integer NOT NULL,
    start_offset integer NOT NULL,              -- characters of the page's text
    end_offset integer NOT NULL,
    valid_from integer NOT NULL,
    valid_to integer,                           -- null = in the current version
    digest bytea NOT NULL,                      -- SHA-256 of what was embedded
    title text NOT NULL,                        -- the document's, as it was embedded
    heading text NOT NULL,
    text text NOT NULL,
    boxes bytea NOT NULL,                       -- float32 (n, 6): start, end, x0, y0, x1, y1
    language regconfig NOT NULL DEFAULT 'english',
    tsv tsvector NOT NULL GENERATED ALWAYS AS
        (to_tsvector(language, title || ' ' || heading || ' ' || text)) STORED,
    embedding halfvec(:dimension) NOT NULL
);
-- PLAIN keeps the vector in the row: a TOASTed one makes the planner shun the HNSW index.
ALTER TABLE chunks ALTER COLUMN embedding SET STORAGE PLAIN;
-- MAIN keeps the lexemes there too: ranking reads hundreds of them per search.
ALTER TABLE chunks ALTER COLUMN tsv SET STORAGE MAIN;
CREATE INDEX chunks_embedding ON chunks USING hnsw (embedding halfvec_cosine_ops)
    WITH (m = 32, ef_construction = 64) WHERE valid_to IS NULL;
CREATE INDEX chunks_tsv ON chunks USING gin (tsv) WITH (fastupdate = off) WHERE valid_to IS NULL;
CREATE INDEX chunks_document ON chunks (tenant_id, document_id, page);
CREATE INDEX chunks_digest ON chunks (tenant_id, digest);

-- How many current chunks of a tenant hold a lexeme: the document frequency of the text ranking.
CREATE TABLE lexemes (
    tenant_id text NOT NULL REFERENCES tenants,
    lexeme text NOT NULL,
    chunk_count integer NOT NULL,
    PRIMARY KEY (tenant_id, lexeme)
);

-- One row: which model made the vectors. Another model's vectors do not mix with them.
CREATE TABLE index_info (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    embedding_model text NOT NULL,
    dimension integer NOT NULL
);
