"""What readers should know of a version's file: text in it that nobody sees."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Give every version a list of warnings."""
    op.execute("ALTER TABLE document_versions ADD COLUMN warnings jsonb NOT NULL DEFAULT '[]'")


def downgrade() -> None:
    """Forget the warnings."""
    op.execute("ALTER TABLE document_versions DROP COLUMN warnings")
