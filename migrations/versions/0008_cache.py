"""What a cached answer depends on: every visible change of the corpus."""

from pathlib import Path

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"


def _run(text: str) -> None:
    # The driver's own cursor: these files hold colons and percent signs that are not parameters.
    cursor = op.get_bind().connection.cursor()
    try:
        cursor.execute(text)
    finally:
        cursor.close()


def upgrade() -> None:
    """Count edits of documents as changes."""
    _run((SQL / "0008_cache.sql").read_text())


def downgrade() -> None:
    """Count chunks alone again."""
    _run("DROP TRIGGER visible_change ON documents; DROP FUNCTION note_visible_change")
