"""Workspaces, and documents that not everybody of a tenant sees."""

from app.infra.migration_sql import run_file, run_sql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let a document be a workspace's or its owner's; all that are there stay the tenant's."""
    run_file("0012_workspaces.sql")
    run_file("0012_search.sql")


def downgrade() -> None:
    """Delete softly what is not the whole tenant's: it must not become everybody's."""
    run_sql(
        "DROP FUNCTION search_chunks, judged_candidates, rank_by_text, rank_by_vector,"
        " question_words"
    )
    run_file("0011_search.sql")
    run_file("0012_down.sql")
