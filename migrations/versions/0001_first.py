"""The archive, its search, its security and the job queue."""

from pathlib import Path

from alembic import context, op
from procrastinate.schema import SchemaManager

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"
TABLES = (
    "index_info, lexemes, chunks, pages, document_versions, documents, blobs, api_keys, tenants"
)


def _run(text: str) -> None:
    # The driver's own cursor: these files hold colons and percent signs that are not parameters.
    cursor = op.get_bind().connection.cursor()
    try:
        cursor.execute(text)
    finally:
        cursor.close()


def upgrade() -> None:
    """Make everything; the vectors' dimension comes from the settings and is fixed from then on."""
    dimension = int(context.config.attributes["embedding_dimension"])
    _run("CREATE EXTENSION IF NOT EXISTS vector")
    _run((SQL / "0001_schema.sql").read_text().replace(":dimension", str(dimension)))
    op.get_bind().connection.cursor().execute(
        "INSERT INTO index_info (embedding_model, dimension) VALUES (%s, %s)",
        (context.config.attributes["embedding_model"], dimension),
    )
    _run("CREATE SCHEMA jobs")
    _run("SET LOCAL search_path = jobs, public")
    _run(SchemaManager.get_schema())
    _run("SET LOCAL search_path = public, jobs")
    _run((SQL / "0001_security.sql").read_text())
    _run((SQL / "0001_search.sql").read_text())


def downgrade() -> None:
    """Drop everything but the role, which belongs to the whole server, and the extension."""
    _run("DROP FUNCTION search_chunks, rank_by_text, rank_by_vector, lexeme_query, find_api_key")
    _run(f"DROP TABLE {TABLES}")
    _run("DROP SCHEMA jobs CASCADE")
    _run("REVOKE ALL ON SCHEMA public FROM docent_app")
    _run(
        "DO $$ BEGIN EXECUTE format('REVOKE ALL ON DATABASE %I FROM docent_app',"
        " current_database()); END $$"
    )
