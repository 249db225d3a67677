"""The archive, its search, its security and the job queue."""

from alembic import context, op
from procrastinate.schema import SchemaManager

from app.infra.migration_sql import run_file, run_sql
from app.infra.migrations import MIGRATIONS

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    "index_info, lexemes, chunks, pages, document_versions, documents, blobs, api_keys, tenants"
)


def upgrade() -> None:
    """Make everything; the vectors' dimension comes from the settings and is fixed from then on."""
    dimension = int(context.config.attributes["embedding_dimension"])
    run_sql("CREATE EXTENSION IF NOT EXISTS vector")
    run_sql(
        (MIGRATIONS / "sql" / "0001_schema.sql").read_text().replace(":dimension", str(dimension))
    )
    op.get_bind().connection.cursor().execute(
        "INSERT INTO index_info (embedding_model, dimension) VALUES (%s, %s)",
        (context.config.attributes["embedding_model"], dimension),
    )
    run_sql("CREATE SCHEMA jobs")
    run_sql("SET LOCAL search_path = jobs, public")
    run_sql(SchemaManager.get_schema())
    run_sql("SET LOCAL search_path = public, jobs")
    run_file("0001_security.sql")
    run_file("0001_search.sql")


def downgrade() -> None:
    """Drop everything but the role, which belongs to the whole server, and the extension."""
    run_sql("DROP FUNCTION search_chunks, rank_by_text, rank_by_vector, lexeme_query, find_api_key")
    run_sql(f"DROP TABLE {TABLES}")
    run_sql("DROP SCHEMA jobs CASCADE")
    run_sql("REVOKE ALL ON SCHEMA public FROM docent_app")
    run_sql(
        "DO $$ BEGIN EXECUTE format('REVOKE ALL ON DATABASE %I FROM docent_app',"
        " current_database()); END $$"
    )
