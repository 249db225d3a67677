"""What a cached answer depends on: every visible change of the corpus."""

from app.infra.migration_sql import run_file, run_sql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Count edits of documents as changes."""
    run_file("0008_cache.sql")


def downgrade() -> None:
    """Count chunks alone again."""
    run_sql("DROP TRIGGER visible_change ON documents; DROP FUNCTION note_visible_change")
