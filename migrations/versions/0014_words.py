"""Words are the same on every server: marks beyond ASCII part them, ligatures and widths do not."""

from app.infra.migration_sql import run_file, run_sql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Cut and count the words of all chunks anew; vectors and digests do not depend on them."""
    run_file("0014_words.sql")
    run_file("0014_index.sql")


def downgrade() -> None:
    """Cut them as before."""
    run_sql("ALTER FUNCTION searchable(text) RENAME TO later")
    run_sql("ALTER FUNCTION paired(text) RENAME TO searchable")
    run_file("0014_index.sql")
    run_sql("DROP FUNCTION later(text)")
