"""The list of jobs, read in its order: it sorted all versions of a tenant for each page."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Newest first, from its end."""
    op.create_index(
        "document_versions_listed", "document_versions", ["tenant_id", "created_at", "job_id"]
    )


def downgrade() -> None:
    """As before."""
    op.drop_index("document_versions_listed")
